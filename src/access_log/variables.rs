//! The `$context` variables of access logs: what API Gateway documents about each one's values, and the names that they stand
//! under.

use super::kind::Kind;
use crate::redact::NameEnding;

/// A name that a value stands under: where the name is hidden, so is the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: Box<str>,
    /// Whether it names a parameter of a query.
    pub(super) in_query: bool,
    /// What tells most names that are not hidden from those that are.
    pub(super) ending: NameEnding,
}

/// One `$context` variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    /// The name behind `$context.`.
    pub(super) name: Box<str>,
    /// What its values look like.
    pub(super) kind: Kind,
    /// The last part of its own name, and what the format calls it; for a composite, those of all its variables.
    pub(super) names: Vec<Name>,
}

impl Variable {
    /// Looks up a variable by the name behind `$context.`. One that AWS does not document is text.
    pub(super) fn named(name: &str) -> Self {
        let known = DOCUMENTED.iter().find_map(|(kind, names)| names.contains(&name).then_some(*kind));
        let own_name = name.rsplit('.').next().unwrap_or(name);
        let mut variable = Self { name: name.into(), kind: known.unwrap_or(Kind::Text), names: Vec::new() };
        variable.is_called(own_name, name.starts_with("requestOverride.querystring."));
        variable
    }

    /// Notes that the values stand under this name too.
    pub(super) fn is_called(&mut self, name: &str, in_query: bool) {
        let name = Name { text: name.into(), in_query, ending: NameEnding::of(name) };
        if !name.text.is_empty() && !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

/// The variables under which an API's owner chooses the last part of the name: it may hold `-` and `:`.
const OPEN_FAMILIES: [&str; 5] = [
    "authorizer.claims.",
    "requestOverride.header.",
    "requestOverride.path.",
    "requestOverride.querystring.",
    "responseOverride.header.",
];

/// Names of an authorizer's own making: it is not documented what they may hold.
const AUTHORIZER: &str = "authorizer.";

/// Returns the length of the variable's name at the start of `text`, which stands behind `$context.`; 0 if there is none.
///
/// A dot, dash or colon with nothing of a name behind it is not part of the name. `with_dashes` takes dashes and colons for parts
/// of any name that an authorizer makes; without, only of those known to hold them.
pub(super) fn name_length(text: &str, with_dashes: bool) -> usize {
    let open = OPEN_FAMILIES.iter().find(|family| text.starts_with(**family)).copied();
    let open = open.or(Some(AUTHORIZER).filter(|family| with_dashes && text.starts_with(family))).map_or(0, str::len);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut length = 0;
    let mut separated = true;
    for (at, byte) in text.bytes().enumerate() {
        if plain(byte) {
            length = at + 1;
            separated = false;
        } else if !separated && (byte == b'.' || (at > open && open > 0 && matches!(byte, b'-' | b':'))) {
            separated = byte == b'.';
        } else {
            break;
        }
    }
    length
}

/// Returns every variable that AWS documents by its full name, without `$context.`, and what its values look like.
///
/// Only numbers and booleans are written as such; all others are strings, and so is what should be a number or boolean and is not.
pub fn documented_variables() -> impl Iterator<Item = (&'static str, Kind)> {
    DOCUMENTED.iter().flat_map(|(kind, names)| names.iter().map(|name| (*name, *kind)))
}

/// Every variable that AWS documents by its full name for the access logs of REST, HTTP and WebSocket APIs.
///
/// `authorizer.PROP`, `authorizer.claims.PROP`, `requestOverride.*.NAME` and `responseOverride.header.NAME` are open families:
/// text under a name of the API's owner.
///
/// Sources: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html>
const DOCUMENTED: &[(Kind, &[&str])] = &[
    (
        Kind::Number,
        &[
            "authenticate.latency",
            "authenticate.status",
            "authorize.latency",
            "authorize.status",
            "authorizer.integrationLatency",
            "authorizer.integrationStatus",
            "authorizer.latency",
            "authorizer.status",
            "connectedAt",
            "dataProcessed",
            "integration.integrationStatus",
            "integration.latency",
            "integration.status",
            "integration.timeToAllHeaders",
            "integration.timeToFirstContent",
            "integrationLatency",
            "integrationStatus",
            "requestTimeEpoch",
            "responseLatency",
            "responseLength",
            "responseOverride.status",
            "status",
            "waf.latency",
            "waf.status",
        ],
    ),
    (Kind::Bool, &["isCanaryRequest"]),
    (Kind::Ip, &["identity.sourceIp"]),
    (Kind::Time, &["requestTime"]),
    (Kind::Method, &["httpMethod"]),
    (Kind::Protocol, &["protocol"]),
    (Kind::EventType, &["eventType"]),
    (
        Kind::Id,
        &[
            "accountId",
            "apiId",
            "authorizer.requestId",
            "awsEndpointRequestId",
            "awsEndpointRequestId2",
            "connectionId",
            "customDomain.routingRuleIdMatched",
            "deploymentId",
            "extendedRequestId",
            "identity.accountId",
            "identity.apiKeyId",
            "identity.principalOrgId",
            "identity.vpcId",
            "identity.vpceId",
            "integration.requestId",
            "messageId",
            "requestId",
            "resourceId",
            "xrayTraceId",
        ],
    ),
    (Kind::Arn, &["identity.userArn", "webaclArn"]),
    (
        Kind::Word,
        &[
            "cipherSuite",
            "customDomain.basePathMatched",
            "domainName",
            "domainPrefix",
            "endpointType",
            "error.responseType",
            "identity.apiKey",
            "identity.clientCert.serialNumber",
            "identity.cognitoAuthenticationType",
            "identity.cognitoIdentityId",
            "identity.cognitoIdentityPoolId",
            "integration.responseTransferMode",
            "stage",
            "tlsVersion",
            "wafResponseCode",
        ],
    ),
    (Kind::Principal, &["authorizer.principalId", "identity.caller", "identity.user"]),
    (Kind::Path, &["path", "resourcePath"]),
    (Kind::RouteKey, &["routeKey"]),
    (Kind::Quoted, &["error.messageString"]),
    (
        Kind::Text,
        &[
            "authenticate.error",
            "authorize.error",
            "authorizer.error",
            "error.message",
            "error.validationErrorString",
            "identity.clientCert.clientCertPem",
            "identity.clientCert.issuerDN",
            "identity.clientCert.subjectDN",
            "identity.clientCert.validity.notAfter",
            "identity.clientCert.validity.notBefore",
            "identity.cognitoAuthenticationProvider",
            "identity.userAgent",
            "integration.error",
            "integrationErrorMessage",
            "waf.error",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::super::kind::Fit;
    use super::*;

    #[test]
    fn no_value_is_valid_for_every_kind() {
        for (kind, _) in DOCUMENTED {
            assert_eq!(kind.fit("-"), Fit::Valid, "{kind:?}");
        }
    }

    #[test]
    fn a_variable_is_listed_once() {
        let mut names: Vec<_> = DOCUMENTED.iter().flat_map(|(_, names)| names.iter()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_variable_is_hidden_by_the_last_part_of_its_name() {
        let names = |name| Variable::named(name).names;
        let called = |text: &str, in_query| vec![Name { text: text.into(), in_query, ending: NameEnding::of(text) }];
        assert_eq!(Variable::named("authorizer.claims.sub").kind, Kind::Text);
        assert_eq!(names("authorizer.claims.sub"), called("sub", false));
        assert_eq!(names("requestOverride.header.Cookie"), called("Cookie", false));
        assert_eq!(names("requestOverride.querystring.sig"), called("sig", true));
        assert_eq!(names("identity.apiKey"), called("apiKey", false));
        assert_eq!(names("status"), called("status", false));
    }

    #[track_caller]
    fn named(text: &str, name: &str) {
        assert_eq!(text.get(..name_length(text, false)), Some(name), "{text}");
    }

    #[test]
    fn a_name_ends_where_no_part_of_a_name_follows() {
        named("status\"", "status");
        named("status. Done", "status");
        named("status..x", "status");
        named("status-$context.path", "status");
        named("identity.sourceIp ", "identity.sourceIp");
        named("", "");
        named(".status", "");
        named("authorizer.claims", "authorizer.claims");
        named("authorizer.claims. ", "authorizer.claims");
        named("authorizer.sub-x", "authorizer.sub");
    }

    #[test]
    fn names_of_an_authorizer_may_hold_dashes_where_they_are_taken_for_such() {
        #[track_caller]
        fn named(text: &str, name: &str) {
            assert_eq!(text.get(..name_length(text, true)), Some(name), "{text}");
        }
        named("authorizer.tenant-id ", "authorizer.tenant-id");
        named("authorizer.tenant- ", "authorizer.tenant");
        named("authorizer.claims.a-b", "authorizer.claims.a-b");
        named("requestId-x", "requestId");
    }

    #[test]
    fn names_of_headers_and_claims_may_hold_dashes_and_colons() {
        named("requestOverride.header.X-Api-Key ", "requestOverride.header.X-Api-Key");
        named("authorizer.claims.cognito:username,", "authorizer.claims.cognito:username");
        named("authorizer.claims.sub: ", "authorizer.claims.sub");
        named("authorizer.claims.sub-$context.stage", "authorizer.claims.sub");
    }
}
