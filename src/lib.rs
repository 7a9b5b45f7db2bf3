//! Delivers every API Gateway log event from Amazon Data Firehose to an analytics API, and answers Firehose record by record.
//!
//! The way of the data:
//!
//! ```text
//! Firehose ─► firehose ─► subscription ─► line (access_log | execution_log) ─► event ─► batch ─► delivery ─► analytics API
//!             (records)   (envelopes,      (typed fields, requests)           (JSON,   (bodies)  ▲
//!    ▲                     lines)                                             redacted)          │ token or key
//!    │                                                                                         token ─► Parameter Store,
//!    └──────────────── ledger (one verdict for each record) ◄────────── what was accepted              token endpoint
//! ```
//!
//! [`forwarder`] is the whole flow on one page. [`intake`] is the half of it that waits for nothing: plain functions over data,
//! no clock, no environment, no socket.
//!
//! A module uses those above it in this list and none below; a test holds that.

// What all others use.
pub mod compress;
pub mod counts;
pub mod inflate;
pub mod json;
pub mod log;
pub mod retry;
pub mod secret;
pub mod wildcard;

// From bytes to lines.
pub mod firehose;
pub mod subscription;

// From a line to what it says, without what is secret.
pub mod ids;
pub mod layout;

pub mod head;
mod header_map;
pub mod redact;

pub mod derive;

pub mod access_log;
pub mod execution_log;

pub mod line;

// From what it says to bodies, and the books.
pub mod otlp;

pub mod event;
pub mod selection;

pub mod archive;
pub mod batch;
pub mod ledger;

// From a body to what was accepted of it.
pub mod client;
pub mod token;

pub mod delivery;

// What failed, where it is kept.
pub mod aws;

// All together.
pub mod destination;

pub mod config;

pub mod intake;
pub mod summary;

pub mod forwarder;

pub mod process;

pub mod check;
pub mod redrive;
pub mod subscriber;
