"""The file of parameters: whole, read by SAM without a change, and checked before anything is deployed."""

import pathlib
import subprocess
import sys

import pytest
from ruamel.yaml import YAML
from samcli.cli.types import CfnParameterOverridesType

import cfn

PARAMETERS = cfn.load()["Parameters"]
EXAMPLE = cfn.ROOT / "parameters.example.yaml"
CHECK = cfn.ROOT / ".github/scripts/check-parameters"


def as_sam_reads(path):
    return CfnParameterOverridesType().convert((f"file://{path}",), None, None)


def check(tmp_path, given, *binaries):
    """What is said of parameters."""
    path = tmp_path / "parameters.yaml"
    with path.open("w") as file:
        YAML().dump({"AnalyticsUrl": "https://a.example.com"} | given, file)
    result = subprocess.run([sys.executable, CHECK, path, *binaries], capture_output=True, text=True, check=False)
    assert result.returncode == (1 if result.stderr else 0), result
    return result.stderr


def test_the_example_holds_every_parameter_with_its_default():
    given = as_sam_reads(EXAMPLE)
    assert set(given) == set(PARAMETERS)
    changed = {name for name, value in given.items() if value != str(PARAMETERS[name].get("Default"))}
    assert changed == {"AnalyticsUrl", "TokenUrl", "LogGroupNames", "AlarmEmail"}


def test_the_example_passes_the_check():
    assert not subprocess.run([sys.executable, CHECK, EXAMPLE], capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize(
    "value",
    [
        '$context.identity.sourceIp - - [$context.requestTime] "$context.httpMethod $context.path" $context.status',
        "a b",
        "it's",
        'a "quoted" word',
        "two\nlines",
        r"back\slash \n and \\",
        "Zürich 東京 ✓",
        "a=b,c=d",
        "{ $.status >= 400 }",
        "on",
        "1.10",
        "",
    ],
)
def test_a_value_arrives_unchanged(tmp_path, value):
    path = tmp_path / "parameters.yaml"
    with path.open("w") as file:
        YAML().dump({"AccessLogFormat": value}, file)
    assert as_sam_reads(path) == {"AccessLogFormat": value}


def test_a_misspelt_name_and_a_missing_one_are_refused(tmp_path):
    assert "LogGroupName: the template has no such parameter" in check(tmp_path, {"LogGroupName": "/a"})
    assert "AnalyticsUrl: has to be given" in check(tmp_path, {"AnalyticsUrl": ""})
    assert not check(tmp_path, {})


def test_what_does_not_fit_lambdas_environment_is_refused_before_anything_is_deployed(tmp_path):
    formats = {"AccessLogFormat": "f" * PARAMETERS["AccessLogFormat"]["MaxLength"], "OtherAccessLogFormats": "o" * PARAMETERS["OtherAccessLogFormats"]["MaxLength"]}
    # The longest formats fit beside everything that a usual deployment sets.
    usual = {name: PARAMETERS[name]["MaxLength"] * "u" for name in ("AnalyticsUrl", "TokenUrl")}
    assert not check(tmp_path, formats | {name: "https://" + value[8:] for name, value in usual.items()})
    rest = {name: "x" * PARAMETERS[name]["MaxLength"] for name in ("Exclude", "StaticFields", "RedactNames")}
    assert "of 4096: put access-log formats into a parameter (FormatsParameter)" in check(tmp_path, formats | rest)
    # As bytes, not as characters.
    assert "of 4096" in check(tmp_path, {"AccessLogFormat": "東" * 1400})


def test_every_text_that_the_environment_holds_has_a_greatest_length():
    environment = cfn.text(cfn.load()["Globals"]["Function"]["Environment"])
    for name, each in PARAMETERS.items():
        if each["Type"] == "String" and (f'"Ref": "{name}"' in environment or f"${{{name}}}" in environment) and "AllowedValues" not in each:
            limited = {"MaxBatchBytes", "MaxBatchEvents", "SampleKeepSlowMs", "RedactValues"}
            assert "MaxLength" in each or name in limited, name


def test_a_binary_of_the_other_processor_is_refused(tmp_path):
    binary = tmp_path / "bootstrap"
    for machine, architecture in ((b"\x3e\x00", "x86_64"), (b"\xb7\x00", "arm64")):
        binary.write_bytes(b"\x7fELF" + bytes(14) + machine + bytes(44))
        other = {"x86_64": "arm64", "arm64": "x86_64"}[architecture]
        assert not check(tmp_path, {"Architecture": architecture}, binary)
        assert f"is of {architecture}, Architecture is {other}" in check(tmp_path, {"Architecture": other}, binary)
    binary.write_text("#!/bin/sh\n")
    assert "is of None" in check(tmp_path, {}, binary)


def test_the_documents_show_the_file_and_no_values_on_the_command_line():
    for name in ("README.md", "docs/operations.md"):
        text = (cfn.ROOT / name).read_text()
        assert "--parameter-overrides file://parameters.yaml" in text, name
        for line in text.replace("\\\n", " ").splitlines():
            if "sam deploy" in line and "--parameter-overrides" in line:
                assert "file://" in line, line
    assert pathlib.Path(EXAMPLE).read_text().count("file://parameters.yaml") == 2
