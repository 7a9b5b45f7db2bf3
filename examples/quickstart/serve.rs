//! The services alone, for the built function, and a line for each request that the analytics API gets.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::loopback::Posted;
use crate::units::{bytes, plural, time};
use crate::world::World;

/// Where the environment goes, from the package's folder.
const FILE: &str = "target/quickstart.env";
/// How often to look whether a request has been answered.
const LOOK: Duration = Duration::from_millis(10);

/// Serves until the process ends.
pub(crate) async fn serve(world: &World, out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> = world.environment().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    fs::create_dir_all(file.parent().unwrap_or(&file))?;
    fs::write(&file, lines.join("\n") + "\n")?;
    writeln!(out, "The analytics API, the token endpoint and the Parameter Store run on this machine, until Ctrl-C.")?;
    writeln!(out, "What the function needs to find them is in {FILE}:\n")?;
    for line in &lines {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\nIn a second terminal, the function:\n")?;
    writeln!(out, "  cargo lambda watch --env-file {FILE}\n")?;
    writeln!(out, "In a third one, an event:\n")?;
    writeln!(out, "  cargo lambda invoke apigw-log-forwarder --data-file events/rest-access-json.json\n")?;
    writeln!(out, "What the analytics API gets:\n")?;
    out.flush()?;
    for number in 0.. {
        let posted = answered(world, number).await;
        writeln!(out, "  {}", line(number + 1, &posted))?;
        out.flush()?;
        world.analytics.forget_bodies();
    }
    Ok(())
}

/// Waits for the request of this number, counted from 0, and for its answer.
async fn answered(world: &World, number: usize) -> Posted {
    world.analytics.received(number + 1).await;
    loop {
        if let Some(posted) = world.analytics.requests().into_iter().nth(number)
            && posted.received.finished.is_some()
        {
            return posted;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn line(number: usize, posted: &Posted) -> String {
    let received = &posted.received;
    let took = received.finished.unwrap_or_else(Instant::now) - received.started;
    let status = received.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
    format!(
        "{} #{number:<4} {} {} -> {status}  {:>12}  {:>8}  {:>8}",
        Timestamp::now().strftime("%H:%M:%SZ"),
        received.method,
        received.path,
        plural(posted.events.len(), "event"),
        bytes(received.body.len()),
        time(took),
    )
}
