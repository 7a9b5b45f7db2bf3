"""The template of a release: plain CloudFormation that is the same stack."""

import json
import os
import re
import subprocess
import sys

import pytest

import cfn

SCRIPTS = cfn.ROOT / ".github/scripts"
SLOTS = 40


@pytest.fixture(scope="module")
def text():
    return subprocess.run([sys.executable, SCRIPTS / "process-template", "1.2.3"], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def released(text):
    return json.loads(text)


def walk(value):
    yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(each)


def test_stacksets_terraform_and_cloudformation_take_it(text, released):
    assert "Transform" not in released
    assert not [each for each in released["Resources"].values() if each["Type"].startswith(("AWS::Serverless::", "AWS::CloudFormation::Stack"))]
    assert "ForEach" not in text
    # A StackSet names its stacks StackSet-NAME-ID, which no stream and no bucket can be called after.
    assert "AWS::StackName" not in text
    assert len(text.encode()) <= 1_000_000
    assert len(released["Resources"]) <= 500


def test_every_name_that_it_uses_is_there(released):
    known = set(released["Parameters"]) | set(released["Resources"])
    for value in walk(released["Resources"] | {"conditions": released["Conditions"], "outputs": released["Outputs"]}):
        if not isinstance(value, dict):
            continue
        if set(value) == {"Ref"}:
            assert value["Ref"] in known or value["Ref"].startswith("AWS::"), value
        if set(value) == {"Fn::GetAtt"}:
            assert (value["Fn::GetAtt"] if isinstance(value["Fn::GetAtt"], list) else value["Fn::GetAtt"].split("."))[0] in known, value
        if set(value) == {"Fn::If"}:
            assert value["Fn::If"][0] in released["Conditions"], value
        if isinstance(value.get("Condition"), str):
            assert value["Condition"] in released["Conditions"], value
        if set(value) == {"Fn::Sub"}:
            pattern, given = (value["Fn::Sub"], {}) if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"]
            for name in re.findall(r"\$\{([^!}][^}]*)\}", pattern):
                assert name in given or name.split(".")[0] in known or name.startswith("AWS::"), name


def test_each_entry_of_both_lists_is_subscribed_and_one_more_refused(released):
    filters = [(name, each) for name, each in released["Resources"].items() if each["Type"] == "AWS::Logs::SubscriptionFilter" and re.search(r"\d$", name)]
    assert len(filters) == 2 * SLOTS
    for name, parameter in (("LogGroup", "LogGroupNames"), ("Stage", "ExecutionLogStages")):
        for slot in range(1, SLOTS + 1):
            condition = released["Conditions"][f"{name}Has{slot}"]["Fn::And"]
            assert condition[0] == {"Condition": {"LogGroup": "HasLogGroups", "Stage": "HasStages"}[name]}
            assert f'"Fn::Select": [{slot - 1}, ' in cfn.text(condition[1])
            properties = dict(filters)[f"{name}Subscription{slot}"]["Properties"]
            assert f"${{{parameter}}}" in cfn.text(properties["LogGroupName"])
        pattern = re.compile(released["Parameters"][parameter]["AllowedPattern"])
        assert pattern.fullmatch(",".join(["a/b"] * SLOTS))
        assert not pattern.fullmatch(",".join(["a/b"] * (SLOTS + 1)))
        # Nothing trims a name here.
        assert not pattern.fullmatch("a/b, c/d")
    assert '{"Ref": "Prefix"}' not in cfn.text(released["Resources"])
    assert "API-Gateway-Execution-Logs_${Name}" in cfn.text(dict(filters)["StageSubscription1"])


def test_no_two_alarms_have_one_name(released):
    names = [cfn.text(each["Properties"]["AlarmName"]) for each in released["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(names) == len(set(names)) > 3 * 2 * SLOTS


def test_the_functions_code_is_what_the_package_script_makes(released):
    assert released["Parameters"]["CodePrefix"]["Default"] == "apigw-log-forwarder/1.2.3/"
    for name, function in cfn.resources(cfn.load(), "AWS::Serverless::Function").items():
        binary = function["Metadata"]["BuildProperties"]["Binary"]
        assert released["Resources"][name]["Properties"]["Code"] == {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Fn::Sub": f"${{CodePrefix}}{binary}-${{Architecture}}.zip"}}
    assert '"$into/$binary-$architecture.zip"' in (SCRIPTS / "package").read_text()


def test_one_command_uploads_and_deploys(tmp_path, text):
    (tmp_path / "template.json").write_text(text)
    (tmp_path / "deploy-release").write_text((SCRIPTS / "deploy-release").read_text())
    aws = tmp_path / "bin/aws"
    aws.parent.mkdir()
    aws.write_text("""#!/usr/bin/env bash\nprintf '%s\\n' "$*" >> "$CALLS"\nfor word; do case $word in file://*) cat "${word#file://}" > "$CALLS.json" ;; esac; done\n""")
    aws.chmod(0o755)
    parameters = subprocess.run([sys.executable, SCRIPTS / "parameters-as-json", cfn.ROOT / "parameters.example.yaml"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "parameters.json").write_text(parameters)
    environment = os.environ | {"PATH": f"{aws.parent}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
    subprocess.run(["bash", tmp_path / "deploy-release", "fwd", "mine", tmp_path / "parameters.json"], env=environment, check=True, capture_output=True)
    upload, deploy = (tmp_path / "calls").read_text().splitlines()
    assert upload.endswith("s3://mine/apigw-log-forwarder/1.2.3/")
    assert "--stack-name fwd" in deploy and "--capabilities CAPABILITY_IAM" in deploy
    given = {each["ParameterKey"]: each["ParameterValue"] for each in json.loads((tmp_path / "calls.json").read_text())}
    assert given["CodeBucket"] == "mine"
    assert set(given) == set(cfn.load()["Parameters"]) | {"CodeBucket", "Name"}
    assert given["Name"] == "fwd"
    assert given["Redact"] == "on"
