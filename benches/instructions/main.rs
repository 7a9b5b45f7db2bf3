//! What `benches/instructions/run` counts: from event to bodies, so many times over.
//!
//! ```text
//! instructions                            tells the names of the shapes
//! instructions --write SHAPE FILE         makes the events of a shape, one of each seed, and tells their decoded bytes
//! instructions SHAPE FILE TIMES           takes them to bodies so often
//! ```
//!
//! The events are made in a run of its own, which is not counted; reading them is the same in every run, and drops out of the
//! difference between two of them.

#![expect(clippy::print_stdout, reason = "a script reads it")]

#[path = "../cases/mod.rs"]
pub mod cases;
#[path = "../../examples/generate_events/events/mod.rs"]
#[cfg_attr(test, expect(unused_imports, dead_code, reason = "cargo sets `test` for a benchmark and collects no tests"))]
pub mod events;

use std::hint::black_box;
use std::{env, fs, io};

use cases::{Case, SEEDS, SHAPES, Shape, bodies, settings};

/// Size of an event in bytes of payload: a few records.
const PAYLOAD_BYTES: usize = 150_000;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--write", shape, file] => {
            let cases = SEEDS.map(|seed| Case::new(Shape::named(shape), PAYLOAD_BYTES, seed));
            println!("{}", cases.iter().map(Case::decoded_bytes).sum::<usize>());
            fs::write(file, cases.map(|case| case.payload).join("\n"))
        }
        [shape, file, times] => {
            let payloads = fs::read_to_string(file)?;
            let shape = Shape::named(shape);
            let settings = SEEDS.map(|seed| settings(&shape.setting(seed)));
            let cases: Vec<_> = payloads.lines().zip(&settings).collect();
            let times: usize = times.parse().map_err(io::Error::other)?;
            for _ in 0..times {
                for (payload, settings) in &cases {
                    black_box(bodies(black_box(payload), settings));
                }
            }
            Ok(())
        }
        // `cargo bench` runs every benchmark.
        _ => {
            for shape in SHAPES {
                println!("{}", shape.name);
            }
            Ok(())
        }
    }
}
