"""The function under AWS's Runtime Interface Emulator: what Lambda itself does with its answers, its time and its start."""

import base64
import contextlib
import gzip
import http.server
import json
import os
import pathlib
import threading
import urllib.error
import urllib.request
import uuid

import pytest
import samcli

from conftest import ARCHITECTURE, REGION
from processes import free_ports, running, until

EMULATOR = pathlib.Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{ARCHITECTURE}"
MAX_ANSWER = 6 * 1024 * 1024


class Destination(http.server.ThreadingHTTPServer):
    """Token endpoint and analytics API; `/hangs` takes a request and never answers."""

    daemon_threads = True

    def __init__(self):
        self.events = []
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = b""
        if self.path == "/token":
            answer = json.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": 3600}).encode()
        elif self.path == "/hangs":
            self.server.ended.wait()
            return
        else:
            self.server.events += json.loads(body)
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture(scope="module")
def destination():
    server = Destination()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.ended.set()
    server.shutdown()


@pytest.fixture(scope="module")
def credentials(cloud):
    value = json.dumps({"client_id": "i", "client_secret": "s"})
    cloud.client("ssm").put_parameter(Name="/emulator/credentials", Type="SecureString", Value=value)


@pytest.fixture
def emulator(tmp_path, binary, cloud, destination, credentials):
    """Starts the function under the emulator; gives a way to invoke it, and its log."""
    with contextlib.ExitStack() as stack:

        def start(path="/events", timeout=30, **settings):
            invoke_port, runtime_port = free_ports(2)
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "AWS_LAMBDA_FUNCTION_NAME": "forwarder",
                "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL": cloud.endpoint,
                "ANALYTICS_URL": destination.address + path,
                "TOKEN_URL": destination.address + "/token",
                "TOKEN_PARAMETER": "/emulator/token",
                "CREDENTIALS_PARAMETER": "/emulator/credentials",
            } | settings
            command = [
                EMULATOR, "--runtime-interface-emulator-address", f"127.0.0.1:{invoke_port}",
                "--runtime-api-address", f"127.0.0.1:{runtime_port}", binary,
            ]  # fmt: skip
            log = tmp_path / "log"
            stack.enter_context(running(command, log, env={name: value for name, value in environment.items() if value is not None}))
            url = f"http://127.0.0.1:{invoke_port}/2015-03-31/functions/function/invocations"

            def invoke(records):
                event = {"invocationId": "i", "deliveryStreamArn": "arn:aws:firehose:::deliverystream/s", "region": REGION, "records": records}

                def attempt():
                    try:
                        with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=timeout + 30) as response:
                            return response.read()
                    except urllib.error.HTTPError as error:
                        return error.read()  # the function did not start
                    except urllib.error.URLError as error:
                        if isinstance(error.reason, ConnectionRefusedError):
                            return None  # not up yet
                        raise

                return until("the emulator does not answer", attempt)

            return invoke, log

        yield start


def record(number, lines, **more):
    envelope = {
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "/aws/apigateway/a", "logStream": "s", "subscriptionFilters": ["f"],
        "logEvents": [{"id": f"{number}-{i}", "timestamp": 1790328030389, "message": line} for i, line in enumerate(lines)],
    }  # fmt: skip
    return {"recordId": f"r{number}", "approximateArrivalTimestamp": 1790328030389, "data": base64.b64encode(gzip.compress(json.dumps(envelope | more).encode())).decode()}


def test_every_record_of_a_batch_gets_one_verdict_in_its_place(emulator, destination):
    invoke, _ = emulator()
    records = [record(i, [f'{{"requestId":"{i}-{j}"}}' for j in range(i % 7)]) for i in range(200)]
    records[17] = records[17] | {"data": "bm90IGd6aXA="[:-1]}
    records[23] = record(23, [""], messageType="CONTROL_MESSAGE")
    answer = json.loads(invoke(records))["records"]
    assert [each["recordId"] for each in answer] == [each["recordId"] for each in records]
    verdicts = {each["recordId"]: each["result"] for each in answer}
    assert verdicts.pop("r17") == "ProcessingFailed"
    assert set(verdicts.values()) == {"Dropped"}
    wanted = {f"{i}-{j}" for i in range(200) if i not in (17, 23) for j in range(i % 7)}
    assert {event["id"] for event in destination.events} == wanted


def test_originals_are_handed_back_in_an_answer_under_six_megabytes(emulator):
    invoke, _ = emulator()
    # Random bytes: no record can be read, and none can be compressed. Together they are a request as large as Lambda takes.
    records = [{"recordId": f"r{i}", "approximateArrivalTimestamp": 0, "data": base64.b64encode(os.urandom(6000)).decode()} for i in range(775)]
    assert MAX_ANSWER - 100_000 < len(json.dumps(records)) < MAX_ANSWER - 1000
    body = invoke(records)
    assert len(body) < MAX_ANSWER
    answer = json.loads(body)["records"]
    assert answer == [{"recordId": each["recordId"], "result": "ProcessingFailed", "data": each["data"]} for each in records]


def test_archives_that_would_make_the_answer_pass_six_megabytes_are_left_out_and_counted(emulator):
    invoke, log = emulator(ARCHIVE="structured")
    # Compressed harder than the function compresses, and with less beside each line: what comes back is larger than what came.
    lines = [json.dumps({"requestId": str(uuid.uuid4()), "status": "200", "userAgent": "a client"}) for _ in range(40_000)]
    records = [record(i, lines[i * 400 : (i + 1) * 400]) for i in range(100)]
    copies = 6_000_000 // len(json.dumps(records))
    event = [each | {"recordId": f"{each['recordId']}-{copy}"} for copy in range(copies) for each in records]
    body = invoke(event)
    assert len(body) < MAX_ANSWER
    answer = json.loads(body)["records"]
    assert [each["recordId"] for each in answer] == [each["recordId"] for each in event]
    omitted = sum(each == {"recordId": each["recordId"], "result": "Dropped"} for each in answer)
    assert 0 < omitted < len(event) / 2
    assert all(each["result"] == "Ok" for each in answer if "data" in each)
    assert f'"ArchivesOmitted":{omitted},' in log.read_text()


def test_the_answer_comes_before_lambdas_time_out_when_the_api_hangs(emulator):
    invoke, log = emulator(path="/hangs", timeout=4)
    records = [record(i, ["a line"]) for i in range(20)]
    answer = json.loads(invoke(records))
    assert {(each["recordId"], each["result"]) for each in answer["records"]} == {(each["recordId"], "ProcessingFailed") for each in records}
    assert [each["data"] for each in answer["records"]] == [each["data"] for each in records]
    assert "Task timed out" not in log.read_text()


def test_a_wrong_setting_ends_the_start_with_one_error_that_names_each_and_repeats_no_value(emulator):
    invoke, log = emulator(ANALYTICS_URL="http://elsewhere.example.com/secret-path", MAX_ATTEMPTS="a-secret-number", TOKEN_URL=None)
    assert "errorType" in json.loads(invoke([record(0, ["x"])]))
    text = log.read_text()
    for variable in ("ANALYTICS_URL", "MAX_ATTEMPTS", "TOKEN_URL"):
        assert variable in text
    assert "secret-path" not in text
    assert "a-secret-number" not in text
