//! The shapes of lines that are measured: the one list of them.
//!
//! A seed invents the values and, of a JSON format, the order of its keys and the spaces between them: what is quick for one
//! text only does not stay unseen.

use fastrand::Rng;

use crate::events::access::{REST_CLF, REST_CSV, WIDE_JSON, render};
use crate::events::bulk::{self, Kind};
use crate::events::call::{Api, Call, Inventor};
use crate::events::envelope::{Envelope, execution_group};
use crate::events::execution::{trace, vended};

/// Lines of one make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    lines: Lines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// JSON of this format, which is in the setting.
    Set(&'static str),
    /// JSON of this format, which nobody set.
    Json(&'static str),
    /// The same with quotes, escapes and letters beyond ASCII in a value of every third line.
    Escaped(&'static str),
    /// Text of this documented format.
    Text(&'static str),
    Execution,
    Vended,
    Mixed,
}

/// Makes the envelope of a number.
type Envelopes = dyn Fn(usize, &mut Inventor) -> Envelope;

/// All shapes.
pub const SHAPES: [Shape; 11] = [
    Shape { name: "flat-by-setting", lines: Lines::Set(WIDE_JSON) },
    Shape { name: "flat", lines: Lines::Json(WIDE_JSON) },
    Shape { name: "superset", lines: Lines::Json(SUPERSET) },
    Shape { name: "superset-escapes", lines: Lines::Escaped(SUPERSET) },
    Shape { name: "nested", lines: Lines::Json(NESTED) },
    Shape { name: "foreign", lines: Lines::Json(FOREIGN) },
    Shape { name: "clf", lines: Lines::Text(REST_CLF) },
    Shape { name: "csv", lines: Lines::Text(REST_CSV) },
    Shape { name: "execution", lines: Lines::Execution },
    Shape { name: "vended", lines: Lines::Vended },
    Shape { name: "mixed", lines: Lines::Mixed },
];

/// All keys of REST API's documented JSON format, and more: the most usual format of all.
const SUPERSET: &str = r#"{"requestId":"$context.requestId","extendedRequestId":"$context.extendedRequestId","ip":"$context.identity.sourceIp","caller":"$context.identity.caller","user":"$context.identity.user","requestTime":"$context.requestTime","httpMethod":"$context.httpMethod","resourcePath":"$context.resourcePath","status":"$context.status","protocol":"$context.protocol","responseLength":"$context.responseLength","path":"$context.path","requestTimeEpoch":$context.requestTimeEpoch,"responseLatency":$context.responseLatency,"integrationLatency":"$context.integrationLatency","integrationStatus":"$context.integrationStatus","errorMessage":"$context.error.message","userAgent":"$context.identity.userAgent","userArn":"$context.identity.userArn","wafResponseCode":"$context.wafResponseCode","accountId":"$context.accountId","apiId":"$context.apiId","stage":"$context.stage","domainName":"$context.domainName","xrayTraceId":"$context.xrayTraceId"}"#;

/// Objects in objects, numbers, constants and lists.
const NESTED: &str = r#"{"time":$context.requestTimeEpoch,"id":"$context.requestId","request":{"method":"$context.httpMethod","path":"$context.path","protocol":"$context.protocol","client":{"ip":"$context.identity.sourceIp","agent":"$context.identity.userAgent"}},"response":{"status":$context.status,"bytes":$context.responseLength,"latency":{"total":$context.responseLatency,"integration":$context.integrationLatency}},"timings":[$context.responseLatency,$context.integrationLatency,0.5],"flags":{"cached":false,"retries":0,"sampled":null},"tags":["pets","$context.stage"],"trace":"$context.xrayTraceId","account":"$context.accountId","domain":"$context.domainName","ratio":0.25}"#;

/// An application's own keys.
const FOREIGN: &str = r#"{"ts":$context.requestTimeEpoch,"reqId":"$context.requestId","verb":"$context.httpMethod","url":"$context.path","code":$context.status,"size":$context.responseLength,"took":$context.responseLatency,"client":"$context.identity.sourceIp","agent":"$context.identity.userAgent","when":"$context.requestTime","env":"$context.stage","host":"$context.domainName","trace":"$context.xrayTraceId","tenant":"pets","level":"info","ok":true,"note":"$context.error.message"}"#;

/// What clients call themselves in lines with escapes.
const ODD_AGENTS: [&str; 4] = [
    r#"Pets \"beta\" 1.0 (X11; Linux x86_64)"#,
    r"caf\u00e9-client/2.4",
    "naïve-client/1.0 (東京)",
    r"C:\\pets\\client.exe /v",
];

impl Shape {
    /// Looks one up.
    ///
    /// # Panics
    /// If there is none of the name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let known = SHAPES.into_iter().find(|shape| shape.name == name);
        known.unwrap_or_else(|| panic!("no shape {name:?}: {}", SHAPES.map(|shape| shape.name).join(", ")))
    }

    /// Returns `ACCESS_LOG_FORMAT` for lines of a seed.
    #[must_use]
    pub fn setting(self, seed: u64) -> String {
        match self.lines {
            Lines::Set(format) => arranged(format, seed),
            _ => String::new(),
        }
    }

    /// Returns whether the lines are access logs.
    #[must_use]
    pub fn is_access_log(self) -> bool {
        !matches!(self.lines, Lines::Execution | Lines::Vended | Lines::Mixed)
    }

    /// Makes the event of a seed: at most so many bytes of payload, but one record at least.
    #[must_use]
    pub fn event(self, payload_bytes: usize, seed: u64) -> String {
        let lines: Box<Envelopes> = match self.lines {
            Lines::Set(format) | Lines::Json(format) => access(arranged(format, seed), Call::clone),
            Lines::Escaped(format) => access(arranged(format, seed), with_odd_agent),
            Lines::Text(format) => access(format.to_owned(), Call::clone),
            Lines::Execution => Box::new(|_, inventor| bulk::execution(&execution_group(Api::Rest), trace, inventor)),
            Lines::Vended => Box::new(|_, inventor| bulk::execution("/aws/vendedlogs/execution", vended, inventor)),
            Lines::Mixed => Box::new(|number, inventor| bulk::envelope(Kind::Mixed, number, inventor)),
        };
        bulk::event_of(payload_bytes, seed, lines).json()
    }
}

fn access(format: String, call: fn(&Call) -> Call) -> Box<Envelopes> {
    Box::new(move |_, inventor| bulk::access(Api::Rest, |invented| render(&format, &call(invented)), inventor))
}

/// Gives every third call an agent of other letters.
fn with_odd_agent(call: &Call) -> Call {
    let odd = ODD_AGENTS.get(call.item as usize % (3 * ODD_AGENTS.len()));
    Call { user_agent: odd.copied().unwrap_or(call.user_agent), ..call.clone() }
}

/// Returns a JSON format with the keys of its outermost object in the order of a seed, with spaces between them or without.
fn arranged(format: &str, seed: u64) -> String {
    let inside = format.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(format);
    let mut depth = 0_usize;
    let is_between = |character: char| {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && character == ','
    };
    let mut keys: Vec<&str> = inside.split(is_between).collect();
    Rng::with_seed(seed).shuffle(&mut keys);
    format!("{{{}}}", keys.join(if seed.is_multiple_of(2) { ", " } else { "," }))
}
