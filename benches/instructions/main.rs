//! What `benches/instructions/run` counts: from event to bodies, so many times over.
//!
//! ```text
//! instructions --write KIND FILE          makes the event of a kind and tells its decoded bytes
//! instructions KIND FILE TIMES            takes it to bodies so often
//! ```
//!
//! The event is made in a run of its own, which is not counted; reading it is the same in every run, and drops out of the
//! difference between two of them.

#![expect(clippy::print_stdout, reason = "a script reads it")]

#[path = "../cases/mod.rs"]
pub mod cases;
#[path = "../../examples/generate_events/events/mod.rs"]
#[cfg_attr(test, expect(unused_imports, dead_code, reason = "cargo sets `test` for a benchmark and collects no tests"))]
pub mod events;

use std::hint::black_box;
use std::{env, fs, io};

use cases::{Case, bodies, settings};

/// Size of the event in bytes of payload: a few records.
const PAYLOAD_BYTES: usize = 300_000;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--write", kind, file] => {
            let case = Case::new(kind, PAYLOAD_BYTES);
            println!("{}", case.decoded_bytes());
            fs::write(file, &case.payload)
        }
        [kind, file, times] => {
            let (_, format) = Case::setting(kind);
            let (payload, settings) = (fs::read_to_string(file)?, settings(format));
            let times: usize = times.parse().map_err(io::Error::other)?;
            for _ in 0..times {
                black_box(bodies(black_box(&payload), &settings));
            }
            Ok(())
        }
        // `cargo bench` runs every benchmark.
        _ => {
            println!("run by benches/instructions/run");
            Ok(())
        }
    }
}
