//! Access-log lines: a format string of `$context` variables, filled in as API Gateway fills it in.
//!
//! Source of the documented formats:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html>, `http-api-logging.html` and
//! `websocket-api-logging.html` beside it.

use super::call::Call;

/// The documented common log format of a REST API.
pub const REST_CLF: &str = r#"$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime]"$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength $context.requestId $context.extendedRequestId"#;
/// The documented JSON format of a REST API.
pub const REST_JSON: &str = r#"{ "requestId":"$context.requestId", "extendedRequestId":"$context.extendedRequestId","ip": "$context.identity.sourceIp", "caller":"$context.identity.caller", "user":"$context.identity.user", "requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod", "resourcePath":"$context.resourcePath", "status":"$context.status", "protocol":"$context.protocol", "responseLength":"$context.responseLength" }"#;
/// The documented XML format of a REST API.
pub const REST_XML: &str = r#"<request id="$context.requestId"> <extendedRequestId>$context.extendedRequestId</extendedRequestId> <ip>$context.identity.sourceIp</ip> <caller>$context.identity.caller</caller> <user>$context.identity.user</user> <requestTime>$context.requestTime</requestTime> <httpMethod>$context.httpMethod</httpMethod> <resourcePath>$context.resourcePath</resourcePath> <status>$context.status</status> <protocol>$context.protocol</protocol> <responseLength>$context.responseLength</responseLength> </request>"#;
/// The documented CSV format of a REST API.
pub const REST_CSV: &str = "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,$context.requestTime,$context.httpMethod,$context.resourcePath,$context.protocol,$context.status,$context.responseLength,$context.requestId,$context.extendedRequestId";

/// The documented common log format of an HTTP API.
pub const HTTP_CLF: &str = r#"$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.routeKey $context.protocol" $context.status $context.responseLength $context.requestId $context.extendedRequestId"#;
/// The documented JSON format of an HTTP API.
pub const HTTP_JSON: &str = r#"{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", "requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod","routeKey":"$context.routeKey", "status":"$context.status","protocol":"$context.protocol", "responseLength":"$context.responseLength", "extendedRequestId": "$context.extendedRequestId" }"#;
/// The documented XML format of an HTTP API.
pub const HTTP_XML: &str = r#"<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> <requestTime>$context.requestTime</requestTime> <httpMethod>$context.httpMethod</httpMethod> <routeKey>$context.routeKey</routeKey> <status>$context.status</status> <protocol>$context.protocol</protocol> <responseLength>$context.responseLength</responseLength> <extendedRequestId>$context.extendedRequestId</extendedRequestId> </request>"#;
/// The documented CSV format of an HTTP API.
pub const HTTP_CSV: &str = "$context.identity.sourceIp,$context.requestTime,$context.httpMethod,$context.routeKey,$context.protocol,$context.status,$context.responseLength,$context.requestId,$context.extendedRequestId";

/// The documented common log format of a WebSocket API.
pub const WEBSOCKET_CLF: &str = r#"$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] "$context.eventType $context.routeKey $context.connectionId" $context.status $context.requestId"#;
/// The documented JSON format of a WebSocket API.
pub const WEBSOCKET_JSON: &str = r#"{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", "caller":"$context.identity.caller", "user":"$context.identity.user", "requestTime":"$context.requestTime", "eventType":"$context.eventType", "routeKey":"$context.routeKey", "status":"$context.status", "connectionId":"$context.connectionId" }"#;
/// The documented XML format of a WebSocket API.
pub const WEBSOCKET_XML: &str = r#"<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> <caller>$context.identity.caller</caller> <user>$context.identity.user</user> <requestTime>$context.requestTime</requestTime> <eventType>$context.eventType</eventType> <routeKey>$context.routeKey</routeKey> <status>$context.status</status> <connectionId>$context.connectionId</connectionId> </request>"#;
/// The documented CSV format of a WebSocket API.
pub const WEBSOCKET_CSV: &str = "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,$context.requestTime,$context.eventType,$context.routeKey,$context.connectionId,$context.status,$context.requestId";

/// A format of one's own, as wide as those that are used: its lines have some 780 bytes. No format that is documented.
pub const WIDE_JSON: &str = r#"{"requestId":"$context.requestId","extendedRequestId":"$context.extendedRequestId","requestTime":"$context.requestTime","requestTimeEpoch":$context.requestTimeEpoch,"httpMethod":"$context.httpMethod","path":"$context.path","resourcePath":"$context.resourcePath","protocol":"$context.protocol","status":$context.status,"responseLength":$context.responseLength,"responseLatency":$context.responseLatency,"integrationLatency":"$context.integrationLatency","integrationStatus":"$context.integrationStatus","integrationRequestId":"$context.integration.requestId","errorMessage":"$context.error.message","ip":"$context.identity.sourceIp","userAgent":"$context.identity.userAgent","user":"$context.identity.user","userArn":"$context.identity.userArn","cognitoIdentityId":"$context.identity.cognitoIdentityId","wafResponseCode":"$context.wafResponseCode","principalId":"$context.authorizer.principalId","accountId":"$context.accountId","apiId":"$context.apiId","stage":"$context.stage","domainName":"$context.domainName","xrayTraceId":"$context.xrayTraceId"}"#;

const SIGIL: &str = "$context.";

/// Fills in a format. A variable without a value becomes `-`.
#[must_use]
pub fn render(format: &str, call: &Call) -> String {
    let mut line = String::with_capacity(format.len());
    let mut rest = format;
    while let Some((before, after)) = rest.split_once(SIGIL) {
        line.push_str(before);
        let ends = |character: char| !(character.is_ascii_alphanumeric() || character == '.');
        let (name, behind) = after.split_at(after.find(ends).unwrap_or(after.len()));
        line.push_str(&call.context(name));
        rest = behind;
    }
    line.push_str(rest);
    line
}

#[cfg(test)]
mod tests {
    use super::super::call::{Api, Inventor, START_MS};
    use super::*;

    fn call(api: Api) -> Call {
        Call {
            at_ms: START_MS,
            request_id: "r".to_owned(),
            extended_id: "x".to_owned(),
            source_ip: "192.0.2.1".to_owned(),
            method: "GET",
            resource: "/pets",
            status: 200,
            length: 9,
            ..Inventor::new(1).call(api)
        }
    }

    #[test]
    fn variables_are_filled_in_where_they_stand() {
        assert_eq!(
            render(REST_CLF, &call(Api::Rest)),
            r#"192.0.2.1 - - [21/Nov/2026:18:59:00 +0000]"GET /pets HTTP/1.1" 200 9 r x"#
        );
        assert_eq!(
            render(HTTP_CSV, &call(Api::Http)),
            "192.0.2.1,21/Nov/2026:18:59:00 +0000,GET,GET /pets,HTTP/1.1,200,9,r,x"
        );
    }

    #[test]
    fn a_wide_line_is_json_of_some_780_bytes() {
        let mut inventor = Inventor::new(3);
        let lines: Vec<_> = (0..100).map(|_| render(WIDE_JSON, &inventor.call(Api::Rest))).collect();
        assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        let mean = lines.iter().map(String::len).sum::<usize>() / lines.len();
        assert!((740..820).contains(&mean), "{mean}");
    }
}
