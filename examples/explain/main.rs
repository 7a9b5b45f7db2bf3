//! Shows what a log line becomes: the event as it would leave, the format that took it, or where no format did.
//!
//! ```text
//! cargo run --example explain -- --format '$context.requestId $context.status' '1c9d-22 200'
//! aws logs tail API-Gateway-Execution-Logs_a1b2c3/prod --format short | cut -d' ' -f2- |
//!     cargo run --example explain -- --group API-Gateway-Execution-Logs_a1b2c3/prod -
//! ```
//!
//! Events go to standard output, everything else to standard error, so that a pipe gets JSON. The exit code is 1 if a format
//! is invalid or a line became `text`.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use apigw_log_forwarder::access_log::Formats;
use apigw_log_forwarder::destination::DESTINATIONS;
use apigw_log_forwarder::redact::Redactor;
use clap::{CommandFactory as _, Parser};

mod caret;
mod lines;
mod pretty;
mod setting;
mod wire;

/// Shows what a log line of API Gateway becomes, which format took it, or where none did.
#[derive(Debug, Parser)]
#[command(name = "explain", after_help = EXAMPLES)]
struct Arguments {
    /// The access-log format of an API stage, or @FILE; may be given several times. Without one, the formats that AWS documents
    #[arg(short, long = "format", value_name = "FORMAT", allow_hyphen_values = true)]
    formats: Vec<String>,
    /// A file of formats, one a line, as in `ACCESS_LOG_FORMAT`
    #[arg(long, value_name = "FILE")]
    format_file: Vec<PathBuf>,
    /// The log group of the lines: those of API-Gateway-Execution-Logs_API/STAGE are stitched to requests
    #[arg(short, long, default_value = "")]
    group: String,
    /// The destination: what an event looks like there
    #[arg(short, long, default_value = "json", value_parser = DESTINATIONS.map(|row| row.name))]
    destination: String,
    /// Show credentials as they came
    #[arg(long)]
    no_redact: bool,
    /// A log line, or - for lines on standard input; a CloudWatch Logs envelope is read as such
    #[arg(allow_hyphen_values = true)]
    line: Option<String>,
}

const EXAMPLES: &str = r#"Examples:
  What a line becomes:
    explain --format '{"id":"$context.requestId","status":$context.status}' '{"id":"1c9d-22","status":-}'
  What a format was understood to be, before a stage is deployed with it:
    explain --format @format.txt
  What Datadog would be sent:
    explain --destination datadog '{"id":"1c9d-22","status":200}'
  The requests of an execution log:
    explain --group API-Gateway-Execution-Logs_a1b2c3/prod - < lines.txt

Events go to standard output, explanations to standard error. `id` and `timestamp` stand in for those of the log event.
Exit code: 1 if a format is invalid or a line became `text`."#;

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.line.is_none() && arguments.formats.is_empty() && arguments.format_file.is_empty() {
        write!(io::stderr(), "{}", Arguments::command().render_long_help())?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(setting) = read_setting(&arguments)? else {
        return explain_lines(&arguments, &Formats::documented(), false);
    };
    match Formats::compile(&setting) {
        Ok(formats) => {
            write!(io::stderr(), "{}", setting::outline(&formats))?;
            explain_lines(&arguments, &formats, true)
        }
        Err(errors) => {
            write!(io::stderr(), "{}", setting::problems(&errors, &setting))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Puts the formats together as the function's setting has them: one a line. `None` if there are none.
fn read_setting(arguments: &Arguments) -> io::Result<Option<String>> {
    let mut formats = Vec::new();
    for format in &arguments.formats {
        formats.push(match format.strip_prefix('@') {
            Some(file) => read_file(Path::new(file))?,
            None => format.clone(),
        });
    }
    for file in &arguments.format_file {
        formats.push(read_file(file)?);
    }
    Ok(if formats.is_empty() { None } else { Some(formats.join("\n")) })
}

fn read_file(file: &Path) -> io::Result<String> {
    fs::read_to_string(file).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
}

fn explain_lines(arguments: &Arguments, formats: &Formats, is_set: bool) -> io::Result<ExitCode> {
    let text = match arguments.line.as_deref() {
        None => return Ok(ExitCode::SUCCESS),
        Some("-") => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(line) => line.to_owned(),
    };
    let redactor = if arguments.no_redact { Redactor::off() } else { Redactor::new(std::iter::empty::<&str>()) };
    let redactor = redactor.with_format_names(formats.secret_names(&redactor));
    let destination = DESTINATIONS.into_iter().find(|row| row.name == arguments.destination).expect("one of the list");
    let layout = destination.layout();
    let now = jiff::Timestamp::now().as_millisecond();
    let explained = lines::explain(&text, &arguments.group, formats, is_set, &redactor, &layout, now);
    for step in &explained.steps {
        write!(io::stderr(), "{}", step.note)?;
        if let Some(event) = &step.event {
            writeln!(io::stdout(), "{}", wire::show(event))?;
        }
    }
    Ok(if explained.all_understood { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
