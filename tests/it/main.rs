//! The built function under a Lambda Runtime API, with real HTTP to every service it talks to.

#![expect(clippy::indexing_slicing, reason = "a test that finds less than it expects is to fail")]

#[path = "../loopback/mod.rs"]
pub mod loopback;

#[path = "../../examples/generate_events/events/mod.rs"]
pub mod events;

#[path = "../../benches/naive/mod.rs"]
pub mod naive;

mod world;

mod breaker;
mod chaos;
mod check;
mod comparison;
mod destinations;
mod documentation;
mod examples;
mod execution;
mod faults;
mod flow;
mod formats;
mod hostile;
mod identity;
mod issuer;
mod log;
mod proxy;
mod receivers;
mod redrive;
mod redrive_by_hand;
mod redrive_crash;
mod redrive_large;
mod redrive_world;
mod samples;
mod schema;
mod soak;
mod start;
mod subscriber;
mod tls;
mod token;
mod token_crowd;
mod token_failures;
mod transport;
mod wild_formats;
