"""CloudFormation templates as plain data, and what the tests read from them."""

import json
import pathlib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Sub x` is `{"Fn::Sub": "x"}`."""


def _short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
# CloudFormation reads `2012-10-17` as text.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(name="template.yaml"):
    """The template as data."""
    return yaml.load((ROOT / name).read_text(), Loader=_Loader)


def resources(template, kind):
    """Logical id and resource of each resource of a type."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def as_list(value):
    """A policy's element, which may stand alone or in a list."""
    return value if isinstance(value, list) else [value]


def statements(template):
    """(logical id, statement) of every policy that a role gets."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
            documents.append(properties["PolicyDocument"])
        for document in documents:
            for statement in document["Statement"]:
                # A statement that is there under a condition.
                yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement


def text(value):
    """A value with its intrinsic functions, as one line to search in."""
    return json.dumps(value)
