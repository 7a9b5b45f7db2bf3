"""The log-reading API: what its mapping templates make of what callers and CloudWatch Logs send.

The templates are taken from template.yaml and rendered by Apache Velocity, the engine of API Gateway.
"""

import json

import pytest
import yaml

import cfn

TEMPLATE = cfn.load()
DEFINITION = TEMPLATE["Resources"]["LogReadApi"]["Properties"]["DefinitionBody"]

# Operation, parameters by name: what CloudWatch Logs is to be asked.
TEXTS = {
    "/streams": ["logGroupName", "logStreamNamePrefix", "orderBy", "nextToken"],
    "/events": ["logGroupName", "logStreamName", "nextToken"],
    "/search": ["logGroupName", "logStreamName", "logStreamNamePrefix", "filterPattern", "nextToken"],
}
NUMBERS = {"/streams": ["limit"], "/events": ["startTime", "endTime", "limit"], "/search": ["startTime", "endTime", "limit"]}
SWITCHES = {"/streams": ["descending"], "/events": ["startFromHead"], "/search": ["startFromHead"]}

HOSTILE = [
    '"',
    "'",
    "\\",
    '\\"',
    "\\'",
    "\\\\'",
    '","logGroupName":"other',
    '"}{"logGroupName":"other"}',
    '"],"unmask":true,"x":["',
    "a\nb\r\nc\td",
    "\x00\x01\x1f\x7f\x80",
    "\u2028\u2029",
    "grüße, 世界, 😀",
    "#set($x = 1)",
    "#end",
    "#*",
    "##",
    "#if(true)",
    "$util.escapeJavaScript($x)",
    "$input.params('nextToken')",
    "${context}",
    "$!{x}",
    "[a,b]/c$LATEST",
    "</script>",
    "%22%2C%22unmask%22%3Atrue",
    "f/0123",
    "b/0123",
    "true",
    "null",
    "0",
    " ",
    "x" * 5000,
]
NO_NUMBERS = ["abc", "-1", "1.5", "1e3", "0x10", "007", " 1", "1 ", "1\n", "1,2", '1,"unmask":true', "true", "NaN", "1" * 20, "１", "+1", "$x", "#end"]
NO_SWITCHES = ["yes", "1", "TRUE", "true ", "false\n", 'true,"unmask":true', "null", "$x"]


def operation(path):
    (each,) = DEFINITION["paths"][path].values()
    return each


def request_template(path):
    return operation(path)["x-amazon-apigateway-integration"]["requestTemplates"]["application/json"]


def asked(velocity, path, requests, source="query"):
    """What CloudWatch Logs is asked for each request; every one has to be JSON without a name twice."""

    def once(pairs):
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    results = velocity([{"template": request_template(path), source: request} for request in requests])
    return [json.loads(result["output"], object_pairs_hook=once) for result in results]


def minimum(path):
    """The parameters without which API Gateway does not let a request in."""
    return {each["name"]: "g" for each in operation(path).get("parameters", []) if each["required"]}


def expected_name(path, name):
    return "logStreamNames" if (path, name) == ("/search", "logStreamName") else name


@pytest.mark.parametrize("path", TEXTS)
def test_a_text_arrives_as_it_was_sent_whatever_it_holds(velocity, path):
    cases = [(name, value) for name in TEXTS[path] for value in HOSTILE]
    answers = asked(velocity, path, [minimum(path) | {name: value} for name, value in cases])
    for (name, value), answer in zip(cases, answers, strict=True):
        sent = answer.pop(expected_name(path, name))
        assert sent == ([value] if expected_name(path, name) != name else value), name
        head = {"startFromHead": True} if path == "/events" and name == "nextToken" and value.startswith("f/") else {}
        assert answer == {other: "g" for other in minimum(path) if other != name} | head, name


@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_arrives_as_a_number(velocity, path):
    cases = [(name, value) for name in NUMBERS[path] for value in ("1", "50", "10000")]
    cases += [(name, value) for name in NUMBERS[path] if name != "limit" for value in ("0", "1790328030389")]
    answers = asked(velocity, path, [minimum(path) | {name: value} for name, value in cases])
    for (name, value), answer in zip(cases, answers, strict=True):
        assert answer[name] == int(value)
        assert isinstance(answer[name], int)


@pytest.mark.parametrize("path", NUMBERS)
def test_a_number_that_is_none_arrives_as_text_for_cloudwatch_logs_to_refuse(velocity, path):
    cases = [(name, value) for name in NUMBERS[path] for value in NO_NUMBERS]
    answers = asked(velocity, path, [minimum(path) | {name: value} for name, value in cases])
    for (name, value), answer in zip(cases, answers, strict=True):
        assert answer == minimum(path) | {name: value}


@pytest.mark.parametrize("path", SWITCHES)
def test_a_switch_is_true_or_false_and_anything_else_is_text(velocity, path):
    (name,) = SWITCHES[path]
    answers = asked(velocity, path, [minimum(path) | {name: value} for value in ["true", "false", *NO_SWITCHES]])
    assert [answer[name] for answer in answers] == [True, False, *NO_SWITCHES]


@pytest.mark.parametrize("path", TEXTS)
def test_what_was_not_given_is_not_asked_for(velocity, path):
    optional = TEXTS[path] + NUMBERS[path] + SWITCHES[path]
    empty = {name: "" for name in optional if name not in minimum(path)}
    assert asked(velocity, path, [minimum(path), minimum(path) | empty]) == [minimum(path)] * 2


def test_a_forward_token_reads_forward_unless_the_caller_says_otherwise(velocity):
    base = minimum("/events")
    requests = [{"nextToken": "f/1"}, {"nextToken": "b/1"}, {"nextToken": "f/1", "startFromHead": "false"}]
    answers = asked(velocity, "/events", [base | request for request in requests])
    assert [answer.get("startFromHead") for answer in answers] == [True, None, False]


def start_query(velocity, bodies):
    cases = [{"template": request_template("/queries"), "body": json.dumps(body)} for body in bodies]
    return [json.loads(result["output"]) for result in velocity(cases)]


def test_a_query_arrives_as_it_was_sent_whatever_it_holds(velocity):
    bodies = [
        {"logGroupNames": [value, "g"], "queryString": value, "startTime": 1790000000, "endTime": 1790003600, "limit": 20} for value in HOSTILE
    ]
    assert start_query(velocity, bodies) == bodies


def test_a_query_of_the_wrong_types_stays_text(velocity):
    bodies = [{"logGroupNames": ["g"], "queryString": "q", "startTime": value, "endTime": value} for value in [*NO_NUMBERS, [1], {"a": '"'}, -1, 1.5, True]]
    for answer in start_query(velocity, bodies):
        assert set(answer) == {"logGroupNames", "queryString", "startTime", "endTime"}
        assert isinstance(answer["startTime"], str)


def test_a_query_id_cannot_break_out(velocity):
    answers = asked(velocity, "/queries/{queryId}", [{"queryId": value} for value in HOSTILE], source="path")
    assert answers == [{"queryId": value} for value in HOSTILE]


def answered(velocity, path, kind, message="said \"so\", it's \\ \n 世界", key="message"):
    template = operation(path)["x-amazon-apigateway-integration"]["responses"]["4\\d{2}"]["responseTemplates"]["application/json"]
    (result,) = velocity([{"template": template, "body": json.dumps({"__type": kind, key: message})}])
    return result["status"] or 400, json.loads(result["output"])["error"]


ERRORS = {
    "InvalidParameterException": (400, "BadRequest"),
    "MalformedQueryException": (400, "BadRequest"),
    "SerializationException": (400, "BadRequest"),
    "com.amazon.coral.validate#ValidationException": (400, "BadRequest"),
    "AccessDeniedException": (403, "Forbidden"),
    "ResourceNotFoundException": (404, "NotFound"),
    "com.amazonaws.logs#ResourceNotFoundException": (404, "NotFound"),
    "ThrottlingException": (429, "TooManyRequests"),
    "LimitExceededException": (429, "TooManyRequests"),
    "UnrecognizedClientException": (502, "BadGateway"),
    "ServiceUnavailableException": (502, "BadGateway"),
    "": (502, "BadGateway"),
}


@pytest.mark.parametrize("path", DEFINITION["paths"])
def test_errors_of_cloudwatch_logs_become_a_status_and_a_clear_message(velocity, path):
    for kind, (status, code) in ERRORS.items():
        got, error = answered(velocity, path, kind)
        assert (got, error["code"]) == (status, code), kind
        assert error["message"]


def test_the_message_of_cloudwatch_logs_is_passed_on_where_it_helps_and_kept_back_where_it_names_roles(velocity):
    message = 'Value \'-1\' at "limit" \\ #end $x'
    for key in ("message", "Message"):
        assert answered(velocity, "/events", "InvalidParameterException", message, key)[1]["message"] == message
    refused = "User: arn:aws:sts::111122223333:assumed-role/x is not authorized"
    assert "arn:" not in answered(velocity, "/events", "AccessDeniedException", refused)[1]["message"]


def test_an_answer_that_is_no_object_is_a_bad_gateway(velocity):
    template = operation("/events")["x-amazon-apigateway-integration"]["responses"]["4\\d{2}"]["responseTemplates"]["application/json"]
    results = velocity([{"template": template, "body": body} for body in ("", "[]", "{}")])
    assert [result["status"] for result in results] == [502] * 3


@pytest.mark.parametrize("path", DEFINITION["paths"])
def test_an_operation_is_signed_and_calls_cloudwatch_logs_with_the_reading_role(path):
    each = operation(path)
    integration = each["x-amazon-apigateway-integration"]
    action = integration["uri"]["Fn::Sub"].rsplit("/", 1)[1]
    assert each["security"] == [{"sigv4": []}]
    assert integration["requestParameters"] == {
        "integration.request.header.Content-Type": "'application/x-amz-json-1.1'",
        "integration.request.header.X-Amz-Target": f"'Logs_20140328.{action}'",
    }
    assert integration["credentials"] == {"Fn::GetAtt": ["ReadRole", "Arn"]}
    assert integration["passthroughBehavior"] == "never"
    assert set(integration["responses"]) == {"2\\d{2}", "4\\d{2}", "default"}


def test_requests_are_validated_before_cloudwatch_logs_is_asked():
    assert DEFINITION["x-amazon-apigateway-request-validators"][DEFINITION["x-amazon-apigateway-request-validator"]] == {
        "validateRequestParameters": True,
        "validateRequestBody": True,
    }


def test_the_published_description_is_the_deployed_one():
    published = yaml.safe_load((cfn.ROOT / "docs/read-api.yaml").read_text())

    def core(definition):
        operations = {}
        for path, methods in definition["paths"].items():
            for method, each in methods.items():
                parameters = {(p["name"], p["in"], p["required"], p["schema"]["type"]) for p in each.get("parameters", [])}
                body = each.get("requestBody", {}).get("content")
                operations[path, method] = (each["operationId"], parameters, set(each["responses"]), body)
        return operations

    assert core(published) == core(DEFINITION)
    assert published["components"]["schemas"]["Query"]["required"] == DEFINITION["components"]["schemas"]["Query"]["required"]
    for methods in published["paths"].values():
        for each in methods.values():
            assert "curl --aws-sigv4" in each["description"], each["operationId"]


def test_each_answer_that_api_gateway_gives_by_itself_is_documented():
    for path in DEFINITION["paths"]:
        # No mapping template for the content type, no answer that it can map, none in time.
        assert {"415", "500", "504"} <= set(operation(path)["responses"]), path


def test_who_reads_is_logged_in_every_account():
    setting = cfn.load()["Resources"]["LogReadApi"]["Properties"]["AccessLogSetting"]
    # API Gateway writes to a stream without the account's logging role, if the stream has this name.
    assert setting["DestinationArn"] == {"Fn::If": ["ApisLog", {"Fn::GetAtt": ["LogReadApiLogGroup", "Arn"]}, {"Fn::GetAtt": ["Stream", "Arn"]}]}
    assert cfn.load()["Resources"]["Stream"]["Properties"]["DeliveryStreamName"]["Fn::Sub"].startswith("amazon-apigateway-")
    assert "identity.userArn" in cfn.load()["Parameters"]["AccessLogFormat"]["Default"]
