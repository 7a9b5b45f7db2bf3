//! The services alone, for the built function, and a line for each request that the analytics API gets.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::loopback::Posted;
use crate::sample_events;
use crate::screen::{cut, wrapped};
use crate::units::{bytes, plural, time};
use crate::world::World;

/// Where the environment goes, from the package's folder.
const FILE: &str = "target/quickstart.env";
/// How often to look whether a request has been answered.
const LOOK: Duration = Duration::from_millis(10);

/// Serves until the process ends. Shows the first events that come, so many in all.
pub(crate) async fn serve(world: &World, mut wanted: usize, width: usize, out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> = world.environment().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    fs::create_dir_all(file.parent().unwrap_or(&file))?;
    fs::write(&file, lines.join("\n") + "\n")?;
    let what = "The analytics API, the token endpoint and the Parameter Store run on this machine, until Ctrl-C.";
    wrapped("", what, width, out)?;
    wrapped("", &format!("What the function needs to find them is in {FILE}:"), width, out)?;
    writeln!(out)?;
    for line in &lines {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "\nIn a second terminal, the function:\n")?;
    writeln!(out, "  cargo lambda watch --env-file {FILE}\n")?;
    wrapped("", "In a third one an event; for the first, the function is built, which takes minutes:", width, out)?;
    writeln!(out, "\n  cargo lambda invoke apigw-log-forwarder \\\n      --data-file events/rest-access-json.json\n")?;
    writeln!(out, "What the analytics API gets:\n")?;
    out.flush()?;
    for number in 0.. {
        let posted = answered(world, number).await;
        writeln!(out, "{}", cut(&line(number + 1, &posted), width))?;
        if posted.accepted() {
            sample_events::show(std::slice::from_ref(&posted), wanted, width, out)?;
            wanted = wanted.saturating_sub(posted.events.len());
        }
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
        "{} #{number} {} {} → {status}  {}, {}, {}",
        Timestamp::now().strftime("%H:%M:%SZ"),
        received.method,
        received.path,
        plural(posted.events.len(), "event"),
        bytes(received.body.len()),
        time(took),
    )
}
