"""What the stack may do, and that no log can feed itself."""

import re

import pytest

import cfn

TEMPLATE = cfn.load()
SUBSCRIPTIONS = cfn.load("subscriptions.yaml")
SLOTS = 50
POLICIES = ("ReadPolicy", "ReadStreamsPolicy", "BackfillPolicy", "BackfillStreamsPolicy")

# Who calls each action that a role of the stack has: the code, by the method of the SDK, or a service, by its documentation.
CODE = {
    "ssm:GetParameters": ".get_parameters()",
    "ssm:PutParameter": ".put_parameter()",
    "ssm:DeleteParameter": ".delete_parameter()",
}
SERVICES = {
    "kms:Decrypt": "Parameter Store and S3, for their callers",
    "kms:GenerateDataKey": "S3, for Firehose",
    "logs:CreateLogStream": "Lambda, with the function's role",
    "logs:PutLogEvents": "Lambda, with the function's role; Firehose",
    "firehose:PutRecord": "CloudWatch Logs, for a subscription",
    "lambda:InvokeFunction": "Firehose",
    "lambda:GetFunctionConfiguration": "Firehose",
    "s3:AbortMultipartUpload": "Firehose",
    "s3:GetBucketLocation": "Firehose",
    "s3:GetObject": "Firehose",
    "s3:ListBucket": "Firehose",
    "s3:ListBucketMultipartUploads": "Firehose",
    "s3:PutObject": "Firehose",
    "logs:DescribeLogStreams": "the log-reading API",
    "logs:GetLogEvents": "the log-reading API",
    "logs:FilterLogEvents": "the log-reading API",
    "logs:StartQuery": "the log-reading API",
    "logs:GetQueryResults": "the log-reading API",
    "execute-api:Invoke": "people who read logs",
    "s3:DeleteObject": "the redrive function, of what was delivered",
    "sqs:ChangeMessageVisibility": "the redrive function, to wait",
    "sqs:SendMessage": "the redrive function, for a replay",
    "sqs:ReceiveMessage": "Lambda, for the event source mapping",
    "sqs:DeleteMessage": "Lambda, for the event source mapping",
    "sqs:GetQueueAttributes": "Lambda, for the event source mapping",
}
# The subscriber's own requests, which the code names by their actions.
SUBSCRIBER = {"logs:ListLogGroups", "logs:DescribeLogGroups", "logs:DescribeSubscriptionFilters", "logs:PutSubscriptionFilter", "logs:DeleteSubscriptionFilter"}
HANDED_OVER = {"iam:PassRole": "CloudWatch Logs, which gets the subscription's role of the subscriber"}
# Actions for which IAM knows no resource: they list names.
LISTS = {"logs:ListLogGroups", "logs:DescribeLogGroups"}


def granted():
    return [(name, statement) for template in (TEMPLATE, SUBSCRIPTIONS) for name, statement in cfn.statements(template)]


NETWORK = ["CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "DeleteNetworkInterface", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses"]


def test_in_a_vpc_lambda_makes_the_interfaces_and_the_code_may_not():
    policy = TEMPLATE["Resources"]["NetworkPolicy"]
    assert policy["Condition"] == "HasSubnets"
    allow, deny = policy["Properties"]["PolicyDocument"]["Statement"]
    assert allow["Action"] == [f"ec2:{action}" for action in NETWORK]
    assert (deny["Effect"], deny["Action"]) == ("Deny", "ec2:*")
    assert list(deny["Condition"]["ArnLike"]) == ["lambda:SourceFunctionArn"]
    network = cfn.load("private-network.yaml")
    services = {each["Properties"]["ServiceName"]["Fn::Sub"].rsplit(".", 1)[1] for each in cfn.resources(network, "AWS::EC2::VPCEndpoint").values()}
    # What the code of either function calls.
    code = "".join(path.read_text() for path in (cfn.ROOT / "src").rglob("*.rs"))
    called = {"ssm": ".get_parameters()", "sqs": "AmazonSQS.", "logs": "Logs_20140328.", "s3": "s3"}
    assert services == {name for name, trace in called.items() if trace in code}


def test_no_partition_is_written_down():
    for name in ("template.yaml", "subscriptions.yaml", "private-network.yaml", ".github/aws/deploy-roles.yaml"):
        assert "arn:aws:" not in (cfn.ROOT / name).read_text(), name
        assert "amazonaws.com/" not in (cfn.ROOT / name).read_text().replace("amazonaws.com/*", ""), name


def test_each_action_is_one_that_the_code_or_a_service_calls():
    actions = {action for name, statement in granted() if name != "NetworkPolicy" for action in cfn.as_list(statement["Action"])}
    assert actions == set(CODE) | set(SERVICES) | SUBSCRIBER | set(HANDED_OVER)
    code = (cfn.ROOT / "src/aws/logs.rs").read_text()
    assert set(re.findall(r'"(logs:\w+)"', code)) - set(SERVICES) == SUBSCRIBER


def test_the_code_calls_the_store_only_by_actions_that_its_role_has():
    code = "".join(path.read_text() for path in (cfn.ROOT / "src").rglob("*.rs"))
    used = {f".{method}()" for method in re.findall(r"\.((?:get|put|delete|label|describe)_parameters?\w*)\(\)", code)}
    assert used == set(CODE.values())


def test_the_reading_api_calls_what_its_role_allows_and_no_more():
    paths = TEMPLATE["Resources"]["LogReadApi"]["Properties"]["DefinitionBody"]["paths"]
    called = {
        "logs:" + each["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"].rsplit("/", 1)[1]
        for methods in paths.values()
        for each in methods.values()
    }
    allowed = {a for name, each in cfn.statements(TEMPLATE) if name == "ReadRole" for a in cfn.as_list(each["Action"])}
    assert allowed == called
    for policy in ("ReadPolicy", "ReadStreamsPolicy"):
        assert {a for name, each in cfn.statements(SUBSCRIPTIONS) if name == policy for a in cfn.as_list(each["Action"])} == called


def test_there_is_no_wildcard():
    for name, statement in granted():
        assert "NotAction" not in statement
        if name == "NetworkPolicy":
            continue  # Lambda's own list, for which IAM knows no resource, and nothing but it
        assert statement["Effect"] == "Allow"
        assert "NotResource" not in statement
        for action in cfn.as_list(statement["Action"]):
            assert "*" not in action, name
        for resource in cfn.as_list(statement["Resource"]):
            assert resource != "*" or set(cfn.as_list(statement["Action"])) == LISTS, name


def test_only_api_gateways_account_role_has_a_managed_policy():
    roles = cfn.resources(TEMPLATE, "AWS::IAM::Role")
    assert {name for name, each in roles.items() if "ManagedPolicyArns" in each["Properties"]} == {"ApiGatewayLogRoleForAccount"}
    assert roles["ApiGatewayLogRoleForAccount"]["Condition"] == "CreateLogRole"
    assert TEMPLATE["Resources"]["ApiAccount"]["Condition"] == "CreateLogRole"
    assert TEMPLATE["Parameters"]["ApiGatewayLogRole"]["Default"] != "create"
    # The function has its own role: SAM would add a policy for all log groups to one that it makes.
    assert TEMPLATE["Resources"]["Forwarder"]["Properties"]["Role"] == {"Fn::GetAtt": ["ForwarderRole", "Arn"]}


@pytest.mark.parametrize("role", cfn.resources(TEMPLATE, "AWS::IAM::Role"))
def test_a_role_trusts_one_service_for_this_account_alone_and_takes_the_boundary(role):
    properties = TEMPLATE["Resources"][role]["Properties"]
    (trust,) = properties["AssumeRolePolicyDocument"]["Statement"]
    assert list(trust["Principal"]) == ["Service"]
    assert isinstance(trust["Principal"]["Service"], str)
    keys = {key: value for condition in trust["Condition"].values() for key, value in condition.items()}
    assert {"aws:SourceAccount", "sts:ExternalId"} & set(keys)
    assert {"Ref": "AWS::AccountId"} in keys.values()
    assert properties["PermissionsBoundary"]["Fn::If"][0] == "HasBoundary"


def test_a_key_is_used_through_its_service_and_for_one_thing_only():
    found = 0
    for name, statement in granted():
        if any(action.startswith("kms:") for action in cfn.as_list(statement["Action"])):
            found += 1
            condition = cfn.text(statement["Condition"])
            assert "kms:ViaService" in condition, name
            assert "kms:EncryptionContext:" in condition, name
    assert found == 3


def own_groups():
    """Log groups to which delivering or reading writes: subscribed, they would feed themselves."""
    return {
        name: each["Properties"]["LogGroupName"]["Fn::Sub"]
        for name, each in cfn.resources(TEMPLATE, "AWS::Logs::LogGroup").items()
        if name in ("ForwarderLogGroup", "RedriveLogGroup", "StreamLogGroup", "LogReadApiLogGroup", "SubscriberLogGroup")
    }


def test_the_groups_of_functions_stream_and_reading_api_are_never_subscribed():
    assert len(own_groups()) == 5
    for each in cfn.resources(TEMPLATE, "AWS::Logs::SubscriptionFilter").values():
        assert each["Properties"]["LogGroupName"]["Ref"] in ("ApiAccessLogGroup", "ApiExecutionLogGroup")
    # The reading API writes no execution log, whose group would have a name that only AWS knows.
    for settings in TEMPLATE["Resources"]["LogReadApi"]["Properties"]["MethodSettings"]:
        assert settings["LoggingLevel"] == "OFF"


def refused(name, value):
    """Whether CloudFormation refuses a parameter's value before it starts."""
    parameter = TEMPLATE["Parameters"][name]
    too_long = len(value) > parameter.get("MaxLength", 4096)
    return too_long or not re.fullmatch(parameter.get("AllowedPattern", ".*"), value, re.DOTALL)


def test_the_list_of_log_groups_refuses_the_groups_of_a_forwarder():
    for name in own_groups().values():
        group = name.replace("${AWS::StackName}", "some-stack")
        assert refused("LogGroupNames", group)
        assert refused("LogGroupNames", f"/aws/a,{group}")
    for name in ("/aws/apigateway/a/access", "API-Gateway-Execution-Logs_a1b2c3/prod", "my_group", "none", "-", "a,-,b", "a, b"):
        assert not refused("LogGroupNames", name)


def test_a_list_is_subscribed_to_its_last_entry_or_refused():
    for name, entry in (("LogGroupNames", "/aws/apigateway/orders{}/access"), ("ExecutionLogStages", "a1b2c3d4e5/stage{}")):
        assert not refused(name, ",".join(entry.format(i) for i in range(SLOTS)))
        assert refused(name, ",".join(entry.format(i) for i in range(SLOTS + 1)))
        assert refused(name, entry.format(1) + ",")


def slots(kind):
    return {int(name.removeprefix(kind)): each for name, each in SUBSCRIPTIONS["Resources"].items() if re.fullmatch(rf"{kind}\d+", name)}


def test_each_entry_of_a_list_is_subscribed():
    for list_name, nested in (("LogGroupNames", "LogGroupSubscriptions"), ("ExecutionLogStages", "StageSubscriptions")):
        names = TEMPLATE["Resources"][nested]["Properties"]["Parameters"]["Names"]["Fn::Sub"]
        # A list of one entry fills all slots.
        assert names == ",".join([f"${{{list_name}}}"] + ["-"] * (SLOTS - 1))
    for kind in ("Subscription", "DeliveryErrorsAlarm", "DeliveryThrottlingAlarm", "QuietAlarm"):
        assert list(slots(kind)) == list(range(1, SLOTS + 1))
        first = cfn.text(slots(kind)[1])
        for slot, each in slots(kind).items():
            text = cfn.text(each)
            assert f'"Fn::Select": [{slot - 1}, ' in text
            # All slots are the first one with another number.
            for one, other in (("Has1", f"Has{slot}"), ("Quiet1", f"Quiet{slot}"), ('-1"', f'-{slot}"'), ("[0, ", f"[{slot - 1}, ")):
                text = text.replace(other, one)
            assert text == first, (kind, slot)
    conditions = SUBSCRIPTIONS["Conditions"]
    for slot in range(1, SLOTS + 1):
        assert conditions[f"Has{slot}"] == {"Fn::Not": [{"Fn::Equals": [{"Fn::Select": [slot - 1, {"Ref": "Names"}]}, "-"]}]}
        assert conditions[f"Quiet{slot}"] == {"Fn::And": [{"Condition": "MayBeQuiet"}, {"Condition": f"Has{slot}"}]}
        for policy in POLICIES:
            has, arn, _ = SUBSCRIPTIONS["Resources"][policy]["Properties"]["PolicyDocument"]["Statement"][0]["Resource"][slot - 1]["Fn::If"]
            assert has == f"Has{slot}"
            assert arn["Fn::Sub"][0].endswith(":log-group:${Prefix}${Name}" + (":*" if "Streams" in policy else ""))
            assert arn["Fn::Sub"][1] == {"Name": {"Fn::Select": [slot - 1, {"Ref": "Names"}]}}
    tens = [{each["Condition"] for each in conditions[f"HasTen{i}"]["Fn::Or"]} for i in range(1, SLOTS // 10 + 1)]
    assert set.union(*tens) == {f"Has{slot}" for slot in range(1, SLOTS + 1)}


def test_a_list_of_dashes_makes_no_policy_without_a_resource():
    for policy in POLICIES:
        assert SUBSCRIPTIONS["Resources"][policy]["Condition"] == ("Reads" if policy.startswith("Read") else "HasAny")
    assert SUBSCRIPTIONS["Conditions"]["Reads"] == {"Fn::And": [{"Condition": "HasAny"}, {"Condition": "HasReadRole"}]}
    # A stack has to have a resource.
    assert [name for name, each in SUBSCRIPTIONS["Resources"].items() if "Condition" not in each] == ["Placeholder"]


def test_the_longest_lists_fit_a_managed_policy_and_a_parameter():
    longest = "arn:aws-us-gov:logs:us-gov-west-1:111122223333:log-group:"
    for name, prefix in (("LogGroupNames", ""), ("ExecutionLogStages", "API-Gateway-Execution-Logs_")):
        given = TEMPLATE["Parameters"][name]["MaxLength"] - (SLOTS - 1)
        arns = given + SLOTS * len(f'"{longest}{prefix}:*",')
        assert arns + len('{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:DescribeLogStreams","logs:GetLogEvents","logs:FilterLogEvents","logs:StartQuery","logs:GetQueryResults"],"Resource":[]}]}') <= 6144
        assert TEMPLATE["Parameters"][name]["MaxLength"] + 2 * SLOTS <= 4096


def test_each_kind_of_log_has_a_filter_pattern_of_its_own():
    resources = TEMPLATE["Resources"]
    access, execution = {"Ref": "FilterPattern"}, {"Ref": "ExecutionFilterPattern"}
    assert resources["ApiAccessSubscription"]["Properties"]["FilterPattern"] == access
    assert resources["ApiExecutionSubscription"]["Properties"]["FilterPattern"] == execution
    assert resources["LogGroupSubscriptions"]["Properties"]["Parameters"]["FilterPattern"] == access
    assert resources["StageSubscriptions"]["Properties"]["Parameters"]["FilterPattern"] == execution


def test_the_bucket_outlives_the_stack_and_lets_nobody_in_without_tls():
    bucket = TEMPLATE["Resources"]["Bucket"]
    # A first deployment that fails takes it away, so that it can be tried again.
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    (statement,) = TEMPLATE["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_what_firehose_writes_is_compressed_once():
    destination = TEMPLATE["Resources"]["Stream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    assert destination["CompressionFormat"] == "UNCOMPRESSED"
    assert destination["S3BackupConfiguration"]["Fn::If"][1]["CompressionFormat"] == "UNCOMPRESSED"
    assert destination["FileExtension"]["Fn::If"][:2] == ["ArchivesEvents", ".ndjson.gz"]
    assert "!{firehose:error-output-type}" in destination["ErrorOutputPrefix"]


DEPLOY = cfn.load(".github/aws/deploy-roles.yaml")


def actions_of(template, logical_id):
    return [a for name, each in cfn.statements(template) if name == logical_id and each["Effect"] == "Allow" for a in cfn.as_list(each["Action"])]


def test_only_a_job_of_the_environment_gets_the_deploy_role():
    (trust,) = DEPLOY["Resources"]["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {"Fn::Sub": "repo:${Repository}:environment:${Environment}"},
        }
    }


def test_the_deploy_role_makes_nothing_itself():
    actions = actions_of(DEPLOY, "DeployRole")
    assert {action.split(":")[0] for action in actions} == {"cloudformation", "iam", "s3", "lambda", "cloudwatch"}
    assert [action for action in actions if action.startswith("iam:")] == ["iam:PassRole"]
    assert not [action for action in actions if "*" in action]
    # What a failed creation leaves; the bucket outlives it.
    assert [action for action in actions if "Delete" in action] == ["cloudformation:DeleteStack"]


def test_the_execution_role_makes_roles_of_the_stack_only_and_only_under_the_boundary():
    for _, statement in cfn.statements(DEPLOY):
        actions = set(cfn.as_list(statement["Action"]))
        if statement["Effect"] == "Deny":
            continue
        assert not actions & {"*", "iam:*", "iam:DeleteRolePermissionsBoundary"}
        if actions & {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"}:
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": {"Ref": "Boundary"}}}
        if any(action.startswith("iam:") for action in actions):
            assert statement["Resource"] != "*"


def test_the_boundary_lets_the_stacks_roles_do_what_they_are_for():
    allowed = [statement for _, statement in granted() if statement["Effect"] == "Allow"]
    needed = {action for statement in allowed for action in cfn.as_list(statement["Action"])} - {"execute-api:Invoke"}
    assert needed <= set(actions_of(DEPLOY, "Boundary"))
