//! Invented Firehose transformation events: requests to APIs that do not exist, the lines that API Gateway would log of
//! them, the envelopes that CloudWatch Logs would put them in, and the events that Firehose would make of those.
//!
//! All of it follows from a seed. Addresses are from the ranges for documentation, hosts are under `example.com`, the
//! account is 111122223333, and every credential says that it is none.
//!
//! A program that needs the events includes this folder at its root, where it must be `pub`, since no program uses all
//! of it:
//!
//! ```ignore
//! #[path = "../../examples/generate_events/events/mod.rs"]
//! pub mod events;
//! ```

pub mod access;
pub mod bulk;
pub mod call;
pub mod envelope;
pub mod execution;
pub mod firehose;
pub mod samples;
pub mod secrets;
