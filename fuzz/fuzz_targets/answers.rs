//! Any text where a token, a pause or a verdict is read from: it returns, and a token is one that can be sent and kept.

#![no_main]

use std::time::{Duration, SystemTime};

use apigw_log_forwarder::retry;
use apigw_log_forwarder::token::Token;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_287_540);
    let _pause: Option<Duration> = retry::retry_after(text, now);
    if let Some(token) = Token::from_parameter(text) {
        assert!(token.access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(token.to_parameter().ok().and_then(|kept| Token::from_parameter(&kept)), Some(token));
    }
});
