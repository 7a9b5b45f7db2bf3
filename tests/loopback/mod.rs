//! The world around the functions, as real HTTP servers on 127.0.0.1: the analytics API, the token endpoint, Parameter
//! Store, S3, SQS, CloudWatch Logs and the Lambda Runtime API.
//!
//! Each service binds a free port, answers by the rules of what it stands for, plays a script of faults where it is given
//! one, keeps every request, and stops when it is dropped. Nothing is shared between two of them, so tests run side by
//! side. Nothing here can reach another host.
//!
//! A program that needs them includes this folder at its root, where it must be `pub`, since no program uses all of it:
//!
//! ```ignore
//! #[path = "../loopback/mod.rs"]
//! pub mod loopback;
//! ```

mod analytics;
mod answer;
mod dialect;
mod function_process;
mod http2_api;
pub mod log_groups;
mod messages;
pub mod notification;
pub mod object_store;
pub mod parameter_store;
pub mod proxy;
pub mod queue;
mod runtime_api;
mod server;
mod signature;
pub mod tls;
mod token_endpoint;
mod tokens;
mod wire;

pub use analytics::{AnalyticsApi, Posted};
pub use answer::{Answer, Gate};
pub use function_process::{FunctionProcess, LOG_GROUP};
pub use http2_api::{Fate, Http2Api};
pub use log_groups::LogGroups;
pub use messages::Attributes;
pub use object_store::ObjectStore;
pub use parameter_store::ParameterStore;
pub use queue::Queue;
pub use runtime_api::{FUNCTION_ARN, Invocation, MAX_RESPONSE_BYTES, Outcome, RuntimeApi};
pub use server::Received;
pub use token_endpoint::{AuthStyle, CLIENT_ID, CLIENT_SECRET, ExpiresIn, Grant, TokenEndpoint};
pub use tokens::Tokens;
