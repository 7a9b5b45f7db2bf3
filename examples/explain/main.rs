//! Shows what a log line becomes: the event as it would leave, the format that took it, or where no format did.
//!
//! ```text
//! cargo run --example explain -- --format '$context.requestId $context.status' '1c9d-22 200'
//! cargo run --example explain -- --format @main.tf
//! aws logs tail API-Gateway-Execution-Logs_a1b2c3/prod | cargo run --example explain -- -
//! ```
//!
//! Lines may come in whatever people have at hand (`pasted`), formats in a piece of a source file (`source`). Events go to
//! standard output, everything else to standard error, so that a pipe gets JSON.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use apigw_log_forwarder::access_log::Formats;
use apigw_log_forwarder::destination::DESTINATIONS;
use apigw_log_forwarder::redact::Redactor;
use clap::{CommandFactory as _, Parser};

mod caret;
mod lines;
mod mistakes;
mod pasted;
mod pretty;
mod setting;
mod source;
mod wire;

use lines::Setup;

/// Shows what a log line of API Gateway becomes, which format took it, or where none did.
#[derive(Debug, Parser)]
#[command(name = "explain", version, after_help = EXAMPLES)]
struct Arguments {
    /// The access-log format of an API stage, or @FILE; may be given several times. Without one, the formats that AWS documents.
    /// The format in a piece of Terraform, YAML or a program is found
    #[arg(short, long = "format", value_name = "FORMAT", allow_hyphen_values = true)]
    formats: Vec<String>,
    /// A file of formats, one a line, as in `ACCESS_LOG_FORMAT`
    #[arg(long, value_name = "FILE")]
    format_file: Vec<String>,
    /// The log group of the lines: those of API-Gateway-Execution-Logs_API/STAGE are stitched to requests
    #[arg(short, long, default_value = "")]
    group: String,
    /// The destination: what an event looks like there
    #[arg(short, long, default_value = "json", value_parser = DESTINATIONS.map(|row| row.name))]
    destination: String,
    /// Show credentials as they came
    #[arg(long)]
    no_redact: bool,
    /// Log lines, @FILE, or - for standard input: also a CloudWatch Logs envelope, a Firehose event, an object of failed/, base64,
    /// gzip, or what aws logs tail and aws logs filter-log-events write
    line: Vec<String>,
}

const EXAMPLES: &str = r#"Examples:
  What a line becomes:
    explain --format '$context.requestId $context.status' '1c9d-22 200'
  What a format was understood to be, before a stage is deployed with it:
    explain --format @main.tf
  What Datadog would be sent:
    explain --destination datadog '{"id":"1c9d-22","status":200}'
  The requests of an execution log:
    aws logs tail API-Gateway-Execution-Logs_a1b2c3/prod | explain -
  Why records were kept:
    aws s3 cp s3://BUCKET/failed/KEY - | explain -

Events go to standard output, explanations to standard error.
`id` and `timestamp` stand in for those of the log event where the line comes without.
Exit code 1: a format is invalid, a line became `text` or has not the format given."#;

fn main() -> ExitCode {
    match run(&Arguments::parse_from(arguments(std::env::args_os()))) {
        Ok(code) => code,
        // `explain … | head` is no fault.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Marks a line that starts with a dash, as `- - [21/Nov/2026…` does, as none of the flags.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.collect();
    let is_flags_end = |argument: &OsString| argument == "--";
    let is_line = |argument: &OsString| argument.to_str().is_some_and(|text| text.starts_with("- "));
    if let Some(at) = arguments.iter().position(|argument| is_line(argument) || is_flags_end(argument))
        && arguments.get(at).is_some_and(is_line)
        && !arguments.get(at.wrapping_sub(1)).is_some_and(|before| before == "-f" || before == "--format")
    {
        arguments.insert(at, "--".into());
    }
    arguments
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    let setting = read_setting(arguments)?;
    if arguments.line.is_empty() && setting.is_none() {
        write!(io::stderr(), "{}", Arguments::command().render_long_help())?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(setting) = setting else {
        return explain_lines(arguments, &Formats::documented(), false);
    };
    match Formats::compile(&setting) {
        Ok(formats) => {
            write!(io::stderr(), "{}", setting::outline(&formats))?;
            explain_lines(arguments, &formats, true)
        }
        Err(errors) => {
            write!(io::stderr(), "{}", setting::problems(&errors, &setting))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Puts the formats together as the function's setting has them: one a line. `None` if there are none.
fn read_setting(arguments: &Arguments) -> io::Result<Option<String>> {
    let mut texts = Vec::new();
    for format in &arguments.formats {
        texts.push(text_or_file(format)?);
    }
    for file in &arguments.format_file {
        texts.push(fs::read(file).map_err(|error| of_file(file, &error))?);
    }
    let mut formats = Vec::new();
    for text in texts {
        let text = String::from_utf8(text).map_err(|_| io::Error::other("a format is not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let undone = source::undone(&text);
        for format in &undone {
            writeln!(io::stderr(), "note: {}; the format alone is:\n  {}\n", format.what, format.format)?;
        }
        if undone.is_empty() {
            formats.push(text);
        } else {
            formats.extend(undone.into_iter().map(|found| found.format));
        }
    }
    Ok(if formats.is_empty() { None } else { Some(formats.join("\n")) })
}

/// Returns an argument, or what is in the file that it names: with an @, or without where there is a file of that name.
fn text_or_file(argument: &str) -> io::Result<Vec<u8>> {
    if let Some(file) = argument.strip_prefix('@') {
        return fs::read(file).map_err(|error| of_file(file, &error));
    }
    if !argument.contains(['$', '\n']) && Path::new(argument).is_file() {
        writeln!(io::stderr(), "note: {argument} is a file: read as @{argument}")?;
        return fs::read(argument).map_err(|error| of_file(argument, &error));
    }
    Ok(argument.as_bytes().to_vec())
}

fn of_file(file: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{file}: {error}"))
}

fn explain_lines(arguments: &Arguments, formats: &Formats, is_set: bool) -> io::Result<ExitCode> {
    let mut bytes = Vec::new();
    for (index, line) in arguments.line.iter().enumerate() {
        if index > 0 {
            bytes.push(b'\n');
        }
        match line.as_str() {
            "-" => drop(io::stdin().read_to_end(&mut bytes)?),
            line => bytes.extend(text_or_file(line)?),
        }
    }
    if bytes.is_empty() && arguments.line.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let redactor = if arguments.no_redact { Redactor::off() } else { Redactor::new(std::iter::empty::<&str>()) };
    let redactor = redactor.with_format_names(formats.secret_names(&redactor));
    let destination = DESTINATIONS.into_iter().find(|row| row.name == arguments.destination).expect("one of the list");
    let layout = destination.layout();
    let now = jiff::Timestamp::now().as_millisecond();
    let group = &arguments.group;
    let setup = Setup { group, formats, is_set, redactor: &redactor, layout: &layout, now };
    let explained = lines::explain(&pasted::take_apart(&bytes, group), setup);
    for step in &explained.steps {
        write!(io::stderr(), "{}", step.note)?;
        if let Some(event) = &step.event {
            writeln!(io::stdout(), "{}", wire::show(event))?;
        }
    }
    Ok(if explained.all_understood { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
