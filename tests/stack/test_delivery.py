"""The steps of a deployment and the workflows that take them."""

import json
import os
import subprocess

import pytest
import yaml

import cfn
from samcli.cli.types import CfnParameterOverridesType

SCRIPT = cfn.ROOT / ".github/scripts/deployment"
WORKFLOWS = cfn.ROOT / ".github/workflows"


def workflow(name):
    text = (WORKFLOWS / name).read_text()
    # YAML 1.1, which PyYAML reads, takes `on` for a truth.
    return {("on" if key is True else key): value for key, value in yaml.safe_load(text).items()}


@pytest.fixture
def tools(tmp_path):
    """Stand-ins for `aws` and `sam` that note their arguments; `aws` answers with the files of `answers`."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "aws").write_text(
        """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$CALLS"
case "$1 $2" in
  "cloudformation describe-stacks") echo fwd-Forwarder-1 ;;
  "lambda invoke") for last; do :; done; cp "$ANSWER" "$last"; echo '{"StatusCode": 200}' ;;
esac
"""
    )
    (directory / "sam").write_text("""#!/usr/bin/env bash\nprintf '%s\\n' "$*" >> "$CALLS"\n""")
    for each in directory.iterdir():
        each.chmod(0o755)

    def run(*arguments, **environment):
        calls = tmp_path / "calls"
        calls.write_text("")
        path = f"{directory}:{os.environ['PATH']}"
        result = subprocess.run([SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PATH": path, "CALLS": str(calls)} | environment)
        return result, calls.read_text()

    return run


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False, "problems": ["no token: invalid_client"]},
        {"records": [{"recordId": "smoke", "result": "Dropped"}]},
        {"errorType": "Runtime.ExitError"},
        {"ok": "true"},
    ],
)
def test_a_deployment_whose_function_is_not_well_fails(tools, tmp_path, answer):
    (tmp_path / "answer").write_text(json.dumps(answer))
    result, _ = tools("check", "fwd", ANSWER=str(tmp_path / "answer"))
    assert result.returncode == 1
    assert "the function is not well" in result.stderr


def test_the_function_checks_itself_through_the_alias_that_firehose_invokes(tools, tmp_path):
    (tmp_path / "answer").write_text(json.dumps({"ok": True, "problems": []}))
    result, calls = tools("check", "fwd", ANSWER=str(tmp_path / "answer"))
    assert result.returncode == 0, result.stderr
    assert '"ok": true' in result.stdout
    assert '--function-name fwd-Forwarder-1 --qualifier live' in calls
    assert '--payload {"check":{}}' in calls


def test_parameters_reach_sam_as_they_were_written(tools, tmp_path):
    parameters = """\
AnalyticsUrl: https://a.example.com/v1
Architecture: x86_64
AccessLogFormat: '$context.identity.sourceIp [$context.requestTime] "$context.httpMethod $context.path" $context.status'
OtherAccessLogFormats: |-
  one\\n Zürich
  two
"""
    build = tmp_path / "build/Forwarder"
    build.mkdir(parents=True)
    (build / "bootstrap").write_bytes(b"\x7fELF" + bytes(14) + b"\x3e\x00" + bytes(44))
    names = {"ENVIRONMENT": "staging", "ARTIFACT_BUCKET": "b", "EXECUTION_ROLE_ARN": "r", "RUNBOOK_URL": "https://r.example.com/#x"}
    result, calls = tools("deploy", "fwd", "build/template.yaml", PARAMETERS=parameters, **names)
    assert result.returncode == 0, result.stderr
    assert "--parameter-overrides file://parameters.yaml" in calls
    assert "--on-failure DELETE" in calls
    assert "--config-env staging --stack-name fwd" in calls
    given = CfnParameterOverridesType().convert((f"file://{tmp_path}/parameters.yaml",), None, None)
    assert given == {
        "AnalyticsUrl": "https://a.example.com/v1",
        "Architecture": "x86_64",
        "AccessLogFormat": '$context.identity.sourceIp [$context.requestTime] "$context.httpMethod $context.path" $context.status',
        "OtherAccessLogFormats": "one\\n Zürich\ntwo",
        "RunbookUrl": "https://r.example.com/#x",
    }
    # A binary of the other processor is not shipped.
    result, calls = tools("deploy", "fwd", "build/template.yaml", PARAMETERS="AnalyticsUrl: https://a.example.com/v1\n", **names)
    assert (result.returncode, calls) == (1, "")


def test_nothing_is_shipped_before_it_was_checked():
    jobs = workflow("deploy.yml")["jobs"]
    assert jobs["check"]["uses"] == "./.github/workflows/ci.yml"
    assert (jobs["build"]["needs"], jobs["staging"]["needs"], jobs["production"]["needs"]) == ("check", "build", "staging")
    assert "workflow_call" in workflow("ci.yml")["on"]


def test_staging_goes_on_while_production_waits():
    assert "concurrency" not in workflow("deploy.yml")
    (job,) = workflow("deploy-environment.yml")["jobs"].values()
    assert job["concurrency"] == {"group": "deploy-${{ inputs.environment }}", "cancel-in-progress": False}


def test_each_environment_has_a_stack_of_its_own():
    (job,) = workflow("deploy-environment.yml")["jobs"].values()
    assert job["env"]["STACK_NAME"] == "${{ vars.STACK_NAME }}"
    settings = (cfn.ROOT / "samconfig.toml").read_text()
    names = [line for line in settings.splitlines() if line.startswith("stack_name")]
    assert len(set(names)) == 3
    assert settings.count('on_failure = "DELETE"') == 3


def test_every_binary_is_held_to_amazon_linux():
    (build,) = [step["run"] for step in workflow("deploy.yml")["jobs"]["build"]["steps"] if "sam build" in step.get("run", "")]
    assert "for binary in .aws-sam/build/*/bootstrap" in build
