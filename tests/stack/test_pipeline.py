"""Delivery inside AWS: what is shipped was checked, proposed and approved, and who does which."""

import json
import subprocess
import sys

import yaml

import cfn

PIPELINE = cfn.load(".github/aws/pipeline.yaml")
RESOURCES = PIPELINE["Resources"]
STAGES = {stage["Name"]: stage["Actions"] for stage in RESOURCES["Pipeline"]["Properties"]["Stages"]}


def test_the_same_build_goes_through_staging_and_an_approval_to_production():
    assert list(STAGES) == ["Source", "Build", "Staging", "Production"]
    for stage, order in (("Staging", ["Parameters", "Propose", "Ship", "Check"]), ("Production", ["Parameters", "Propose", "Approve", "Ship", "Check"])):
        actions = STAGES[stage]
        assert [action["Name"] for action in actions] == order
        assert [action["RunOrder"] for action in actions] == list(range(1, len(order) + 1))
        assert actions[0]["InputArtifacts"] == [{"Name": "build"}]
        propose, ship = (next(action["Configuration"] for action in actions if action["Name"] == name) for name in ("Propose", "Ship"))
        assert propose["StackName"] == ship["StackName"] == {"Ref": f"{stage}StackName"}
        assert propose["RoleArn"] == {"Ref": f"{stage}ExecutionRoleArn"}
        assert (propose["ActionMode"], ship["ActionMode"]) == ("CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE")
    for stage in RESOURCES["Pipeline"]["Properties"]["Stages"][2:]:
        assert stage["OnFailure"] == {"Result": "ROLLBACK"}


def test_a_build_checks_before_it_packages():
    spec = yaml.safe_load(RESOURCES["BuildProject"]["Properties"]["Source"]["BuildSpec"])
    commands = spec["phases"]["build"]["commands"]
    assert [command.split()[:2] for command in commands[:4]] == [["cargo", "fmt"], ["cargo", "clippy"], ["cargo", "test"], ["sam", "build"]]
    assert "check-glibc" in commands[4]
    assert commands[5].startswith("sam package")
    manifest = (cfn.ROOT / "Cargo.toml").read_text()
    needed = manifest.split('rust-version = "')[1].split('"')[0]
    assert spec["phases"]["install"]["runtime-versions"]["rust"] >= ".".join(needed.split(".")[:2])
    # An arm64 build is not emulated.
    assert RESOURCES["BuildProject"]["Properties"]["Environment"]["Type"] == "ARM_CONTAINER"


def test_an_environments_parameters_are_checked_and_its_function_asked():
    spec = yaml.safe_load(RESOURCES["DeployProject"]["Properties"]["Source"]["BuildSpec"])
    (script,) = spec["phases"]["build"]["commands"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "check-parameters parameters.yaml" in script
    assert 'deployment check "$STACK_NAME"' in script
    result = subprocess.run([sys.executable, cfn.ROOT / ".github/scripts/parameters-as-json", "--configuration", cfn.ROOT / "parameters.example.yaml"], capture_output=True, text=True, check=True)
    configuration = json.loads(result.stdout)
    assert set(configuration) == {"Parameters", "Tags"}
    assert set(configuration["Parameters"]) == set(cfn.load()["Parameters"])
    assert all(isinstance(value, str) for value in configuration["Parameters"].values())


def actions(name, effect="Allow"):
    return {action for logical_id, each in cfn.statements(PIPELINE) if logical_id == name and each["Effect"] == effect for action in cfn.as_list(each["Action"])}


def test_who_proposes_does_not_ship_and_who_ships_writes_no_code():
    assert not [action for action in actions("ProposerPolicy") if "Approval" in action or action.startswith("cloudformation:")]
    assert "codecommit:GitPush" in actions("ProposerPolicy", "Deny")
    assert "codepipeline:PutApprovalResult" in actions("ShipperPolicy")
    assert not [action for action in actions("ShipperPolicy") if action.startswith("codecommit:")]


def test_nothing_but_cloudformation_makes_resources():
    made = [action for name in ("PipelineRole", "BuildRole", "DeployRole") for action in actions(name)]
    assert not [action for action in made if action.startswith("iam:") and action != "iam:PassRole"]
    assert "*" not in {each["Resource"] for name, each in cfn.statements(PIPELINE) if isinstance(each["Resource"], str)}
    assert not [action for action in made if action.startswith("lambda:") and action != "lambda:InvokeFunction"]
    for role in cfn.resources(PIPELINE, "AWS::IAM::Role").values():
        (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_a_change_of_the_branch_starts_it_once():
    source = STAGES["Source"][0]["Fn::If"]
    assert source[1]["Configuration"]["PollForSourceChanges"] == "false"
    assert RESOURCES["SourceChanged"]["Condition"] == source[0] == "FromCodeCommit"
