"""The template as CloudFormation gets it, after SAM's transform."""

import copy

import boto3
import pytest
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

import cfn


def processed(template):
    """What SAM makes of it."""
    template = copy.deepcopy(template)
    for each in cfn.resources(template, "AWS::Serverless::Function").values():
        each["Properties"]["CodeUri"] = "s3://bucket/key"
    template["Globals"]["Function"].pop("CodeUri", None)
    values = {name: each.get("Default", "https://a.example.com") for name, each in template["Parameters"].items()}
    return Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-west-1")).translate(template, values)


@pytest.fixture(scope="module")
def plain():
    return processed(cfn.load())


def test_each_api_has_one_stage_and_it_is_throttled(plain):
    stages = cfn.resources(plain, "AWS::ApiGateway::Stage")
    by_api = [cfn.text(each["Properties"]["RestApiId"]) for each in stages.values()]
    assert len(by_api) == len(set(by_api)) == 2
    for each in stages.values():
        settings = each["Properties"]["MethodSettings"]
        assert all("ThrottlingRateLimit" in setting for setting in settings)
        assert "AccessLogSetting" in each["Properties"]
    # SAM makes a stage of this name for an older kind of OpenAPI document.
    assert "StageName" not in cfn.text(list(cfn.resources(plain, "AWS::ApiGateway::Deployment").values()))


def test_an_api_and_its_stage_carry_the_tag_that_the_execution_role_asks_for(plain):
    for kind in ("AWS::ApiGateway::RestApi",):
        for name, each in cfn.resources(plain, kind).items():
            assert {"Key": "apigw-log-forwarder", "Value": {"Ref": "AWS::StackName"}} in each["Properties"].get("Tags", []), name


def test_both_functions_get_every_setting(plain):
    functions = cfn.resources(plain, "AWS::Lambda::Function")
    assert set(functions) == {"Forwarder", "Redrive", "Subscriber"}
    forwarder, redrive = (functions[name]["Properties"]["Environment"]["Variables"] for name in ("Forwarder", "Redrive"))
    assert set(redrive) - set(forwarder) == {"FAILED_BUCKET", "FAILED_PREFIX", "PARKED_PREFIX", "REDRIVE_QUEUE_URL"}
    assert {name: redrive[name] for name in forwarder} == forwarder
    # The subscriber delivers nothing.
    assert functions["Subscriber"]["Properties"]["Environment"]["Variables"] == cfn.load()["Resources"]["Subscriber"]["Properties"]["Environment"]["Variables"]


def test_sam_adds_no_role_and_no_policy(plain):
    before = cfn.load()
    for kind in ("AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        assert set(cfn.resources(plain, kind)) == set(cfn.resources(before, kind))


def test_it_stays_within_cloudformations_limits(plain):
    assert len(plain["Parameters"]) <= 200
    assert len(plain["Resources"]) <= 500
    assert len(yaml.safe_dump(plain)) <= 1_000_000
