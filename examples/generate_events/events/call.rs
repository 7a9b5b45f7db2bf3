//! One invented request to an invented API, and what invents it.

use fastrand::Rng;
use jiff::Timestamp;

/// When the invented time begins: 2026-11-21T18:59:00Z, in milliseconds since the Unix epoch.
pub const START_MS: i64 = 1_795_287_540_000;
/// The account that owns everything.
pub const ACCOUNT: &str = "111122223333";

/// The kind of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// A REST API.
    Rest,
    /// An HTTP API.
    Http,
    /// A WebSocket API.
    WebSocket,
}

impl Api {
    /// Returns the API's id.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Rest => "a1b2c3d4e5",
            Self::Http => "h1j2k3m4n5",
            Self::WebSocket => "w1x2y3z4v5",
        }
    }

    /// Returns the name of its one stage.
    #[must_use]
    pub fn stage(self) -> &'static str {
        match self {
            Self::Rest => "prod",
            Self::Http => "$default",
            Self::WebSocket => "live",
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The API that it went to.
    pub api: Api,
    /// When it came, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// A UUID for a REST API, else the same as the extended id.
    pub request_id: String,
    /// API Gateway's own id.
    pub extended_id: String,
    /// The id that the integration gave.
    pub integration_id: String,
    /// The client's address.
    pub source_ip: String,
    /// The client's name for itself.
    pub user_agent: &'static str,
    /// The method. `-` for a WebSocket API.
    pub method: &'static str,
    /// The path template. `-` for a WebSocket API.
    pub resource: &'static str,
    /// The number that stands in the path.
    pub item: u32,
    /// What a WebSocket API calls the event and its route; `-` for the others.
    pub socket: (&'static str, &'static str),
    /// A WebSocket connection's id.
    pub connection_id: String,
    /// The status answered.
    pub status: u16,
    /// The integration's part of the time, in milliseconds.
    pub integration_ms: u32,
    /// The whole time, in milliseconds.
    pub latency_ms: u32,
    /// The answer's length in bytes.
    pub length: u32,
    /// The X-Ray trace.
    pub trace: String,
}

const USER_AGENTS: [&str; 4] = [
    "curl/8.15.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "okhttp/5.1.0",
    "example-client/2.4 (batch; +https://example.com/bot)",
];

const RESOURCES: [(&str, &str); 6] = [
    ("GET", "/pets"),
    ("GET", "/pets/{petId}"),
    ("POST", "/pets"),
    ("PUT", "/pets/{petId}"),
    ("DELETE", "/pets/{petId}"),
    ("GET", "/orders/{orderId}/items"),
];

const SOCKET_ROUTES: [(&str, &str); 4] =
    [("CONNECT", "$connect"), ("MESSAGE", "sendmessage"), ("MESSAGE", "$default"), ("DISCONNECT", "$disconnect")];

impl Call {
    /// Returns the path as it was asked for, without the stage.
    #[must_use]
    pub fn path(&self) -> String {
        let item = self.item.to_string();
        self.resource.replace("{petId}", &item).replace("{orderId}", &item)
    }

    /// Returns the time as API Gateway's common log format writes it: `21/Nov/2026:18:59:00 +0000`.
    #[must_use]
    pub fn time(&self) -> String {
        timestamp(self.at_ms).strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
    }

    /// Returns the value of a `$context` variable, named without that prefix: `-` where it has none.
    #[must_use]
    pub fn context(&self, variable: &str) -> String {
        let text = match variable {
            "requestId" => &self.request_id,
            "extendedRequestId" => &self.extended_id,
            "integration.requestId" | "awsEndpointRequestId" => &self.integration_id,
            "identity.sourceIp" => &self.source_ip,
            "identity.userAgent" => self.user_agent,
            "requestTime" => return self.time(),
            "requestTimeEpoch" => return self.at_ms.to_string(),
            "httpMethod" => self.method,
            "resourcePath" => self.resource,
            "path" => return format!("/{}{}", self.api.stage(), self.path()),
            "routeKey" if self.api == Api::WebSocket => self.socket.1,
            "routeKey" => return format!("{} {}", self.method, self.resource),
            "eventType" => self.socket.0,
            "connectionId" => &self.connection_id,
            "protocol" => "HTTP/1.1",
            "status" | "integration.status" => return self.status.to_string(),
            "integrationStatus" => "200",
            "integrationLatency" | "integration.latency" => return self.integration_ms.to_string(),
            "responseLatency" => return self.latency_ms.to_string(),
            "responseLength" => return self.length.to_string(),
            "accountId" => ACCOUNT,
            "apiId" => self.api.id(),
            "stage" => self.api.stage(),
            "domainName" => "api.example.com",
            "xrayTraceId" => &self.trace,
            "error.message" if self.status == 403 => "Missing Authentication Token",
            "error.messageString" if self.status == 403 => "\"Missing Authentication Token\"",
            _ => "-",
        };
        text.to_owned()
    }
}

/// What invents: the same seed invents the same.
#[derive(Debug, Clone)]
pub struct Inventor {
    rng: Rng,
    now_ms: i64,
}

impl Inventor {
    /// Begins at [`START_MS`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), now_ms: START_MS }
    }

    /// Invents a request, a little later than the one before.
    pub fn call(&mut self, api: Api) -> Call {
        let at_ms = self.tick();
        let (method, resource) = match api {
            Api::WebSocket => ("-", "-"),
            Api::Rest | Api::Http => self.one_of(&RESOURCES),
        };
        let socket = if api == Api::WebSocket { self.one_of(&SOCKET_ROUTES) } else { ("-", "-") };
        let extended_id = format!("{}=", self.letters(15));
        let integration_ms = self.rng.u32(4..180);
        Call {
            api,
            at_ms,
            request_id: if api == Api::Rest { self.uuid() } else { extended_id.clone() },
            extended_id,
            integration_id: self.uuid(),
            source_ip: self.source_ip(),
            user_agent: self.one_of(&USER_AGENTS),
            method,
            resource,
            item: self.rng.u32(1..10_000),
            socket,
            connection_id: format!("{}=", self.letters(15)),
            status: self.one_of(&[200, 200, 200, 200, 200, 201, 403, 404, 500]),
            integration_ms,
            latency_ms: integration_ms + self.rng.u32(2..12),
            length: self.rng.u32(2..20_000),
            trace: format!("1-{:08x}-{:024x}", at_ms / 1000, self.rng.u128(..) >> 32),
        }
    }

    /// Passes some milliseconds and returns what time it is then.
    pub fn tick(&mut self) -> i64 {
        self.now_ms += self.rng.i64(1..40);
        self.now_ms
    }

    /// Invents a UUID of version 4.
    pub fn uuid(&mut self) -> String {
        let (a, b) = (self.rng.u64(..), self.rng.u64(..));
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// Invents the id of a log event: 56 digits, of which the first tell the time.
    pub fn event_id(&mut self, at_ms: i64) -> String {
        // The ids of CloudWatch Logs are milliseconds shifted by 144 bits, and something below.
        let exact = format!("{:.0}", at_ms as f64 * 2_f64.powi(144));
        format!("{exact:.20}{}", self.digits(36))
    }

    /// Invents so many decimal digits.
    pub fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| self.rng.digit(10)).collect()
    }

    /// Invents so many hexadecimal digits.
    pub fn hex(&mut self, count: usize) -> String {
        (0..count).map(|_| self.rng.digit(16)).collect()
    }

    /// Chooses one.
    ///
    /// # Panics
    /// If there is none.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        *self.rng.choice(choices).expect("there is something to choose from")
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| self.rng.alphanumeric()).collect()
    }

    fn source_ip(&mut self) -> String {
        match self.rng.u8(0..4) {
            0 => format!("2001:db8::{:x}:{:x}", self.rng.u16(1..), self.rng.u16(1..)),
            1 => format!("198.51.100.{}", self.rng.u8(1..255)),
            _ => format!("192.0.2.{}", self.rng.u8(1..255)),
        }
    }
}

/// A time in milliseconds since the Unix epoch, as what can be written out.
pub(super) fn timestamp(at_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(at_ms).expect("a time of this century")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_invents_the_same_again() {
        let call = |seed| format!("{:?}", Inventor::new(seed).call(Api::Rest));
        assert_eq!(call(7), call(7));
        assert_ne!(call(7), call(8));
    }

    #[test]
    fn an_event_id_has_56_digits() {
        let id = Inventor::new(1).event_id(START_MS);
        assert!(id.len() == 56 && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
        assert!(id.starts_with("400"), "{id}");
    }

    #[test]
    fn time_is_written_as_the_common_log_format_has_it() {
        let call = Call { at_ms: START_MS, ..Inventor::new(1).call(Api::Rest) };
        assert_eq!(call.time(), "21/Nov/2026:18:59:00 +0000");
    }
}
