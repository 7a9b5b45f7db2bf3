"""The stack, deployed to a stand-in for AWS that enforces the roles' policies, with log events going all the way through.

Real: the template, `sam deploy`, the function's binary, the token endpoint (oidc-provider, tokens of a few seconds), the analytics
API (nginx with TLS). The stand-in (ministack) gives Firehose one record an invocation, and does not deliver a subscription to
Firehose: a relay function with the subscription's own role does that.
"""

import base64
import gzip
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import cfn
from conftest import ARCHITECTURE, REGION
from processes import answers, free_ports, running, until

HERE = pathlib.Path(__file__).resolve().parent
STACK = "fwd"
MANY = [f"/existing/of-many/{number}" for number in range(47)]
SECRET = "a secret: with /+%&= signs"
LIFETIME = 4  # seconds that a token lives
STAND_IN = "what-only-the-stand-in-asks-for"

RELAY = """
import base64, boto3, os
def handler(event, context):
    data = base64.b64decode(event["awslogs"]["data"])
    boto3.client("firehose", endpoint_url=os.environ["ENDPOINT"]).put_record(DeliveryStreamName=os.environ["STREAM"], Record={"Data": data})
"""


@pytest.fixture(scope="session")
def token_endpoint(tmp_path_factory):
    """Base address of the OAuth 2.0 server."""
    log = tmp_path_factory.mktemp("token") / "log"
    command = ["node", HERE / "token-endpoint.mjs", LIFETIME]
    with running(command, log, stdout=subprocess.PIPE, cwd=HERE, text=True) as process:
        port = process.stdout.readline().strip()
        assert port, log.read_text()
        yield f"http://127.0.0.1:{port}"


class AnalyticsApi:
    """What nginx was sent and answered."""

    def __init__(self, directory, port):
        self.directory = directory
        self.url = f"https://localhost:{port}/v1/events"

    def requests(self):
        """Requests in order: status, headers, and the events of the body."""
        found = []
        for line in (self.directory / "requests.log").read_text().splitlines():
            request = json.loads(line)
            request["events"] = json.loads(pathlib.Path(request["file"]).read_bytes())
            found.append(request)
        return found

    def accepted(self):
        """Events of all bodies that were accepted."""
        return [event for request in self.requests() if request["status"] == 202 for event in request["events"]]


@pytest.fixture(scope="session")
def analytics_api(tmp_path_factory, token_endpoint):
    # nginx's workers are another user when this is root.
    directory = tmp_path_factory.mktemp("analytics")
    for each in (directory, directory.parent):
        each.chmod(0o755)
    directory.parent.parent.chmod(0o755)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", directory / "server.key", "-out", directory / "server.pem"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    port, accept = free_ports(2)
    text = (HERE / "analytics-api.conf").read_text()
    values = {"directory": directory, "port": port, "accept": accept, "token": urllib.parse.urlsplit(token_endpoint).port}
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    if os.getuid() == 0:
        text = "user root;\n" + text
    (directory / "nginx.conf").write_text(text)
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    with running([nginx, "-p", directory, "-c", directory / "nginx.conf"], directory / "log"):
        until(lambda: f"nginx does not answer: {(directory / 'log').read_text()}", answers(f"http://127.0.0.1:{accept}/"))
        yield AnalyticsApi(directory, port)


class Stack:
    """The deployed stack."""

    def __init__(self, cloud):
        self.cloud = cloud
        (described,) = cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}

    def resource(self, logical_id):
        client = self.cloud.client("cloudformation")
        return client.describe_stack_resource(StackName=STACK, LogicalResourceId=logical_id)["StackResourceDetail"]["PhysicalResourceId"]


def failures(cloud):
    """What CloudFormation says of the resources that it could not make."""
    events = cloud.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    return [(each["LogicalResourceId"], each.get("ResourceStatusReason")) for each in events if each["ResourceStatus"].endswith("_FAILED")]


@pytest.fixture(scope="session")
def stack(cloud, binary, token_endpoint, analytics_api):
    """template.yaml as `sam deploy` brings it out, with credentials in the parameter that its output names."""
    package = cloud.directory / "package"
    for directory, program in (("code", binary), ("redrive", binary.with_name("apigw-log-redrive"))):
        (package / directory).mkdir(parents=True)
        if program.exists():
            shutil.copy(program, package / directory / "bootstrap")
        else:
            stand_in = package / directory / "bootstrap"
            stand_in.write_text(f"#!{sys.executable}\n{(HERE / 'redrive_stand_in.py').read_text()}")
            stand_in.chmod(0o755)
    shutil.copy(cfn.ROOT / "subscriptions.yaml", package)
    template = (cfn.ROOT / "template.yaml").read_text()
    # The functions' environment has to name the stand-in, and the analytics API's certificate. Bucket and queues let nobody in
    # without TLS, which the stand-in does not speak. Nothing else is changed.
    last = "\n        METRICS_NAMESPACE: !Ref MetricsNamespace\n"
    redrive = "    Properties:\n      Description: Delivers what Firehose kept under failed/"
    assert template.count(last) == template.count("CodeUri: .\n") == template.count(redrive) == 1
    extra = f"        AWS_ENDPOINT_URL: {cloud.endpoint}\n"
    template = template.replace(last, last + extra).replace("CodeUri: .\n", "CodeUri: code/\n")
    template = template.replace(redrive, redrive.replace("Properties:\n", "Properties:\n      CodeUri: redrive/\n"))
    assert template.count('"aws:SecureTransport": "false"') == 3
    (package / "template.yaml").write_text(template.replace('"aws:SecureTransport": "false"', '"aws:SecureTransport": "unknown"'))

    for group in ("/existing/orders", "/existing/pages", *MANY, "API-Gateway-Execution-Logs_a1b2c3d4e5/prod"):
        cloud.client("logs").create_log_group(logGroupName=group)
    command = [
        "sam", "deploy", "--template-file", package / "template.yaml", "--stack-name", STACK, "--region", REGION,
        "--resolve-s3", "--no-confirm-changeset", "--capabilities", "CAPABILITY_IAM", "--parameter-overrides",
        f"AnalyticsUrl={analytics_api.url}", f"TokenUrl={token_endpoint}/token", f"Architecture={ARCHITECTURE}", "Archive=structured",
        f"LogGroupNames=/existing/orders,-,/existing/pages,{','.join(MANY)}", "ExecutionLogStages=a1b2c3d4e5/prod", "RedriveDelaySeconds=0", "CheckEveryMinutes=60", f"CaFile={analytics_api.directory}/server.pem",
    ]  # fmt: skip
    result = subprocess.run(command, env=cloud.environment, cwd=package, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, f"{failures(cloud)}\n{result.stdout[-3000:]}{result.stderr[-3000:]}"
    deployed = Stack(cloud)
    # The stand-in judges GetParameters as if it named no parameter; what AWS judges it by is tested with the template's permissions.
    for role in ("ForwarderRole", "RedriveRole"):
        cloud.client("iam").put_role_policy(
            RoleName=deployed.resource(role), PolicyName=STAND_IN,
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"}]}),
        )  # fmt: skip
    cloud.client("ssm").put_parameter(
        Name=deployed.outputs["CredentialsParameterName"],
        Type="SecureString",
        Value=json.dumps({"client_id": "forwarder", "client_secret": SECRET}),
    )
    return deployed


@pytest.fixture(scope="session")
def relay(cloud, stack):
    """Subscribes a function that does what CloudWatch Logs does with a subscription to Firehose, under the same role."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("relay.py", RELAY)
    function = cloud.client("lambda").create_function(
        FunctionName="relay",
        Runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
        Role=stack.outputs["SubscriptionRoleArn"],
        Handler="relay.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
        Environment={"Variables": {"ENDPOINT": cloud.endpoint, "STREAM": stack.outputs["StreamName"]}},
    )

    def subscribe(group):
        filters = cloud.client("logs").describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
        assert [each["destinationArn"] for each in filters] == [stack.outputs["StreamArn"]], group
        cloud.client("logs").put_subscription_filter(
            logGroupName=group, filterName="relay", filterPattern=filters[0]["filterPattern"], destinationArn=function["FunctionArn"]
        )

    return subscribe


def access_line(number):
    """A line of the template's own format, as API Gateway writes it."""
    values = {"$context.status": "200", "$context.requestId": f"00000000-0000-4000-8000-{number:012}"}
    line = cfn.load()["Parameters"]["AccessLogFormat"]["Default"]
    for variable, value in values.items():
        line = line.replace(f'"{variable}"', f'"{value}"')
    return line.replace('"$context.', '"of ')


def put(cloud, group, stream, messages):
    logs = cloud.client("logs")
    try:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    except logs.exceptions.ResourceAlreadyExistsException:
        pass
    now = int(time.time() * 1000)
    logs.put_log_events(
        logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": now + i, "message": each} for i, each in enumerate(messages)]
    )


def archived(cloud, stack):
    """Events of all objects under archive/."""
    s3 = cloud.client("s3")
    found = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=stack.outputs["BucketName"], Prefix="archive/"):
        for each in page.get("Contents", []):
            body = s3.get_object(Bucket=stack.outputs["BucketName"], Key=each["Key"])["Body"].read()
            found += [json.loads(line) for line in gzip.decompress(body).splitlines()]
    return found


def issued(token_endpoint):
    with urllib.request.urlopen(f"{token_endpoint}/issued", timeout=10) as response:
        return int(response.read())


def log_of(cloud, stack, output):
    events = cloud.client("logs").filter_log_events(logGroupName=stack.outputs[output])["events"]
    return "\n".join(event["message"] for event in events)


def function_log(cloud, stack):
    return log_of(cloud, stack, "FunctionLogGroupName")


def test_every_event_reaches_the_analytics_api_and_the_archive(cloud, stack, relay, analytics_api, token_endpoint):
    own = stack.outputs["ApiAccessLogGroupName"]
    groups = [own, "/existing/orders", "API-Gateway-Execution-Logs_a1b2c3d4e5/prod"]
    for group in groups:
        relay(group)

    wanted = 0
    for round_ in range(3):
        put(cloud, own, "a", [access_line(100 * round_ + i) for i in range(20)])
        put(cloud, "/existing/orders", "b", [access_line(100 * round_ + 50 + i) for i in range(20)])
        put(cloud, groups[2], "c", [f"({1000 + round_}) Starting execution for request: {1000 + round_}", f"({1000 + round_}) Method completed with status: 200"])
        wanted += 41
        until(
            lambda: f"{len(analytics_api.accepted())} of {wanted} events arrived; the function says:\n{function_log(cloud, stack)[-4000:]}",
            lambda: len({event["id"] for event in analytics_api.accepted()}) >= wanted,
            seconds=90,
        )
        if round_ < 2:
            # The token is to be too old by the next round.
            last = time.monotonic()
            until("the clock to go on", lambda last=last: time.monotonic() > last + LIFETIME + 0.5)

    events = analytics_api.accepted()
    assert len(events) == wanted, "each event once"
    assert {event["logGroup"] for event in events} == set(groups)
    accesses = [event for event in events if event["kind"] == "access"]
    assert len({event["context"]["requestId"] for event in accesses}) == len(accesses) == 120
    assert all(event["context"]["status"] == 200 for event in accesses)
    executions = [event for event in events if event["kind"] == "execution"]
    assert sorted(event["execution"]["requestId"] for event in executions) == ["1000", "1001", "1002"]
    assert all(event["execution"]["complete"] for event in executions)

    for request in analytics_api.requests():
        assert request["method"] == "POST"
        assert request["type"] == "application/json"
        assert len(request["key"]) == 64
        assert request["agent"].startswith("apigw-log-forwarder/")
    # A token a round, not one an invocation: nine invocations at least.
    assert 3 <= issued(token_endpoint) <= 6

    until("the archive holds fewer events", lambda: len(archived(cloud, stack)) >= wanted)
    assert sorted(event["id"] for event in archived(cloud, stack)) == sorted(event["id"] for event in events)


def test_the_token_is_kept_as_a_secure_string_and_locks_do_not_pile_up(cloud, stack):
    ssm = cloud.client("ssm")
    name = stack.outputs["TokenParameterName"]
    parameter = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    assert parameter["Type"] == "SecureString"
    assert set(json.loads(parameter["Value"])) == {"access_token", "token_type", "issued_at", "expires_at"}
    described = ssm.describe_parameters(ParameterFilters=[{"Key": "Name", "Option": "BeginsWith", "Values": [f"{name}.lock."]}])
    assert len(described["Parameters"]) <= 1


def test_the_functions_log_names_no_secret(cloud, stack):
    log = function_log(cloud, stack)
    token = json.loads(cloud.client("ssm").get_parameter(Name=stack.outputs["TokenParameterName"], WithDecryption=True)["Parameter"]["Value"])
    assert log
    assert SECRET not in log
    assert token["access_token"] not in log


class ReadApi:
    """The log-reading API as API Gateway runs it: templates by Velocity, requests signed with the integration's role."""

    def __init__(self, cloud, stack, velocity):
        self.cloud, self.velocity = cloud, velocity
        self.paths = cfn.load()["Resources"]["LogReadApi"]["Properties"]["DefinitionBody"]["paths"]
        role = cloud.client("iam").get_role(RoleName=stack.resource("ReadRole"))["Role"]["Arn"]
        given = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="api")["Credentials"]
        self.credentials = botocore.credentials.Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def __call__(self, path, body="", **parameters):
        (operation,) = self.paths[path].values()
        integration = operation["x-amazon-apigateway-integration"]
        source = "path" if "{" in path else "query"
        rendered = self.velocity([{"template": integration["requestTemplates"]["application/json"], source: parameters, "body": body}])[0]["output"]
        prefix = "integration.request.header."
        headers = {name.removeprefix(prefix): value.strip("'") for name, value in integration["requestParameters"].items()}
        request = botocore.awsrequest.AWSRequest("POST", self.cloud.endpoint + "/", headers, rendered.encode())
        botocore.auth.SigV4Auth(self.credentials, "logs", REGION).add_auth(request)
        try:
            with urllib.request.urlopen(urllib.request.Request(request.url, rendered.encode(), dict(request.headers)), timeout=30) as response:
                return 200, json.loads(response.read())
        except urllib.error.HTTPError as error:
            template = integration["responses"]["4\\d{2}" if error.code < 500 else "default"]["responseTemplates"]["application/json"]
            result = self.velocity([{"template": template, "body": error.read().decode()}])[0]
            return result["status"] or (400 if error.code < 500 else 502), json.loads(result["output"])


def test_every_log_group_of_a_long_list_is_subscribed(cloud, stack):
    for group in ("/existing/orders", "/existing/pages", *MANY):
        (found,) = [each for each in cloud.client("logs").describe_subscription_filters(logGroupName=group)["subscriptionFilters"] if each["filterName"] != "relay"]
        assert found["destinationArn"] == stack.outputs["StreamArn"]


def test_the_log_reading_api_lists_reads_pages_and_searches_with_its_role(cloud, stack, velocity):
    api = ReadApi(cloud, stack, velocity)
    group = "/existing/pages"
    stream = "2026/11/21/[$LATEST]it's \"one\""
    put(cloud, group, stream, [f"line {i} {'odd' if i % 2 else 'even'}" for i in range(25)])

    status, answer = api("/streams", logGroupName=group, limit="5")
    assert (status, [each["logStreamName"] for each in answer["logStreams"]]) == (200, [stream])

    lines, parameters = [], {"logGroupName": group, "logStreamName": stream, "limit": "7", "startFromHead": "true"}
    for _ in range(10):
        status, answer = api("/events", **parameters)
        assert status == 200, answer
        lines += [each["message"] for each in answer["events"]]
        if answer["nextForwardToken"] == parameters.get("nextToken"):
            break
        parameters["nextToken"] = answer["nextForwardToken"]
    assert [line.split()[1] for line in lines] == [str(i) for i in range(25)]

    status, answer = api("/search", logGroupName=group, filterPattern="odd", startTime="0")
    assert (status, len(answer["events"])) == (200, 12)


def test_the_log_reading_api_refuses_other_groups_and_says_what_is_not_there(cloud, stack, velocity):
    api = ReadApi(cloud, stack, velocity)
    cloud.client("logs").create_log_group(logGroupName="/somebody/elses")
    status, answer = api("/search", logGroupName="/somebody/elses")
    assert (status, answer["error"]["code"]) == (403, "Forbidden")
    status, answer = api("/events", logGroupName=stack.outputs["ApiAccessLogGroupName"], logStreamName="none such")
    assert (status, answer["error"]["code"]) == (404, "NotFound")


def record(message):
    envelope = {
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/existing/orders", "logStream": "s", "subscriptionFilters": [STACK],
        "logEvents": [{"id": "1", "timestamp": int(time.time() * 1000), "message": message}],
    }  # fmt: skip
    return base64.b64encode(gzip.compress(json.dumps(envelope).encode())).decode()


def test_an_object_under_failed_comes_back_by_itself(cloud, stack, analytics_api):
    s3, bucket = cloud.client("s3"), stack.outputs["BucketName"]
    envelope = {
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/existing/orders", "logStream": "s", "subscriptionFilters": [STACK],
        "logEvents": [{"id": "it-came-back", "timestamp": int(time.time() * 1000), "message": access_line(7)}],
    }  # fmt: skip
    line = {
        "attemptsMade": 1, "arrivalTimestamp": int(time.time() * 1000), "errorCode": "Lambda.ProcessingFailedStatus", "errorMessage": "…",
        "attemptEndingTimestamp": int(time.time() * 1000), "rawData": base64.b64encode(gzip.compress(json.dumps(envelope).encode())).decode(),
        "lambdaArn": "arn:aws:lambda:eu-west-1:111122223333:function:f:live",
    }  # fmt: skip
    key = "failed/processing-failed/2026/11/21/18/a b+c"
    s3.put_object(Bucket=bucket, Key=key, Body=(json.dumps(line) + "\n").encode())

    def gone():
        return not s3.list_objects_v2(Bucket=bucket, Prefix="failed/").get("Contents")

    until(lambda: f"still there: {s3.list_objects_v2(Bucket=bucket).get('Contents')}; the function says:\n{log_of(cloud, stack, 'RedriveLogGroupName')}", gone, seconds=20)
    if (cloud.directory / "package/redrive/bootstrap").read_bytes().startswith(b"#!"):
        report = json.loads(s3.get_object(Bucket=bucket, Key="parked/report")["Body"].read())
        assert report == {
            "key": key, "lines": [json.dumps(line)], "wait": "ok", "list": "ok", "queue": "ok", "delete": "ok",
            "read elsewhere": "AccessDenied", "write elsewhere": "AccessDenied", "gone": "NoSuchKey",
        }  # fmt: skip
    else:
        until("the event has not arrived", lambda: [event for event in analytics_api.accepted() if event["id"] == "it-came-back"])


def test_the_template_of_a_release_makes_the_same_stack(cloud, binary):
    s3, cloudformation = cloud.client("s3"), cloud.client("cloudformation")
    text = subprocess.run([sys.executable, cfn.ROOT / ".github/scripts/process-template", "1.2.3"], capture_output=True, text=True, check=True).stdout
    s3.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": REGION})
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(binary, "bootstrap")
    for function in cfn.resources(cfn.load(), "AWS::Serverless::Function").values():
        s3.put_object(Bucket="releases", Key=f"apigw-log-forwarder/1.2.3/{function['Metadata']['BuildProperties']['Binary']}-{ARCHITECTURE}.zip", Body=code.getvalue())
    groups = [f"/released/{number}" for number in range(39)]
    for group in [*groups, "API-Gateway-Execution-Logs_z9y8x7w6v5/prod"]:
        cloud.client("logs").create_log_group(logGroupName=group)
    parameters = {
        "CodeBucket": "releases", "Name": "released", "Architecture": ARCHITECTURE, "AnalyticsUrl": "https://localhost/v1", "TokenUrl": "https://localhost/token",
        "LogGroupNames": f"-,{','.join(groups)}", "ExecutionLogStages": "z9y8x7w6v5/prod", "AlarmEmail": "you@example.com",
    }  # fmt: skip
    # The stand-in speaks no TLS, and knows no Fn::Split in a condition, where CloudFormation takes it: these lists are split here.
    template = json.loads(text.replace('"aws:SecureTransport":"false"', '"aws:SecureTransport":"unknown"'))
    conditions = json.dumps(template["Conditions"])
    for name in ("LogGroupNames", "ExecutionLogStages"):
        padded = f"${{{name}}}" + 39 * ",-"
        conditions = conditions.replace(json.dumps({"Fn::Split": [",", {"Fn::Sub": padded}]}), json.dumps(padded.replace(f"${{{name}}}", parameters[name]).split(",")))
    template["Conditions"] = json.loads(conditions)
    s3.put_object(Bucket="releases", Key="template.json", Body=json.dumps(template).encode())
    cloudformation.create_stack(
        StackName="released", Capabilities=["CAPABILITY_IAM"], TemplateURL=f"{cloud.endpoint}/releases/template.json",
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )  # fmt: skip

    def status():
        return cloudformation.describe_stacks(StackName="released")["Stacks"][0]["StackStatus"]

    until("the stack is still being made", lambda: not status().endswith("IN_PROGRESS"), seconds=120)
    events = cloudformation.describe_stack_events(StackName="released")["StackEvents"]
    assert status() == "CREATE_COMPLETE", [(each["LogicalResourceId"], each.get("ResourceStatusReason")) for each in events if "FAILED" in each["ResourceStatus"]]
    for group in [*groups, "API-Gateway-Execution-Logs_z9y8x7w6v5/prod"]:
        (found,) = cloud.client("logs").describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
        assert found["destinationArn"].endswith("/amazon-apigateway-released")


def test_without_its_role_s_policies_the_function_is_refused(cloud, stack):
    """So the stand-in does enforce them, and the tests above show that they are enough."""
    role = stack.resource("ForwarderRole")
    client = cloud.client("lambda")
    original = client.get_function(FunctionName=stack.outputs["FunctionName"])["Configuration"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        archive.writestr(info, (cloud.directory / "package/code/bootstrap").read_bytes(), zipfile.ZIP_DEFLATED)
    event = {"invocationId": "i", "deliveryStreamArn": "", "region": REGION, "records": [{"recordId": "1", "approximateArrivalTimestamp": 0, "data": record("x")}]}

    def verdict(name):
        """What a new environment of the same function, under the same role, says of a record."""
        client.create_function(
            FunctionName=name, Runtime="provided.al2023", Role=original["Role"], Handler="bootstrap", Architectures=[ARCHITECTURE],
            Code={"ZipFile": code.getvalue()}, Timeout=15, Environment=original["Environment"],
        )  # fmt: skip
        until(f"{name} is not active", lambda: client.get_function(FunctionName=name)["Configuration"].get("State", "Active") == "Active")
        answer = json.loads(client.invoke(FunctionName=name, Payload=json.dumps(event))["Payload"].read())
        return answer["records"][0]["result"]

    def version():
        return cloud.client("ssm").get_parameter(Name=stack.outputs["TokenParameterName"])["Parameter"]["Version"]

    def expire():
        last = time.monotonic()
        until("the clock to go on", lambda: time.monotonic() > last + LIFETIME + 0.5)

    expire()
    before = version()
    assert verdict("with-its-policies") == "Ok"
    assert version() == before + 1

    # It may read, but no longer write: events are delivered, the token is not kept.
    cloud.client("iam").delete_role_policy(RoleName=role, PolicyName="token")
    expire()
    assert verdict("without-writing") == "Ok"
    assert version() == before + 1

    cloud.client("iam").delete_role_policy(RoleName=role, PolicyName=STAND_IN)
    assert verdict("without-reading") == "ProcessingFailed"
