//! The formats that AWS documents: known beside those that are set, for a stage whose format somebody copied and never set here.
//!
//! Sources: <https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html>

/// Each format as of 2026, with a label.
pub(super) const DOCUMENTED: [(&str, &str); 13] = [
    (
        "the CLF format of REST APIs",
        r#"$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime]"$context.httpMethod $context.resourcePath $context.protocol" $context.status $context.responseLength $context.requestId $context.extendedRequestId"#,
    ),
    (
        "the JSON format of REST APIs",
        r#"{ "requestId":"$context.requestId", "extendedRequestId":"$context.extendedRequestId","ip": "$context.identity.sourceIp", "caller":"$context.identity.caller", "user":"$context.identity.user", "requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod", "resourcePath":"$context.resourcePath", "status":"$context.status", "protocol":"$context.protocol", "responseLength":"$context.responseLength" }"#,
    ),
    (
        "the XML format of REST APIs",
        r#"<request id="$context.requestId"> <extendedRequestId>$context.extendedRequestId</extendedRequestId> <ip>$context.identity.sourceIp</ip> <caller>$context.identity.caller</caller> <user>$context.identity.user</user> <requestTime>$context.requestTime</requestTime> <httpMethod>$context.httpMethod</httpMethod> <resourcePath>$context.resourcePath</resourcePath> <status>$context.status</status> <protocol>$context.protocol</protocol> <responseLength>$context.responseLength</responseLength> </request>"#,
    ),
    (
        "the CSV format of REST APIs",
        "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,$context.requestTime,$context.httpMethod,$context.resourcePath,$context.protocol,$context.status,$context.responseLength,$context.requestId,$context.extendedRequestId",
    ),
    (
        "the CLF format of HTTP APIs",
        r#"$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.routeKey $context.protocol" $context.status $context.responseLength $context.requestId $context.extendedRequestId"#,
    ),
    // Of the guide on errors of integrations: the format that is copied most.
    (
        "the CLF format of HTTP APIs with the integration's error",
        r#"$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.routeKey $context.protocol" $context.status $context.responseLength $context.requestId $context.integrationErrorMessage"#,
    ),
    (
        "the JSON format of HTTP APIs",
        r#"{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", "requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod","routeKey":"$context.routeKey", "status":"$context.status","protocol":"$context.protocol", "responseLength":"$context.responseLength", "extendedRequestId": "$context.extendedRequestId" }"#,
    ),
    (
        "the XML format of HTTP APIs",
        r#"<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> <requestTime>$context.requestTime</requestTime> <httpMethod>$context.httpMethod</httpMethod> <routeKey>$context.routeKey</routeKey> <status>$context.status</status> <protocol>$context.protocol</protocol> <responseLength>$context.responseLength</responseLength> <extendedRequestId>$context.extendedRequestId</extendedRequestId> </request>"#,
    ),
    (
        "the CSV format of HTTP APIs",
        "$context.identity.sourceIp,$context.requestTime,$context.httpMethod,$context.routeKey,$context.protocol,$context.status,$context.responseLength,$context.requestId,$context.extendedRequestId",
    ),
    (
        "the CLF format of WebSocket APIs",
        r#"$context.identity.sourceIp $context.identity.caller $context.identity.user [$context.requestTime] "$context.eventType $context.routeKey $context.connectionId" $context.status $context.requestId"#,
    ),
    (
        "the JSON format of WebSocket APIs",
        r#"{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", "caller":"$context.identity.caller", "user":"$context.identity.user", "requestTime":"$context.requestTime", "eventType":"$context.eventType", "routeKey":"$context.routeKey", "status":"$context.status", "connectionId":"$context.connectionId" }"#,
    ),
    (
        "the XML format of WebSocket APIs",
        r#"<request id="$context.requestId"> <ip>$context.identity.sourceIp</ip> <caller>$context.identity.caller</caller> <user>$context.identity.user</user> <requestTime>$context.requestTime</requestTime> <eventType>$context.eventType</eventType> <routeKey>$context.routeKey</routeKey> <status>$context.status</status> <connectionId>$context.connectionId</connectionId> </request>"#,
    ),
    (
        "the CSV format of WebSocket APIs",
        "$context.identity.sourceIp,$context.identity.caller,$context.identity.user,$context.requestTime,$context.eventType,$context.routeKey,$context.connectionId,$context.status,$context.requestId",
    ),
];

/// How the extended request id stands in the formats: those of 2023 are the same without it.
const EXTENDED_REQUEST_ID: [&str; 6] = [
    r#" "extendedRequestId":"$context.extendedRequestId","#,
    r#", "extendedRequestId": "$context.extendedRequestId""#,
    "<extendedRequestId>$context.extendedRequestId</extendedRequestId> ",
    " <extendedRequestId>$context.extendedRequestId</extendedRequestId>",
    " $context.extendedRequestId",
    ",$context.extendedRequestId",
];

/// Returns the texts in which a format is and was documented: also without the extended request id and, for CLF, with that at
/// the start, and with and without the space between the time and the request.
pub(super) fn variants(format: &str) -> Vec<String> {
    let mut variants = vec![format.to_owned()];
    if let Some(part) = EXTENDED_REQUEST_ID.iter().find(|part| format.contains(**part)) {
        let without = format.replacen(part, "", 1);
        if format.contains("]\"") {
            variants.push(format!("$context.extendedRequestId {without}"));
        }
        variants.push(without);
    }
    for index in 0..variants.len() {
        let respaced = variants.get(index).and_then(|text| match (text.contains("] \""), text.contains("]\"")) {
            (true, _) => Some(text.replace("] \"", "]\"")),
            (_, true) => Some(text.replace("]\"", "] \"")),
            _ => None,
        });
        variants.extend(respaced);
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::super::Formats;
    use super::super::tests::{reads, set};
    use super::*;

    /// Reads a line by the documented formats.
    #[track_caller]
    fn documented(line: &str, label: &str, expected: &str) {
        let formats = Formats::documented();
        reads(&formats, line, expected);
        assert_eq!(formats.parse(line).unwrap().format(), Some(label));
    }

    #[test]
    fn each_format_with_an_extended_request_id_is_known_without_it() {
        for (label, format) in DOCUMENTED {
            let without = variants(format).iter().filter(|text| !text.contains("extendedRequestId")).count();
            assert!(without > 0, "{label}");
        }
    }

    #[test]
    fn clf_is_known_with_and_without_the_space_before_the_request() {
        for (label, format) in DOCUMENTED.iter().filter(|(label, _)| label.contains("CLF")) {
            let (spaced, tight): (Vec<_>, Vec<_>) =
                variants(format).into_iter().partition(|text| text.contains("] \""));
            assert_eq!(spaced.len(), tight.len(), "{label}");
        }
    }

    const REST: &str = concat!(
        r#"{"identity":{"sourceIp":"192.0.2.7","caller":"AIDAEXAMPLE","user":"AIDAEXAMPLE"},"#,
        r#""requestTime":"25/Sep/2026:09:20:30 +0000","httpMethod":"GET","resourcePath":"/pets/{petId}","#,
        r#""protocol":"HTTP/1.1","status":200,"responseLength":184,"requestId":"1c9d-22","extendedRequestId":"EP5y=""#
    );

    #[test]
    fn the_documented_rest_formats_are_known() {
        let expected = format!(",\"context\":{REST}}}");
        documented(
            r#"192.0.2.7 AIDAEXAMPLE AIDAEXAMPLE [25/Sep/2026:09:20:30 +0000]"GET /pets/{petId} HTTP/1.1" 200 184 1c9d-22 EP5y="#,
            "the CLF format of REST APIs",
            &expected,
        );
        documented(
            r#"192.0.2.7 AIDAEXAMPLE AIDAEXAMPLE [25/Sep/2026:09:20:30 +0000] "GET /pets/{petId} HTTP/1.1" 200 184 1c9d-22 EP5y="#,
            "the CLF format of REST APIs",
            &expected,
        );
        documented(
            "192.0.2.7,AIDAEXAMPLE,AIDAEXAMPLE,25/Sep/2026:09:20:30 +0000,GET,/pets/{petId},HTTP/1.1,200,184,1c9d-22,EP5y=",
            "the CSV format of REST APIs",
            &expected,
        );
        let ids_first = concat!(
            r#","context":{"requestId":"1c9d-22","extendedRequestId":"EP5y=","identity":{"sourceIp":"192.0.2.7"},"#,
            r#""requestTime":"25/Sep/2026:09:20:30 +0000","httpMethod":"GET","resourcePath":"/pets","status":403,"#,
            r#""protocol":"HTTP/1.1","responseLength":23}"#
        );
        documented(
            r#"{ "requestId":"1c9d-22", "extendedRequestId":"EP5y=","ip": "192.0.2.7", "caller":"-", "user":"-", "requestTime":"25/Sep/2026:09:20:30 +0000", "httpMethod":"GET", "resourcePath":"/pets", "status":"403", "protocol":"HTTP/1.1", "responseLength":"23" }"#,
            "the JSON format of REST APIs",
            ids_first,
        );
        documented(
            r#"<request id="1c9d-22"> <extendedRequestId>EP5y=</extendedRequestId> <ip>192.0.2.7</ip> <caller>-</caller> <user>-</user> <requestTime>25/Sep/2026:09:20:30 +0000</requestTime> <httpMethod>GET</httpMethod> <resourcePath>/pets</resourcePath> <status>403</status> <protocol>HTTP/1.1</protocol> <responseLength>23</responseLength> </request>"#,
            "the XML format of REST APIs",
            ids_first,
        );
    }

    #[test]
    fn the_documented_http_formats_are_known_with_the_space_in_the_route_key() {
        let expected = concat!(
            r#","context":{"identity":{"sourceIp":"2001:db8::7"},"requestTime":"25/Sep/2026:09:20:30 +0000","#,
            r#""httpMethod":"GET","routeKey":"GET /pets/{petId}","protocol":"HTTP/1.1","status":200,"#,
            r#""responseLength":184,"requestId":"IWeTC=","extendedRequestId":"IWeTC="}"#
        );
        documented(
            r#"2001:db8::7 - - [25/Sep/2026:09:20:30 +0000] "GET GET /pets/{petId} HTTP/1.1" 200 184 IWeTC= IWeTC="#,
            "the CLF format of HTTP APIs",
            expected,
        );
        documented(
            "2001:db8::7,25/Sep/2026:09:20:30 +0000,GET,GET /pets/{petId},HTTP/1.1,200,184,IWeTC=,IWeTC=",
            "the CSV format of HTTP APIs",
            expected,
        );
        let ids_first = concat!(
            r#","context":{"requestId":"IWeTC=","identity":{"sourceIp":"192.0.2.7"},"#,
            r#""requestTime":"25/Sep/2026:09:20:30 +0000","httpMethod":"PUT","routeKey":"$default","status":204,"#,
            r#""protocol":"HTTP/1.1","responseLength":0,"extendedRequestId":"IWeTC="}"#
        );
        documented(
            r#"{ "requestId":"IWeTC=", "ip": "192.0.2.7", "requestTime":"25/Sep/2026:09:20:30 +0000", "httpMethod":"PUT","routeKey":"$default", "status":"204","protocol":"HTTP/1.1", "responseLength":"0", "extendedRequestId": "IWeTC=" }"#,
            "the JSON format of HTTP APIs",
            ids_first,
        );
        documented(
            r#"<request id="IWeTC="> <ip>192.0.2.7</ip> <requestTime>25/Sep/2026:09:20:30 +0000</requestTime> <httpMethod>PUT</httpMethod> <routeKey>$default</routeKey> <status>204</status> <protocol>HTTP/1.1</protocol> <responseLength>0</responseLength> <extendedRequestId>IWeTC=</extendedRequestId> </request>"#,
            "the XML format of HTTP APIs",
            ids_first,
        );
        documented(
            r#"192.0.2.7 - - [25/Sep/2026:09:20:30 +0000] "POST $default HTTP/1.1" 500 35 IWeTC="#,
            "the CLF format of HTTP APIs",
            concat!(
                r#","context":{"identity":{"sourceIp":"192.0.2.7"},"requestTime":"25/Sep/2026:09:20:30 +0000","#,
                r#""httpMethod":"POST","routeKey":"$default","protocol":"HTTP/1.1","status":500,"responseLength":35,"#,
                r#""requestId":"IWeTC="}"#
            ),
        );
    }

    #[test]
    fn the_documented_websocket_formats_are_known() {
        let expected = concat!(
            r#","context":{"identity":{"sourceIp":"192.0.2.7"},"requestTime":"25/Sep/2026:09:20:30 +0000","#,
            r#""eventType":"MESSAGE","routeKey":"sendMessage","connectionId":"L0SM=","status":200,"requestId":"KpX="}"#
        );
        documented(
            r#"192.0.2.7 - - [25/Sep/2026:09:20:30 +0000] "MESSAGE sendMessage L0SM=" 200 KpX="#,
            "the CLF format of WebSocket APIs",
            expected,
        );
        documented(
            "192.0.2.7,-,-,25/Sep/2026:09:20:30 +0000,MESSAGE,sendMessage,L0SM=,200,KpX=",
            "the CSV format of WebSocket APIs",
            expected,
        );
        let id_first = concat!(
            r#","context":{"requestId":"KpX=","identity":{"sourceIp":"192.0.2.7"},"#,
            r#""requestTime":"25/Sep/2026:09:20:30 +0000","eventType":"CONNECT","routeKey":"$connect","status":200,"#,
            r#""connectionId":"L0SM="}"#
        );
        documented(
            r#"{ "requestId":"KpX=", "ip": "192.0.2.7", "caller":"-", "user":"-", "requestTime":"25/Sep/2026:09:20:30 +0000", "eventType":"CONNECT", "routeKey":"$connect", "status":"200", "connectionId":"L0SM=" }"#,
            "the JSON format of WebSocket APIs",
            id_first,
        );
        documented(
            r#"<request id="KpX="> <ip>192.0.2.7</ip> <caller>-</caller> <user>-</user> <requestTime>25/Sep/2026:09:20:30 +0000</requestTime> <eventType>CONNECT</eventType> <routeKey>$connect</routeKey> <status>200</status> <connectionId>L0SM=</connectionId> </request>"#,
            "the XML format of WebSocket APIs",
            id_first,
        );
    }

    #[test]
    fn a_refused_request_leaves_out_what_has_no_value() {
        documented(
            "-,-,-,-,-,-,-,403,-,1c9d-22,-",
            "the CSV format of REST APIs",
            r#","context":{"status":403,"requestId":"1c9d-22"}"#,
        );
        // Nine columns each: where the status stands tells them apart.
        documented(
            "-,-,-,-,-,-,-,403,KpX=",
            "the CSV format of WebSocket APIs",
            r#","context":{"status":403,"requestId":"KpX="}"#,
        );
        documented(
            "-,-,-,-,-,403,-,IWeTC=,-",
            "the CSV format of HTTP APIs",
            r#","context":{"status":403,"requestId":"IWeTC="}"#,
        );
        documented("-,-,-,-,-,-,-,-,-", "the CSV format of HTTP APIs", "");
        set("$context.identity.sourceIp,$context.status", "-,-", "");
    }

    #[test]
    fn a_line_of_other_columns_is_no_documented_format() {
        let formats = Formats::documented();
        for line in
            ["a,b,c,d,e,f,g,h", "hello world", "", "START RequestId: 1c9d-22 Version: $LATEST", "1,1,1,1,1,1,1,1,1"]
        {
            assert!(formats.parse(line).is_err(), "{line}");
        }
    }
}
