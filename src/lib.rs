//! Gets every API Gateway log event from Amazon Data Firehose to an analytics API, and answers Firehose record by record.
//!
//! The modules in the order in which data meets them:
//!
//! ```text
//! Firehose ─► firehose ─► subscription ─► access_log | execution_log ─► event ─► batch ─► delivery ─► analytics API
//!             (records)   (envelopes,     (typed fields, requests)      (JSON,   (≤ 1 MB)  ▲
//!    ▲                     lines)                                    redacted)             │ bearer
//!    │                                                                                   token ─► Parameter Store,
//!    └──────────────── ledger (one verdict for each record) ◄────────── what was accepted            token endpoint
//! ```
//!
//! [`forwarder`] is the whole flow on one page. [`intake`] is the half of it that waits for nothing; everything up to there, and
//! `retry`, is plain functions over data: no clock, no environment, no socket.

pub mod config;
pub mod counts;
pub mod log;
pub mod secret;

pub mod firehose;
mod header_map;
pub mod inflate;
pub mod json;
pub mod subscription;

pub mod head;
pub mod ids;

pub mod access_log;
pub mod execution_log;
pub mod redact;

pub mod line;

pub mod archive;
pub mod batch;
pub mod event;
pub mod ledger;

pub mod intake;

pub mod client;
pub mod delivery;
pub mod retry;
pub mod token;

pub mod forwarder;
pub mod summary;
