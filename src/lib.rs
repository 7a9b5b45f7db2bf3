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
//! [`forwarder`] is the whole flow on one page. Everything up to `batch`, and `retry`, is plain functions over data: no clock, no
//! environment, no socket.

pub mod config;
pub mod secret;

pub mod firehose;
pub mod json;
pub mod subscription;

pub mod access_log;
pub mod execution_log;
pub mod redact;

pub mod archive;
pub mod batch;
pub mod event;

pub mod client;
pub mod delivery;
pub mod retry;
pub mod token;

pub mod forwarder;
pub mod ledger;
pub mod metrics;
pub mod summary;
