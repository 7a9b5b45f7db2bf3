"""What CloudFormation may do with the execution role: enough for every type of the templates, by the registry's own schemas, and no
more than the stack's own."""

import fnmatch
import json
import pathlib
import re

import cfnlint
import pytest

import cfn

DATA = pathlib.Path(cfnlint.__file__).parent / "data/schemas"
SCHEMAS = json.loads((DATA / "providers/eu-west-1.json").read_text())
ROLES = cfn.load(".github/aws/deploy-roles.yaml")
TEMPLATE, SUBSCRIPTIONS = cfn.load(), cfn.load("subscriptions.yaml")
POLICIES = ("ExecutionPolicy", "ExecutionLogsPolicy", "ExecutionIdentityPolicy", "ExecutionSubscriberPolicy")
STATEMENTS = [each for name, each in cfn.statements(ROLES) if name in POLICIES and each["Effect"] == "Allow"]

# Every type that the templates make, SAM's by what they become, and a part of its name in IAM.
TYPES = {
    "AWS::ApiGateway::Account": "/account",
    "AWS::ApiGateway::Deployment": "/restapis/",
    "AWS::ApiGateway::Method": "/restapis/",
    "AWS::ApiGateway::Resource": "/restapis/",
    "AWS::ApiGateway::RestApi": "/restapis",
    "AWS::ApiGateway::Stage": "/restapis/",
    "AWS::CloudFormation::Stack": ":stack/",
    "AWS::CloudWatch::Alarm": ":alarm:",
    "AWS::CloudWatch::CompositeAlarm": ":alarm:",
    "AWS::CloudWatch::Dashboard": ":dashboard/",
    "AWS::Events::Rule": ":rule/",
    "AWS::IAM::ManagedPolicy": ":policy/",
    "AWS::IAM::Policy": ":role/",
    "AWS::IAM::Role": ":role/",
    "AWS::KinesisFirehose::DeliveryStream": ":deliverystream/",
    "AWS::Lambda::Alias": ":function:",
    "AWS::Lambda::EventInvokeConfig": ":function:",
    "AWS::Lambda::EventSourceMapping": ":event-source-mapping:",
    "AWS::Lambda::Function": ":function:",
    "AWS::Lambda::Permission": ":function:",
    "AWS::Logs::Delivery": ":delivery:",
    "AWS::Logs::DeliveryDestination": ":delivery-destination:",
    "AWS::Logs::DeliverySource": ":delivery-source:",
    "AWS::Logs::LogGroup": ":log-group:",
    "AWS::Logs::LogStream": ":log-group:",
    "AWS::Logs::SubscriptionFilter": ":log-group:",
    "AWS::S3::Bucket": ":s3:::",
    "AWS::S3::BucketPolicy": ":s3:::",
    "AWS::SNS::Topic": ":sns:",
    "AWS::SNS::TopicPolicy": ":sns:",
    "AWS::SQS::Queue": ":sqs:",
    "AWS::SQS::QueuePolicy": ":sqs:",
}
OF_SAM = {"AWS::Serverless::Function": ["AWS::Lambda::Function"], "AWS::Serverless::Api": ["AWS::ApiGateway::RestApi", "AWS::ApiGateway::Deployment", "AWS::ApiGateway::Stage"]}
NO_HANDLERS = {"AWS::CloudFormation::CustomResource", "AWS::CloudFormation::WaitConditionHandle"}

# Of properties that the templates do not set; each is a pattern.
UNUSED = [
    "apigateway:UpdateRestApiPolicy",
    "cloudformation:SetStackPolicy",
    "cloudformation:UpdateTerminationProtection",
    "codedeploy:*",
    "elasticfilesystem:*",
    "iam:*Group*Policy",
    "iam:*User*Policy",
    "iam:DeleteRolePermissionsBoundary",
    "kms:*",  # with DataKeyArn; see DataKey
    "iam:CreateServiceLinkedRole",  # of EventBridge, for targets in other accounts
    "lambda:*CodeSigning*",
    "lambda:*ProvisionedConcurrency*",
    "lambda:AssociateRuntimeAlias",
    "lambda:PassCapacityProvider",
    "lambda:PublishVersion",
    "lambda:Put*Config",
    "logs:*BearerToken*",
    "logs:*DeliveryDestinationPolicy",
    "logs:*LogGroupDeletionProtection",
    "logs:CreateLogDelivery",
    "logs:PutDataProtectionPolicy",
    "logs:DeleteDataProtectionPolicy",
    "logs:PutIndexPolicy",
    "logs:DeleteIndexPolicy",
    "logs:PutResourcePolicy",
    "logs:DeleteResourcePolicy",
    "logs:AllowVendedLogDeliveryForResource",  # of other kinds of sources; API Gateway's is apigateway:AllowVendedLogDeliveryForResource
    "autoloop:*",
    "codewhisperer:*",
    "workmail:*",
    "s3:*Abac*",
    "s3:*Acl",
    "s3:*CORS",
    "s3:*Logging",
    "s3:*Metadata*",
    "s3:*ObjectLock*",
    "s3:*Website",
    "s3:DeleteBucket?*",  # parts of a bucket that are taken away while it stays
    "s3:Put*AccelerateConfiguration",
    "s3:Put*AnalyticsConfiguration",
    "s3:Put*IntelligentTieringConfiguration",
    "s3:Put*InventoryConfiguration",
    "s3:Put*Replication*",
    "s3:DeleteObject*",
    "s3:GetObjectVersion",
    "s3:REST.PUT.OBJECT",
    "s3:TagResource",
    "s3:UntagResource",
    "s3files:*",
    "s3tables:*",
    "firehose:TagDeliveryStream",
    "sns:PutDataProtectionPolicy",
]


def types():
    found = {each["Type"] for template in (TEMPLATE, SUBSCRIPTIONS) for each in template["Resources"].values()}
    return {part for each in found - NO_HANDLERS for part in OF_SAM.get(each, [each])}


def allowed(action, part):
    """Whether a statement lets the role do this to a resource of this kind."""
    for statement in STATEMENTS:
        if any(fnmatch.fnmatchcase(action.lower(), each.lower()) for each in cfn.as_list(statement["Action"])):
            resources = cfn.as_list(statement["Resource"])
            if any(each == "*" or part in cfn.text(each) or action == "iam:PassRole" for each in resources):
                return True
    return False


def test_every_type_of_the_templates_is_looked_at():
    assert types() == set(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_the_role_may_do_what_the_handlers_of_a_type_do(kind):
    handlers = json.loads((DATA / f"resources/{SCHEMAS[kind]}.json").read_text()).get("handlers", {})
    needed = {action for name in ("create", "read", "update", "delete") for action in handlers.get(name, {}).get("permissions", [])}
    # A handler that reads asks for all of it, whatever the template sets.
    read = set(handlers.get("read", {}).get("permissions", []))
    for action in needed:
        unused = any(fnmatch.fnmatchcase(action.lower(), each.lower()) for each in UNUSED)
        if action in read and not action.startswith("kms:") or not unused:
            elsewhere = action.startswith(("iam:", "s3:GetObject", "ec2:", "lambda:GetLayerVersion"))  # roles, packages, networks
            assert allowed(action, "" if elsewhere else TYPES[kind]), (kind, action)


def test_what_the_schemas_do_not_tell_is_there():
    # API Gateway is asked whether its logs may be delivered; the first delivery makes the account's role for it; a subscription's
    # own name is known to SNS alone.
    assert allowed("apigateway:AllowVendedLogDeliveryForResource", "*")
    assert allowed("iam:CreateServiceLinkedRole", "delivery.logs.amazonaws.com")
    assert allowed("iam:CreateServiceLinkedRole", "ops.apigateway.amazonaws.com")  # access logs to a stream
    assert allowed("sns:Unsubscribe", "*")
    # CloudFormation invokes the function of a custom resource with the role, too.
    assert allowed("lambda:InvokeFunction", "-Subscriber-")
    # Tags come with each deployment.
    for kind in ("AWS::Logs::Delivery", "AWS::Logs::DeliverySource", "AWS::Logs::DeliveryDestination", "AWS::CloudWatch::Dashboard", "AWS::CloudWatch::Alarm"):
        assert allowed(f"{'logs' if '::Logs::' in kind else 'cloudwatch'}:TagResource", TYPES[kind]), kind


def resolved(value):
    """A policy with names as long as they can be."""
    longest = {"AWS::Partition": "aws-us-gov", "AWS::Region": "us-gov-west-1", "AWS::AccountId": "1" * 12, "StackName": "s" * 32, "AWS::URLSuffix": "amazonaws.com"}
    if isinstance(value, list):
        return [resolved(each) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", lambda found: longest.get(found[1], "x" * 100), argument)
        if function == "Fn::If":
            return resolved(argument[1])
        if function in ("Ref", "Fn::GetAtt"):
            return longest.get(argument, "x" * 100) if function == "Ref" else "x" * 100
    return {key: resolved(each) for key, each in value.items()}


def test_a_managed_policy_fits_and_so_do_the_names_of_roles():
    for name, each in cfn.resources(ROLES, "AWS::IAM::ManagedPolicy").items():
        assert len(json.dumps(resolved(each["Properties"]["PolicyDocument"]), separators=(",", ":"))) <= 6144, name
    stack, environment = 32, 20
    assert ROLES["Parameters"]["StackName"]["AllowedPattern"] == f"^[a-z][a-z0-9-]{{0,{stack - 1}}}$"
    assert ROLES["Parameters"]["Environment"]["AllowedPattern"] == f"^[A-Za-z0-9_-]{{1,{environment}}}$"
    for each in cfn.resources(ROLES, "AWS::IAM::Role").values():
        name = each["Properties"]["RoleName"]["Fn::Sub"]
        assert len(name.replace("${StackName}", "s" * stack).replace("${Environment}", "e" * environment)) <= 64, name
    # CloudFormation shortens a name that it makes where stack, logical id and thirteen characters of its own do not fit.
    limits = {"AWS::IAM::Role": 64, "AWS::Serverless::Function": 64, "AWS::S3::Bucket": 63, "AWS::SQS::Queue": 80}
    for kind, limit in limits.items():
        for name in cfn.resources(TEMPLATE, kind):
            if name != "ApiGatewayLogRoleForAccount":
                assert stack + 1 + len(name) + 1 + 13 <= limit, name
    assert len("amazon-apigateway-") + stack <= 64


def test_the_role_reaches_the_stacks_own_and_nothing_beside_it():
    text = cfn.text(STATEMENTS)
    # Neither the stack of these roles, nor its bucket of artefacts, nor another environment's.
    assert ":stack/${StackName}-*" not in text
    assert ":s3:::${StackName}-*" not in text
    assert ":function:${StackName}-*" not in text
    assert ":role/${StackName}-*" not in text
    for statement in STATEMENTS:
        resources = cfn.text(statement["Resource"])
        actions = cfn.as_list(statement["Action"])
        if "::/restapis" in resources and any(action != "apigateway:GET" for action in actions):
            assert "aws:Re" in cfn.text(statement["Condition"]), "an API is the stack's own by its tag"
        if "logs:DeleteLogGroup" in actions and "API-Gateway-Execution-Logs_" in resources:
            assert "aws:ResourceTag/apigw-log-forwarder" in cfn.text(statement["Condition"])
        if "logs:PutSubscriptionFilter" in actions:
            assert "log-group:*" not in resources
        if "iam:CreatePolicyVersion" in actions:
            assert "LogReaderPolicy" not in resources, "it is attached to people"
        if resources == '"*"':
            changes = [action for action in actions if not re.search(r":(Describe|Get|List)", action)]
            assert set(changes) <= {"apigateway:AllowVendedLogDeliveryForResource", "sns:Unsubscribe"} or "Condition" in statement, changes


def test_the_stacks_own_apis_have_the_tag_by_which_they_are_told():
    tag = [{"Key": "apigw-log-forwarder", "Value": {"Ref": "AWS::StackName"}}]
    assert TEMPLATE["Resources"]["Api"]["Properties"]["Tags"] == tag
    assert TEMPLATE["Resources"]["ApiExecutionLogGroup"]["Properties"]["Tags"] == tag
    assert TEMPLATE["Resources"]["LogReadApi"]["Properties"]["Tags"] == {"apigw-log-forwarder": {"Ref": "AWS::StackName"}}
