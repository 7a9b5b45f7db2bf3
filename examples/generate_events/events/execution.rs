//! Execution-log lines: what API Gateway writes of one request to a REST API at level INFO with data tracing.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html>

use super::call::{ACCOUNT, Call, timestamp};

/// Bytes after which API Gateway cuts a line of the log group that it manages.
pub const LINE_CAP_BYTES: usize = 1024;
/// What it puts where it cut.
pub const TRUNCATED: &str = " [TRUNCATED]";

/// Writes the lines of one request, each with the request's id in front.
#[must_use]
pub fn trace(call: &Call) -> Vec<String> {
    let (id, api) = (&call.request_id, call.api.id());
    let (method, resource, path) = (call.method, call.resource, call.path());
    let uri = format!(
        "https://lambda.us-east-1.amazonaws.com/2015-03-31/functions/arn:aws:lambda:us-east-1:{ACCOUNT}:function:pets/invocations"
    );
    let request = format!(
        r#"{{"resource":"{resource}","path":"{path}","httpMethod":"{method}","headers":{{"Accept":"*/*","User-Agent":"{}"}},"queryStringParameters":{{"limit":"20"}},"body":null,"isBase64Encoded":false}}"#,
        call.user_agent
    );
    let answer = format!(r#"{{"statusCode":{},"body":"{{\"id\":{},\"type\":\"dog\"}}"}}"#, call.status, call.item);
    let body = format!(r#"{{"id":{},"type":"dog"}}"#, call.item);
    let mut texts = start(call);
    texts.extend([
        format!("HTTP Method: {method}, Resource Path: {path}"),
        format!("Method request path: {{petId={}}}", call.item),
        "Method request query string: {limit=20}".to_owned(),
        format!(
            "Method request headers: {{Accept=*/*, User-Agent={}, X-Forwarded-For={}, 203.0.113.9, X-Forwarded-Port=443, X-Amzn-Trace-Id=Root={}, Host=api.example.com}}",
            call.user_agent, call.source_ip, call.trace
        ),
        "Method request body before transformations: ".to_owned(),
        format!("Endpoint request URI: {uri}"),
        format!(
            "Endpoint request headers: {{x-amzn-lambda-integration-tag={id}, Authorization=****************************************************************************************************7c8ada, X-Amz-Date=20261121T185900Z, x-amzn-apigateway-api-id={api}, Accept=application/json, User-Agent=AmazonAPIGateway_{api}}}"
        ),
        format!("Endpoint request body after transformations: {request}"),
        format!("Sending request to {uri}"),
        format!("Received response. Status: 200, Integration latency: {} ms", call.integration_ms),
        format!(
            "Endpoint response headers: {{Date=Sat, 21 Nov 2026 18:59:00 GMT, Content-Type=application/json, Content-Length={}, Connection=keep-alive, x-amzn-RequestId={}}}",
            answer.len(),
            call.integration_id
        ),
        format!("Endpoint response body before transformations: {answer}"),
        format!("Method response body after transformations: {body}"),
        format!("Method response headers: {{X-Amzn-Trace-Id=Root={}, Content-Type=application/json}}", call.trace),
    ]);
    if call.status == 500 {
        texts.push("Execution failed due to configuration error: Malformed Lambda proxy response".to_owned());
    } else {
        texts.push("Successfully completed execution".to_owned());
    }
    texts.push(format!("Method completed with status: {}", call.status));
    texts.push(format!("AWS Integration Endpoint RequestId : {}", call.integration_id));
    texts.into_iter().map(|text| line(id, &text)).collect()
}

/// Writes the lines of one request as vended logs: each the payload of a JSON record.
#[must_use]
pub fn vended(call: &Call) -> Vec<String> {
    let (api, stage, method, resource, at_ms) =
        (call.api.id(), call.api.stage(), call.method, call.resource, call.at_ms);
    let records = trace(call).into_iter().zip(0..).map(move |(payload, number)| {
        let payload = serde_json::Value::from(payload);
        let time = timestamp(at_ms + number);
        format!(
            r#"{{"resource_arn":"arn:aws:apigateway:us-east-1::/restapis/{api}/stages/{stage}","event_timestamp":"{time:.3}","api_id":"{api}","stage":"{stage}","resource_path":"{resource}","http_method":"{method}","payload":{payload}}}"#
        )
    });
    records.collect()
}

/// One line as API Gateway writes it: cut where it is too long.
#[must_use]
pub fn line(request_id: &str, text: &str) -> String {
    let mut line = format!("({request_id}) {text}");
    if line.len() > LINE_CAP_BYTES {
        line.truncate(line.floor_char_boundary(LINE_CAP_BYTES - TRUNCATED.len()));
        line.push_str(TRUNCATED);
    }
    line
}

/// The texts before the request itself.
fn start(call: &Call) -> Vec<String> {
    let (id, method, resource) = (&call.request_id, call.method, call.resource);
    let stage = format!("{}/{}", call.api.id(), call.api.stage());
    vec![
        format!("Extended Request Id: {}", call.extended_id),
        format!("Verifying Usage Plan for request: {id}. API Key:  API Stage: {stage}"),
        format!(
            "API Key  authorized because method '{method} {resource}' does not require API Key. Request will not contribute to throttle or quota limits"
        ),
        format!("Usage Plan check succeeded for API Key  and API Stage {stage}"),
        format!("Starting execution for request: {id}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::call::{Api, Inventor};
    use super::*;

    #[test]
    fn every_line_names_its_request_and_the_end_is_told() {
        let call = Inventor::new(1).call(Api::Rest);
        let lines = trace(&call);
        assert!(lines.iter().all(|line| line.starts_with(&format!("({}) ", call.request_id))));
        assert!(lines.iter().any(|line| line.contains("Method completed with status: ")));
    }

    #[test]
    fn a_line_is_cut_to_1024_bytes() {
        let text = |bytes| "x".repeat(bytes - "(r) ".len());
        assert!(!line("r", &text(LINE_CAP_BYTES)).ends_with(TRUNCATED));
        let cut = line("r", &text(LINE_CAP_BYTES + 1));
        assert!(cut.len() == LINE_CAP_BYTES && cut.ends_with(TRUNCATED));
    }
}
