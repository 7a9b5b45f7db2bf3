"""Log groups by pattern or tag: a sweep and an event, the subscriber function, and what is left when the stack goes."""

import re

import pytest

import cfn
from test_parameters import check

TEMPLATE = cfn.load()
PARAMETERS, RESOURCES = TEMPLATE["Parameters"], TEMPLATE["Resources"]
FUNCTION = RESOURCES["Subscriber"]
VARIABLES = FUNCTION["Properties"]["Environment"]["Variables"]
METRICS = {"GroupsMatched", "GroupsAdded", "GroupsRemoved", "GroupsFull", "GroupsFailed", "GroupsSilent", "GroupsLeft"}


def own():
    """Every resource that is there for the subscriber."""
    return {name: each for name, each in RESOURCES.items() if name.startswith("Subscriber") or '"Ref": "Subscriber"' in cfn.text(each) and name != "Dashboard"} | {
        "PatternSubscriptions": RESOURCES["PatternSubscriptions"]
    }


def test_nothing_of_it_is_there_without_a_pattern_or_a_tag():
    assert len(own()) >= 12
    for name, each in own().items():
        assert each["Condition"] in ("HasSubscriber", "ListensToGroups"), name
    given = [{"Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]} for name in ("LogGroupPatterns", "LogGroupTags")]
    assert TEMPLATE["Conditions"]["HasSubscriber"] == {"Fn::Or": given}
    assert TEMPLATE["Conditions"]["ListensToGroups"]["Fn::And"][0] == {"Condition": "HasSubscriber"}
    for name, each in TEMPLATE["Outputs"].items():
        assert ("Subscriber" in name) == (each.get("Condition") == "HasSubscriber")
    assert all(PARAMETERS[name]["Default"] == "" for name in ("LogGroupPatterns", "LogGroupTags", "ExcludeLogGroups", "ReadableLogGroups"))


def test_the_function_gets_the_settings_that_its_code_reads_and_none_of_the_forwarders():
    code = (cfn.ROOT / "src/config/subscriber.rs").read_text().split("#[cfg(test)]")[0]
    read = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+)"', code)) - {"AWS_LAMBDA_FUNCTION_NAME", "SSL_CERT_FILE", "REQUEST_TIMEOUT_MS"}
    assert set(VARIABLES) == read
    assert "Environment" in FUNCTION["IgnoreGlobals"]
    assert FUNCTION["Metadata"]["BuildProperties"] == {"Binary": "apigw-log-subscriber"}
    assert (cfn.ROOT / "src/bin/apigw-log-subscriber.rs").exists()
    assert VARIABLES["SILENT_AFTER_SECONDS"] == {"Fn::If": ["ListensToGroups", {"Ref": "GroupQuietSeconds"}, {"Ref": "AWS::NoValue"}]}
    assert PARAMETERS["SubscriberDryRun"] | {"Description": ""} == {"Type": "String", "Description": "", "Default": "off", "AllowedValues": ["on", "off"]}


def test_its_filters_have_one_name_for_the_stacks_life_and_no_other_filter_has_it():
    assert VARIABLES["FILTER_NAME"] == {"Fn::Sub": "${AWS::StackName}-subscriber"}
    nested = cfn.resources(cfn.load("subscriptions.yaml"), "AWS::Logs::SubscriptionFilter")
    names = [each["Properties"]["FilterName"] for each in [*nested.values(), *cfn.resources(TEMPLATE, "AWS::Logs::SubscriptionFilter").values()]]
    assert len(names) == 52
    assert not [each for each in names if "subscriber" in cfn.text(each)]


def test_what_cloudformation_subscribes_is_not_subscribed_again():
    separator, parts = VARIABLES["EXCLUDE_LOG_GROUPS"]["Fn::Join"]
    assert separator == ","
    assert parts[0] == {"Ref": "ExcludeLogGroups"}
    subscribed = {cfn.text(each["Properties"]["LogGroupName"]) for each in cfn.resources(TEMPLATE, "AWS::Logs::SubscriptionFilter").values()}
    assert {cfn.text(part["Fn::If"][1]) for part in parts[1:3]} == subscribed
    assert parts[3] == {"Fn::If": ["HasLogGroups", {"Ref": "LogGroupNames"}, ""]}
    condition, stages, other = parts[4]["Fn::If"]
    assert (condition, other) == ("HasStages", "")
    pattern, names = stages["Fn::Sub"]
    assert (pattern, names["Stages"]["Fn::Join"][0]) == ("API-*_${Stages}", ",API-*_")


def test_any_change_of_what_is_subscribed_and_to_what_starts_a_sweep():
    given = RESOURCES["PatternSubscriptions"]["Properties"]
    # By these names the function reads what was wanted before.
    code = (cfn.ROOT / "src/subscriber/event.rs").read_text()
    for name in ("LogGroupPatterns", "LogGroupTags", "ExcludeLogGroups"):
        assert given[name] == {"Ref": name}
        assert re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() in code
    named = set(re.findall(r'"Ref": "(\w+)"', cfn.text([VARIABLES[name] for name in VARIABLES if name not in ("LOG_LEVEL", "METRICS_NAMESPACE", "SILENT_AFTER_SECONDS")])))
    # The stack's own groups come and go with OwnApi.
    assert named - {"ApiAccessLogGroup", "ApiExecutionLogGroup"} <= {value["Ref"] for value in given.values() if "Ref" in (value if isinstance(value, dict) else {})}
    assert given["OwnApi"] == {"Ref": "OwnApi"}
    assert (given["StreamArn"], given["SubscriptionRoleArn"]) == (VARIABLES["DESTINATION_ARN"], VARIABLES["ROLE_ARN"])


def test_cloudformation_gets_an_answer_when_the_stack_goes():
    resource = RESOURCES["PatternSubscriptions"]
    assert resource["Type"] == "AWS::CloudFormation::CustomResource"
    assert resource["Properties"]["ServiceToken"] == {"Fn::GetAtt": ["Subscriber", "Arn"]}
    assert FUNCTION["Properties"]["Timeout"] == 900
    # Room for the start, and for a second try.
    assert 900 < resource["Properties"]["ServiceTimeout"] <= 3600
    # All that the function needs is by reference behind it, so that it goes after it: role with inline policies, and log group.
    assert FUNCTION["Properties"]["Role"] == {"Fn::GetAtt": ["SubscriberRole", "Arn"]}
    assert FUNCTION["Properties"]["LoggingConfig"]["LogGroup"] == {"Ref": "SubscriberLogGroup"}
    assert {policy["PolicyName"] for policy in RESOURCES["SubscriberRole"]["Properties"]["Policies"]} == {"subscribe", "log"}
    assert "SubscriberRole" not in cfn.text([each for each in RESOURCES.values() if each["Type"] == "AWS::IAM::Policy"])
    assert RESOURCES[resource["DependsOn"]]["Type"] == "AWS::Lambda::EventInvokeConfig"
    # A group that the function's last lines would make again would stay behind.
    assert "logs:CreateLogGroup" not in cfn.text(RESOURCES["SubscriberRole"])


def test_it_is_started_each_hour_and_for_each_new_group_and_invocations_do_not_pile_up():
    rules = cfn.resources(TEMPLATE, "AWS::Events::Rule")
    hourly, created = (rules[name]["Properties"] for name in ("SubscriberHourly", "SubscriberCreated"))
    assert hourly["ScheduleExpression"] == "rate(1 hour)"
    pattern = created["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.logs"], ["AWS API Call via CloudTrail"])
    assert (pattern["detail"]["eventSource"], pattern["detail"]["eventName"]) == (["logs.amazonaws.com"], ["CreateLogGroup"])
    for name, rule in (("SubscriberHourly", hourly), ("SubscriberCreated", created)):
        assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["Subscriber", "Arn"]}]
        # The function reads EventBridge's own event.
        assert "Input" not in rule["Targets"][0]
        assert "InputTransformer" not in rule["Targets"][0]
        permission = RESOURCES[f"{name}Permission"]["Properties"]
        assert (permission["Principal"], permission["SourceArn"]) == ("events.amazonaws.com", {"Fn::GetAtt": [name, "Arn"]})
    invocations = RESOURCES["SubscriberInvocations"]["Properties"]
    assert invocations["MaximumRetryAttempts"] <= 1
    assert invocations["MaximumEventAgeInSeconds"] < 3600


def test_it_may_subscribe_with_one_role_and_nothing_else():
    granted = {each["Sid"]: each for name, each in cfn.statements(TEMPLATE) if name == "SubscriberRole"}
    assert set(granted) == {"FindLogGroups", "Subscribe", "HandOverSubscriptionRole", "WriteOwnLog"}
    assert granted["HandOverSubscriptionRole"]["Resource"] == {"Fn::GetAtt": ["SubscriptionRole", "Arn"]}
    assert granted["HandOverSubscriptionRole"]["Condition"] == {"StringEquals": {"iam:PassedToService": "logs.amazonaws.com"}}
    assert granted["WriteOwnLog"]["Resource"] == {"Fn::GetAtt": ["SubscriberLogGroup", "Arn"]}
    # An administrator's boundary says to which groups at most.
    boundary = {each["Sid"]: each for name, each in cfn.statements(cfn.load(".github/aws/deploy-roles.yaml")) if name == "Boundary"}
    assert "${SubscribedLogGroups}" in cfn.text(boundary["Subscribe"]["Resource"])
    assert "log-group:*" not in cfn.text(boundary["Subscribe"]["Resource"])
    assert "SubscriptionRole-*" in cfn.text(boundary["HandOverSubscriptionRole"]["Resource"])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("LogGroupPatterns", ["", "*", "/aws/apigateway/*,API-Gateway-Execution-Logs_*", "a, b"], [",", "a,", "a b", "a?", "a:b", "x" * 501]),
        ("ExcludeLogGroups", ["", "*/debug,*-test"], ["a;b", ",a"]),
        ("LogGroupTags", ["", "team=payments", "team=payments,env=prod", "a=b=c", "a b=c d", ",".join(["a=b"] * 5)], ["team", "=x", "team=", "a=b,", ",".join(["a=b"] * 6)]),
        ("ReadableLogGroups", ["", "/aws/apigateway/*"], ["a,b", "a b"]),
    ],
)
def test_a_list_that_cannot_be_read_is_refused_before_anything_is_deployed(name, good, bad):
    parameter = PARAMETERS[name]

    def taken(value):
        return len(value) <= parameter["MaxLength"] and re.fullmatch(parameter["AllowedPattern"], value) is not None

    assert all(map(taken, good))
    assert not any(map(taken, bad))


def test_what_does_not_fit_its_environment_is_refused_before_anything_is_deployed(tmp_path):
    names = ",".join(f"/aws/apigateway/orders-{number:02}/access" for number in range(50))
    stages = ", ".join(f"a1b2c3d4{number:02}/production" for number in range(50))
    given = {"LogGroupNames": names, "ExecutionLogStages": stages, "LogGroupPatterns": "/aws/apigateway/*,API-Gateway-Execution-Logs_*"}
    # Both lists full, with names of a usual length.
    assert not check(tmp_path, given)
    longer = given | {"LogGroupNames": names.replace("/access", "/access-logs-of-the-stage")}
    assert "the subscriber's environment would hold" in check(tmp_path, longer)
    assert not check(tmp_path, longer | {"LogGroupPatterns": ""})


def test_a_backfill_may_read_what_is_named_for_it():
    for name, condition, role in (("BackfillFurtherPolicy", "HasReadable", "RedriveRole"), ("ReadFurtherPolicy", "ReadsFurther", "ReadRole")):
        assert (RESOURCES[name]["Condition"], RESOURCES[name]["Properties"]["Roles"]) == (condition, [{"Ref": role}])
        assert "log-group:${ReadableLogGroups}:*" in cfn.text(RESOURCES[name])
    reading = [each for name, each in cfn.statements(TEMPLATE) if name in ("ReadRole", "ReadFurtherPolicy")]
    assert sorted(reading[0]["Action"]) == sorted(reading[1]["Action"])


def test_its_metrics_are_written_explained_shown_and_alarmed_on():
    code = (cfn.ROOT / "src/subscriber/mod.rs").read_text()
    assert set(re.findall(r'"(Groups\w+)"', code)) == METRICS
    explained = (cfn.ROOT / "docs/metrics.md").read_text()
    shown = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for metric in METRICS:
        assert f"| `{metric}` |" in explained
        assert f'"{metric}", "FunctionName", "${{SubscriberName}}"' in shown[0]
    assert shown[1] == {"SubscriberName": {"Fn::If": ["HasSubscriber", {"Ref": "Subscriber"}, "none"]}}
    alarms = {each["Properties"]["MetricName"]: each for each in own().values() if each["Type"] == "AWS::CloudWatch::Alarm"}
    assert set(alarms) == {"GroupsFull", "GroupsFailed", "GroupsLeft", "GroupsSilent"}
    for each in alarms.values():
        # A data point comes with each sweep.
        assert (each["Properties"]["Period"], each["Properties"]["Statistic"]) == (3600, "Maximum")
    # No sweep at all is told, but not before the first one.
    assert alarms["GroupsFailed"]["Properties"]["TreatMissingData"] == "breaching"
    assert alarms["GroupsFailed"]["Properties"]["EvaluationPeriods"] == 2
    assert alarms["GroupsFailed"]["DependsOn"] == "PatternSubscriptions"


def test_no_name_that_cloudformation_makes_is_cut_before_the_part_by_which_the_execution_role_knows_it():
    for name in cfn.resources(TEMPLATE, "AWS::Events::Rule"):
        assert 32 + 1 + len(name) + 1 + 13 <= 64, name
