"""A stack that finds its log groups by pattern, deployed to the stand-in for AWS, changed, and removed.

Real: the template, `sam deploy`, the subscriber's binary. The stand-in (ministack) does not know ListLogGroups, and says so in its
own way: a proxy says it in AWS's, and the subscriber takes DescribeLogGroups. It sends no CloudTrail events either: the function is
invoked with one.
"""

import http.server
import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request

import botocore.exceptions
import pytest

import cfn
from conftest import ARCHITECTURE, REGION
from processes import until

STACK = "pat"
FILTER = f"{STACK}-subscriber"


def proxy(endpoint):
    """The stand-in's CloudWatch Logs, with AWS's answer for an operation that is not there."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["x-amz-target"].endswith(".ListLogGroups"):
                return self.answer(400, b'{"__type":"UnknownOperationException"}')
            try:
                # All headers, since they are signed.
                with urllib.request.urlopen(urllib.request.Request(endpoint, body, dict(self.headers)), timeout=30) as response:
                    self.answer(response.status, response.read())
            except urllib.error.HTTPError as error:
                self.answer(error.code, error.read())

        def answer(self, status, body):
            self.send_response(status)
            self.send_header("content-type", "application/x-amz-json-1.1")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


class Account:
    """The stand-in with a stack in it."""

    def __init__(self, cloud, package):
        self.cloud, self.package = cloud, package
        self.logs, self.stacks, self.functions = (cloud.client(service) for service in ("logs", "cloudformation", "lambda"))

    def deploy(self, **parameters):
        given = {"AnalyticsUrl": "https://analytics.invalid/", "Auth": "none", "Architecture": ARCHITECTURE, "OwnApi": "disabled", "ReadApi": "disabled"} | parameters
        (self.package / "parameters.yaml").write_text(json.dumps(given))
        command = ["sam", "deploy", "--template-file", self.package / "template.yaml", "--stack-name", STACK, "--region", REGION, "--resolve-s3",
                   "--no-confirm-changeset", "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", "file://parameters.yaml"]  # fmt: skip
        result = subprocess.run(command, env=self.cloud.environment, cwd=self.package, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, f"{self.events()}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"

    def events(self):
        events = self.stacks.describe_stack_events(StackName=STACK)["StackEvents"]
        return [(each["LogicalResourceId"], each["ResourceStatus"], each.get("ResourceStatusReason")) for each in events if "FAILED" in each["ResourceStatus"]]

    def output(self, name):
        (stack,) = self.stacks.describe_stacks(StackName=STACK)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}.get(name)

    def filters(self, group):
        return {each["filterName"]: each for each in self.logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]}

    def subscribed(self):
        """Groups that have the subscriber's filter."""
        pages = self.logs.get_paginator("describe_log_groups").paginate()
        names = [each["logGroupName"] for page in pages for each in page["logGroups"]]
        return [name for name in names if FILTER in self.filters(name)]

    def log(self):
        """What the function has said."""
        return "".join(each["message"] for each in self.logs.filter_log_events(logGroupName=self.output("SubscriberLogGroupName"))["events"])

    def invoke(self, event):
        answer = self.functions.invoke(FunctionName=self.output("SubscriberFunctionName"), Payload=json.dumps(event))
        body = answer["Payload"].read().decode()
        assert "FunctionError" not in answer, body
        return json.loads(body)


@pytest.fixture(scope="module")
def account(cloud, binary):
    subscriber = binary.with_name("apigw-log-subscriber")
    if not subscriber.exists():
        subscriber = binary.parents[1] / "Subscriber/bootstrap"
    package = cloud.directory / "package-of-patterns"
    for directory, program in (("code", binary), ("subscriber", subscriber)):
        (package / directory).mkdir(parents=True)
        shutil.copy(program, package / directory / "bootstrap")
    shutil.copy(cfn.ROOT / "subscriptions.yaml", package)
    template = (cfn.ROOT / "template.yaml").read_text()
    server = proxy(cloud.endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Where the function's code is, and the proxy's address. Nothing else is changed.
    own = "    Properties:\n      Description: Subscribes the log groups"
    last = "          DRY_RUN: !Ref SubscriberDryRun\n"
    assert template.count("CodeUri: .\n") == template.count(own) == template.count(last) == 1
    template = template.replace("CodeUri: .\n", "CodeUri: code/\n").replace(own, own.replace("Properties:\n", "Properties:\n      CodeUri: subscriber/\n"))
    (package / "template.yaml").write_text(template.replace(last, f"{last}          AWS_ENDPOINT_URL: http://127.0.0.1:{server.server_port}\n"))
    account = Account(cloud, package)
    for group in ("/pattern/a", "/pattern/b", "/pattern/debug", "/pattern/listed", "/other/a", "API-Gateway-Execution-Logs_p1/prod"):
        account.logs.create_log_group(logGroupName=group)
    account.deploy(
        LogGroupPatterns="/pattern/*,API-Gateway-Execution-Logs_p*", ExcludeLogGroups="*/debug", LogGroupNames="/pattern/listed", ExecutionFilterPattern="Execution"
    )  # fmt: skip
    yield account
    server.shutdown()


def test_groups_that_fit_are_subscribed_by_the_deployment_and_no_others(account):
    wanted = {"/pattern/a", "/pattern/b", "API-Gateway-Execution-Logs_p1/prod"}
    assert set(account.subscribed()) == wanted, account.log()
    put = account.filters("API-Gateway-Execution-Logs_p1/prod")[FILTER]
    assert (put["destinationArn"], put["roleArn"], put["filterPattern"]) == (account.output("StreamArn"), account.output("SubscriptionRoleArn"), "Execution")
    assert account.filters("/pattern/a")[FILTER]["filterPattern"] == ""
    # Once, by the list.
    assert len(account.filters("/pattern/listed")) == 1


def test_a_dry_run_says_what_a_sweep_does_and_a_new_group_is_subscribed(account):
    account.logs.create_log_group(logGroupName="/pattern/new")
    created = {"eventSource": "logs.amazonaws.com", "eventName": "CreateLogGroup", "requestParameters": {"logGroupName": "/pattern/new"}}
    event = {"source": "aws.logs", "detail-type": "AWS API Call via CloudTrail", "detail": created}
    report = account.invoke({"sweep": {"dryRun": True}})
    assert (report["matched"], report["added"], report["changed"]) == (4, 1, ["/pattern/new"])
    assert "/pattern/new" not in account.subscribed()
    account.invoke(event)
    assert "/pattern/new" in account.subscribed()
    account.logs.create_log_group(logGroupName="/pattern/newer")
    assert account.invoke({"detail-type": "Scheduled Event"})["added"] == 1
    assert '"GroupsAdded":1' in account.log()

    # EventBridge takes no events of AWS's from others, but says whether a rule would match one.
    events = account.cloud.client("events")
    (pattern,) = [each["EventPattern"] for each in events.list_rules(NamePrefix=f"{STACK}-Subscriber")["Rules"] if "EventPattern" in each]
    whole = event | {"id": "1", "account": "111122223333", "time": "2026-11-21T18:00:00Z", "region": REGION, "resources": []}
    refused = whole | {"detail": created | {"errorCode": "LimitExceededException"}}
    matches = [events.test_event_pattern(EventPattern=pattern, Event=json.dumps(each))["Result"] for each in (whole, refused)]
    assert matches == [True, False]


def test_a_changed_pattern_moves_the_filters_and_leaves_those_of_others(account):
    account.logs.put_subscription_filter(logGroupName="/pattern/a", filterName="of-another-team", filterPattern="", destinationArn=account.output("StreamArn"), roleArn=account.output("SubscriptionRoleArn"))
    account.deploy(LogGroupPatterns="/other/*", ExcludeLogGroups="", LogGroupNames="/pattern/listed")
    assert account.subscribed() == ["/other/a"]
    assert set(account.filters("/pattern/a")) == {"of-another-team"}


def test_its_filters_go_without_a_pattern_and_with_the_stack(account):
    account.deploy(LogGroupPatterns="", LogGroupNames="/pattern/listed")
    assert account.subscribed() == []
    left = {each["LogicalResourceId"]: each["ResourceStatus"] for each in account.stacks.describe_stack_resources(StackName=STACK)["StackResources"]}
    assert not [name for name, status in left.items() if "Subscriber" in name and "DELETE" not in status], left

    account.deploy(LogGroupPatterns="/other/*", LogGroupNames="/pattern/listed")
    assert account.subscribed() == ["/other/a"]
    account.stacks.delete_stack(StackName=STACK)

    def gone():
        try:
            (stack,) = account.stacks.describe_stacks(StackName=STACK)["Stacks"]
        except botocore.exceptions.ClientError:
            return True
        assert "FAILED" not in stack["StackStatus"], account.events()
        return stack["StackStatus"] == "DELETE_COMPLETE"

    until("the stack is still there", gone, seconds=120)
    assert account.subscribed() == []
    assert set(account.filters("/pattern/a")) == {"of-another-team"}
