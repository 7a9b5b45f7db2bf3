//! The function's own log: a line for each event, as text or as JSON; few and short, whatever came in.
//!
//! Ten thousand records that cannot be read must not write ten thousand lines, nor push out the one line that says why delivery
//! failed. So what logs keeps to a few lines of a kind, and here, at one place that nothing passes round, stands the bound on
//! all of them. What others have written (an id, a service's message) may be long and hold line feeds: values are cut, and no
//! character of them begins a new line.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;

/// Most lines of an invocation, beside its summary and its metrics. The last one says that others are left out.
pub const MAX_LINES: usize = 20;

/// Most bytes of what a line says: its message and its values.
const MAX_LINE_BYTES: usize = 1024;

/// Most characters of a text that comes from outside.
const MAX_FOREIGN_CHARACTERS: usize = 200;

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Level, message and `name=value`.
    Text,
    /// One JSON object.
    Json,
}

/// The log of this process.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Bound>);

impl Log {
    /// Has each line from this level on written by `write`.
    ///
    /// The level is this crate's alone. What the libraries say at a low level holds payloads and headers.
    #[must_use]
    pub fn start(form: Form, level: LevelFilter, write: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        let log = Self::default();
        let filter = Targets::new()
            .with_target(env!("CARGO_CRATE_NAME"), level)
            .with_target("lambda_runtime", LevelFilter::ERROR);
        tracing_subscriber::registry().with(filter).with(Lines { form, bound: Arc::clone(&log.0), write }).init();
        log
    }

    /// Starts an invocation's count of lines, or ends it by starting another. Returns how many lines were left out before.
    ///
    /// Before the first invocation nothing is bounded: all that is said there comes from the settings.
    #[expect(clippy::must_use_candidate, reason = "who starts the first count needs none before it")]
    pub fn begin(&self) -> usize {
        self.0.is_begun.store(true, Ordering::Relaxed);
        let lines = self.0.lines.swap(0, Ordering::Relaxed);
        // The line that says so stands in the place of one.
        (lines + 1).saturating_sub(MAX_LINES)
    }
}

/// How many lines there were.
#[derive(Debug, Default)]
struct Bound {
    is_begun: AtomicBool,
    lines: AtomicUsize,
}

/// What becomes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// It is written; so many bytes of it at most.
    Line(usize),
    /// It stands where the note on those left out stands.
    Note,
    /// It is left out.
    None,
}

impl Bound {
    fn take(&self) -> Room {
        if !self.is_begun.load(Ordering::Relaxed) {
            return Room::Line(usize::MAX);
        }
        match (self.lines.fetch_add(1, Ordering::Relaxed) + 1).cmp(&MAX_LINES) {
            std::cmp::Ordering::Less => Room::Line(MAX_LINE_BYTES),
            std::cmp::Ordering::Equal => Room::Note,
            std::cmp::Ordering::Greater => Room::None,
        }
    }
}

/// Shows the first 200 characters of a text that comes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Brief<'a>(pub &'a str);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_FOREIGN_CHARACTERS) {
            Some((end, _)) => write!(formatter, "{}…", self.0.get(..end).expect("a character starts there")),
            None => formatter.write_str(self.0),
        }
    }
}

/// Logs where the code has panicked. The panic's own message is left out: it may quote what was read.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|location| (location.file(), location.line()));
        let (file, line) = place.unzip();
        error!(file, line, "a fault of the function's own: the code has panicked");
    }));
}

/// Writes events as lines.
struct Lines<W> {
    form: Form,
    bound: Arc<Bound>,
    write: W,
}

impl<S: Subscriber, W: Fn(&[u8]) + 'static> tracing_subscriber::Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let line = match self.bound.take() {
            Room::Line(bytes) => {
                let mut line = Line::begin(self.form, level, bytes);
                event.record(&mut line);
                line.end()
            }
            Room::Note => {
                let mut line = Line::begin(self.form, Level::WARN, MAX_LINE_BYTES);
                line.message(format_args!("further lines of this invocation are left out"));
                line.end()
            }
            Room::None => return,
        };
        (self.write)(&line);
    }
}

/// A line that is being written.
struct Line {
    form: Form,
    /// Everything before the fields.
    head: Vec<u8>,
    fields: Vec<u8>,
    /// Bytes that what it says may still take.
    room: usize,
}

impl Line {
    fn begin(form: Form, level: Level, room: usize) -> Self {
        let head = match form {
            Form::Text => format!("{level:>5} "),
            Form::Json => format!(r#"{{"timestamp":"{:.6}","level":"{level}""#, Timestamp::now()),
        };
        Self { form, head: head.into_bytes(), fields: Vec::new(), room }
    }

    fn message(&mut self, message: fmt::Arguments<'_>) {
        match self.form {
            Form::Text => say(&mut self.head, &mut self.room, message),
            Form::Json => {
                self.head.extend_from_slice(b",\"message\":\"");
                say(&mut self.head, &mut self.room, message);
                self.head.push(b'"');
            }
        }
    }

    fn name(&mut self, field: &Field) {
        match self.form {
            Form::Text => self.fields.extend([b" ", field.name().as_bytes(), b"="].concat()),
            Form::Json => self.fields.extend([b",\"", field.name().as_bytes(), b"\":"].concat()),
        }
    }

    /// Writes what needs no quotes: a number or a truth.
    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        say(&mut self.fields, &mut self.room, format_args!("{value}"));
    }

    fn end(self) -> Vec<u8> {
        let end: &[u8] = match self.form {
            Form::Text => b"\n",
            Form::Json => b"}\n",
        };
        [self.head.as_slice(), &self.fields, end].concat()
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            return self.message(format_args!("{value:?}"));
        }
        self.name(field);
        self.fields.push(b'"');
        say(&mut self.fields, &mut self.room, format_args!("{value:?}"));
        self.fields.push(b'"');
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }
}

/// Writes a text as it stands inside a JSON string, as far as there is room.
fn say(out: &mut Vec<u8>, room: &mut usize, text: fmt::Arguments<'_>) {
    // Neither the end of the room nor writing to memory is an error.
    Said { out, room }.write_fmt(text).ok();
}

struct Said<'a> {
    out: &'a mut Vec<u8>,
    room: &'a mut usize,
}

impl fmt::Write for Said<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let before = self.out.len();
            match character {
                '"' | '\\' => self.out.extend([b'\\', character as u8]),
                '\n' => self.out.extend(b"\\n"),
                _ if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') => {
                    self.out.extend(format!("\\u{:04x}", u32::from(character)).bytes());
                }
                _ => self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            if let Some(room) = self.room.checked_sub(self.out.len() - before) {
                *self.room = room;
            } else {
                self.out.truncate(before);
                if *self.room > 0 {
                    self.out.extend_from_slice("…".as_bytes());
                }
                *self.room = 0;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::{info, warn};

    use super::*;

    /// What is written while `say` runs, by a log of this form that is in an invocation or not.
    fn written(form: Form, log: &Log, say: impl FnOnce()) -> String {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let write = move |line: &[u8]| kept.lock().expect("one thread").extend_from_slice(line);
        let subscriber = tracing_subscriber::registry().with(Lines { form, bound: Arc::clone(&log.0), write });
        tracing::subscriber::with_default(subscriber, say);
        String::from_utf8(lines.lock().expect("one thread").clone()).expect("text")
    }

    #[test]
    fn an_event_is_a_line_of_text_or_json() {
        let say = || warn!(count = 3, is_late = true, none = None::<u64>, reason = %"a \"b\"", "something was said");
        assert_eq!(
            written(Form::Text, &Log::default(), say),
            " WARN something was said count=3 is_late=true reason=\"a \\\"b\\\"\"\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&written(Form::Json, &Log::default(), say)).expect("one object");
        assert_eq!((&json["level"], &json["message"]), (&"WARN".into(), &"something was said".into()));
        assert_eq!((&json["count"], &json["is_late"], &json["reason"]), (&3.into(), &true.into(), &"a \"b\"".into()));
        assert!(json["timestamp"].as_str().expect("a text").parse::<Timestamp>().is_ok());
    }

    #[test]
    fn no_character_of_a_value_begins_a_line() {
        let hostile = "a\nb\r\n\u{1b}[31m\u{85}\u{2028}\u{0}{\"x\":1}";
        for form in [Form::Text, Form::Json] {
            let line = written(form, &Log::default(), || {
                warn!(shown = %hostile, told = ?hostile, text = hostile, "{hostile}");
            });
            assert_eq!(line.matches(['\n', '\r', '\u{1b}', '\u{85}', '\u{2028}']).count(), 1, "{line}");
            if form == Form::Json {
                let line: serde_json::Value = serde_json::from_str(&line).expect("one object");
                assert_eq!((&line["shown"], &line["message"]), (&hostile.into(), &hostile.into()));
            }
        }
    }

    #[test]
    fn what_a_line_says_is_cut_at_its_limit() {
        let log = Log::default();
        log.begin();
        for (length, is_cut) in
            [(MAX_LINE_BYTES - 2, false), (MAX_LINE_BYTES - 1, false), (MAX_LINE_BYTES, true), (400_000, true)]
        {
            let line = written(Form::Text, &log, || info!(long = "é".repeat(length).get(..length & !1), odd = 1, "m"));
            assert_eq!(line.contains('…'), is_cut, "{length}");
            assert!(line.len() < MAX_LINE_BYTES + 40, "{length}: {}", line.len());
        }
        let line = written(Form::Json, &log, || info!(long = "\n".repeat(400_000), "m"));
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }

    #[test]
    fn an_invocation_has_so_many_lines_and_the_last_one_says_so() {
        let log = Log::default();
        let say = |times: usize| (0..times).for_each(|number| info!(number, "said"));
        assert_eq!(written(Form::Text, &log, || say(100)).lines().count(), 100);
        for (times, lines, omitted) in [(0, 0, 0), (19, 19, 0), (20, 20, 1), (21, 20, 2), (5_000, 20, 4_981)] {
            log.begin();
            let text = written(Form::Text, &log, || say(times));
            assert_eq!(text.lines().count(), lines, "{times}");
            assert_eq!(text.contains("left out"), omitted > 0, "{times}");
            assert_eq!(log.begin(), omitted, "{times}");
        }
    }

    #[test]
    fn a_foreign_text_is_cut_between_characters() {
        let shown = |length: usize| Brief(&"é".repeat(length)).to_string();
        assert_eq!(shown(199).chars().count(), 199);
        assert_eq!(shown(200), "é".repeat(200));
        assert_eq!(shown(201), "é".repeat(200) + "…");
    }
}
