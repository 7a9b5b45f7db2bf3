"""What several tests of the stack share."""

import json
import os
import pathlib
import platform
import subprocess
import sys

import boto3
import pytest

import cfn
from processes import answers, free_ports, running, until

REGION = "eu-west-1"
ARCHITECTURE = {"aarch64": "arm64"}.get(platform.machine(), "x86_64")
HERE = pathlib.Path(__file__).resolve().parent
JARS = ["velocity", "commons-lang", "commons-collections3", "jackson-databind", "jackson-core", "jackson-annotations"]


@pytest.fixture(scope="session")
def velocity(tmp_path_factory):
    """Renders mapping templates: a list of cases, as Render.java takes them, to a list of results."""
    classes = tmp_path_factory.mktemp("classes")
    path = ":".join([str(classes), *(f"/usr/share/java/{jar}.jar" for jar in JARS)])
    subprocess.run(["javac", "-Xlint:-options", "-cp", path, "-d", classes, HERE / "Render.java"], check=True, timeout=120)

    process = subprocess.Popen(["java", "-cp", path, "Render"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def render(cases):
        process.stdin.write(json.dumps(cases) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, "the renderer ended: its error is above"
        return json.loads(answer)

    yield render
    process.stdin.close()
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def binary(tmp_path_factory):
    """The function, from BINARY or as `sam build` makes it."""
    if given := os.environ.get("BINARY"):
        return pathlib.Path(given).resolve()
    build = tmp_path_factory.mktemp("build")
    command = ["sam", "build", "--build-dir", build, "--parameter-overrides", f"Architecture={ARCHITECTURE}"]
    subprocess.run(command, cwd=cfn.ROOT, check=True, timeout=1800)
    return build / "Forwarder/bootstrap"


class Cloud:
    """The stand-in for AWS."""

    def __init__(self, endpoint, directory):
        self.endpoint = endpoint
        self.directory = directory
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service):
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cloud")
    (port,) = free_ports(1)
    settings = {
        "AUTH": "true",  # the roles' policies are enforced
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(directory),
    }
    endpoint = f"http://127.0.0.1:{port}"
    log = directory / "log"
    with running([sys.executable, "-m", "ministack"], log, env=os.environ | settings, cwd=directory):
        until(lambda: f"ministack does not answer:\n{log.read_text()[-3000:]}", answers(f"{endpoint}/_ministack/health"))
        yield Cloud(endpoint, directory)
