"""One set of settings: the code reads it, the template fills it, docs/settings.md explains it."""

import json
import re

import cfn
import parameters_page

TEMPLATE = cfn.load()
PARAMETERS = TEMPLATE["Parameters"]
FUNCTION = TEMPLATE["Resources"]["Forwarder"]["Properties"]
REDRIVE = TEMPLATE["Resources"]["Redrive"]["Properties"]
VARIABLES = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]

REDRIVE_METRICS = {"ObjectsDelivered", "ObjectsLeft", "RecordsParked", "RedriveFaults", "OldestObjectAge"}

# Set by Lambda, the machine or the build, not by an operator.
OF_THE_PLATFORM = {"AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_USE_FIPS_ENDPOINT", "SSL_CERT_FILE", "CARGO_PKG_NAME"}


def code_settings():
    """Variables that the code reads: the names in src/config/ above its tests."""
    code = (cfn.ROOT / "src/config/mod.rs").read_text().split("#[cfg(test)]")[0]
    code += (cfn.ROOT / "src/config/reader.rs").read_text()
    return set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|ARCHIVE|AUTH|DERIVE|DESTINATION|EXCLUDE|REDACT)"', code)) - OF_THE_PLATFORM


def documented_settings():
    """Variable and default of each row of the table of settings."""
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]+)`(?:, `([A-Z][A-Z0-9_]+)`)? \|.*\| ([^|]+) \|$", (cfn.ROOT / "docs/settings.md").read_text().split("\n## Of the stack")[0], re.MULTILINE)
    return {name: default.strip().strip("`") for first, second, default in rows for name in (first, second) if name}


def parameter_of(variable):
    """The template's parameter that a variable is filled from, if it is one alone."""
    return VARIABLES[variable].get("Ref")


def test_the_template_fills_the_settings_that_the_code_reads():
    assert set(VARIABLES) - OF_THE_PLATFORM == code_settings()
    assert {"SSL_CERT_FILE", "AWS_USE_FIPS_ENDPOINT"} <= set(VARIABLES)


def test_the_page_explains_the_settings_that_the_code_reads():
    assert set(documented_settings()) == code_settings()


def test_a_default_is_the_same_in_template_and_page():
    for variable, default in documented_settings().items():
        parameter = parameter_of(variable)
        if parameter is None or variable == "ACCESS_LOG_FORMAT":
            continue
        is_empty = default == "unset" or default.startswith(("of the destination", "required "))
        expected = None if default == "required" else "" if is_empty else default
        assert str(PARAMETERS[parameter].get("Default")) == str(expected), variable


def test_only_the_address_has_to_be_given():
    assert {name for name, each in PARAMETERS.items() if "Default" not in each} == {"AnalyticsUrl"}


def test_every_parameter_is_used_and_stands_in_a_group():
    rest = cfn.text([TEMPLATE[part] for part in ("Conditions", "Globals", "Resources", "Outputs")])
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    for name, each in PARAMETERS.items():
        assert f'"Ref": "{name}"' in rest or f"${{{name}}}" in rest, name
        assert each["Description"]


def test_the_function_is_built_from_the_package_and_answers_within_firehoses_patience():
    manifest = (cfn.ROOT / "Cargo.toml").read_text()
    assert f'name = "{TEMPLATE["Resources"]["Forwarder"]["Metadata"]["BuildProperties"]["Binary"]}"' in manifest
    assert TEMPLATE["Resources"]["Redrive"]["Metadata"] == {
        "BuildMethod": "rust-cargolambda",
        "BuildProperties": {"Binary": "apigw-log-redrive"},
        "checkov": TEMPLATE["Resources"]["Redrive"]["Metadata"]["checkov"],
    }
    timeouts = PARAMETERS["FunctionTimeoutSeconds"]["AllowedValues"]
    assert max(timeouts) <= 300
    # The default wait for one answer leaves time to answer Firehose.
    assert min(timeouts) * 1000 > PARAMETERS["RequestTimeoutMs"]["Default"] + 500
    assert TEMPLATE["Mappings"]["MostOfTimeout"] == {str(each): {"Milliseconds": each * 800} for each in timeouts}


def test_no_level_takes_the_metrics_away():
    # A line without a level, as the metrics are, counts as INFO for Lambda's filter.
    levels = TEMPLATE["Mappings"]["LogLevels"]
    assert REDRIVE["LoggingConfig"]["ApplicationLogLevel"] == FUNCTION["LoggingConfig"]["ApplicationLogLevel"]
    assert FUNCTION["LoggingConfig"]["ApplicationLogLevel"] == {"Fn::FindInMap": ["LogLevels", {"Ref": "FunctionLogLevel"}, "Lambda"]}
    assert VARIABLES["LOG_LEVEL"] == {"Fn::FindInMap": ["LogLevels", {"Ref": "FunctionLogLevel"}, "Function"]}
    assert sorted(levels) == sorted(PARAMETERS["FunctionLogLevel"]["AllowedValues"])
    assert {level: each["Function"] for level, each in levels.items()} == {level: level.lower() for level in levels}
    assert {each["Lambda"] for each in levels.values()} == {"DEBUG", "INFO"}


def test_a_changed_parameter_comes_into_force():
    # Firehose invokes the alias; SAM publishes no version when only a parameter changes.
    assert TEMPLATE["Resources"]["ForwarderAlias"]["Properties"]["FunctionVersion"] == "$LATEST"
    assert "AutoPublishAlias" not in FUNCTION
    assert "Environment" not in FUNCTION


def test_one_access_log_format_feeds_the_stage_and_the_function():
    stage = TEMPLATE["Resources"]["ApiStage"]["Properties"]["AccessLogSetting"]["Fn::If"][1]
    assert stage["Format"] == {"Ref": "AccessLogFormat"}
    assert VARIABLES["ACCESS_LOG_FORMAT"] == {
        "Fn::If": ["HasOtherFormats", {"Fn::Sub": "${AccessLogFormat}\n${OtherAccessLogFormats}"}, {"Ref": "AccessLogFormat"}]
    }


def test_the_access_log_format_can_be_deployed_and_holds_no_secret():
    text = PARAMETERS["AccessLogFormat"]["Default"]
    assert "$context.requestId" in text
    assert "\n" not in text
    assert "apiKey" not in text


def alarms():
    """Logical id and properties of every alarm, with the template that makes it."""
    for template in (TEMPLATE, cfn.load("subscriptions.yaml")):
        for name, each in cfn.resources(template, "AWS::CloudWatch::Alarm").items():
            yield name, each["Properties"]


COMPOSITE = TEMPLATE["Resources"]["EventsNotArrivingAlarm"]["Properties"]


def description(alarm):
    text = alarm["AlarmDescription"]["Fn::Sub"]
    return text if isinstance(text, str) else text[0]


def test_each_alarm_says_what_to_do_and_links_to_a_section_of_the_runbook():
    runbook = (cfn.ROOT / "docs/operations.md").read_text()
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", runbook, re.MULTILINE)}
    seen = set()
    for alarm in [COMPOSITE, *(alarm for _, alarm in alarms())]:
        assert len(description(alarm)) > 60
        anchor = description(alarm).rsplit("${RunbookUrl}#", 1)[1]
        assert anchor in sections
        seen.add(anchor)
    assert len(seen) >= 20


def test_each_alarm_tells_somebody_if_there_is_somebody_to_tell():
    for name, alarm in alarms():
        for actions in ("AlarmActions", "OKActions"):
            assert "AlarmTopic" in cfn.text(alarm[actions]), name


def test_one_alarm_stands_for_everything_that_keeps_events_from_arriving():
    names = set(re.findall(r"ALARM\(\$\{(\w+)\}\)", COMPOSITE["AlarmRule"]["Fn::Sub"]))
    assert names >= {"RecordsFailedAlarm", "FunctionErrorsAlarm", "TransformationAlarm", "TokenFailuresAlarm", "DeadLettersAlarm"}
    for name in names:
        alarm = TEMPLATE["Resources"][name]
        assert "Condition" not in alarm, name
    assert {action["Fn::If"][0] for action in COMPOSITE["AlarmActions"]} == {"HasIncidentTopic", "HasIncidentFunction", "OpensOpsItems"}
    assert "OpensOpsItems" not in cfn.text(COMPOSITE["OKActions"])
    # CloudWatch names resources of a rule by up to 100 alarms and 10,240 characters.
    assert len(COMPOSITE["AlarmRule"]["Fn::Sub"]) < 5000


def test_the_function_checks_itself_in_a_rhythm_and_a_check_that_does_not_run_is_told():
    resources = TEMPLATE["Resources"]
    (target,) = resources["CheckRule"]["Properties"]["Targets"]
    assert (json.loads(target["Input"]), target["Arn"]) == ({"check": {}}, {"Ref": "ForwarderAlias"})
    permission = resources["CheckPermission"]["Properties"]
    assert (permission["FunctionName"], permission["SourceArn"]) == ({"Ref": "ForwarderAlias"}, {"Fn::GetAtt": ["CheckRule", "Arn"]})
    assert resources["CheckFailedAlarm"]["Properties"]["TreatMissingData"] == "breaching"
    rhythms = TEMPLATE["Mappings"]["CheckRhythms"]
    assert list(rhythms) == [str(each) for each in PARAMETERS["CheckEveryMinutes"]["AllowedValues"]]
    assert all(rhythms[str(each)]["Seconds"] == each * 60 for each in PARAMETERS["CheckEveryMinutes"]["AllowedValues"] if each)


def test_the_first_step_of_each_section_of_the_runbook_is_a_command():
    runbook = (cfn.ROOT / "docs/operations.md").read_text().split("\n## Runbook")[1].split("\n## ")[0]
    for section in runbook.split("\n### ")[1:]:
        title, text = section.split("\n", 1)
        step = text.split("\n1. ", 1)
        assert len(step) == 2, title
        assert re.search(r"`(aws|output|curl) [^`]+`", step[1].split("\n2. ")[0]), title


def test_silence_is_told_after_the_first_event_only():
    quiet = [(name, alarm) for name, alarm in alarms() if name == "NoEventsAlarm" or name.startswith("QuietAlarm")]
    assert len(quiet) == 51
    for name, alarm in quiet:
        # A new alarm is without data, and tells of changes only; neither metric has a data point without an event.
        assert alarm["TreatMissingData"] == "missing"
        assert alarm["InsufficientDataActions"] == alarm["AlarmActions"]
        assert (alarm["MetricName"], alarm["Statistic"]) == (("OldestEventAge", "SampleCount") if name == "NoEventsAlarm" else ("ForwardedLogEvents", "Sum"))
        assert alarm["Period"] == 900
    assert TEMPLATE["Mappings"]["Quarters"] == {str(each): {"Number": each // 900} for each in PARAMETERS["GroupQuietSeconds"]["AllowedValues"]}
    assert set(PARAMETERS["QuietSeconds"]["AllowedValues"]) < set(PARAMETERS["GroupQuietSeconds"]["AllowedValues"])


def test_lost_and_throttled_events_of_each_subscription_are_alarmed_on():
    for metric in ("DeliveryErrors", "DeliveryThrottling"):
        found = [cfn.text(alarm["Dimensions"]) for _, alarm in alarms() if alarm.get("MetricName") == metric]
        assert len(found) == 52
        assert all('"FilterName"' in each for each in found)


def test_the_alarms_and_the_dashboard_read_metrics_that_the_function_writes():
    code = "".join(path.read_text() for path in (cfn.ROOT / "src").rglob("*.rs"))
    own = set()
    for _, alarm in alarms():
        if alarm["Namespace"] == {"Ref": "MetricsNamespace"}:
            own.add(alarm["MetricName"])
    dashboard, _ = TEMPLATE["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert json.loads(re.sub(r"\$\{[^}]+\}", "x", dashboard))["widgets"]
    own |= set(re.findall(r'"\$\{MetricsNamespace\}", "(\w+)"', dashboard))
    assert len(own) > 20
    if 'name = "apigw-log-redrive"' not in (cfn.ROOT / "Cargo.toml").read_text():
        own -= REDRIVE_METRICS | {"CheckFailed"}  # not before that is part of the package
    for metric in own:
        assert f'"{metric}"' in code, metric


def test_every_metric_of_the_alarms_is_explained():
    explained = (cfn.ROOT / "docs/metrics.md").read_text()
    for _, alarm in alarms():
        if alarm["Namespace"] == {"Ref": "MetricsNamespace"}:
            assert f"`{alarm['MetricName']}`" in explained
    for metric in REDRIVE_METRICS:
        assert f"| `{metric}` |" in explained


def test_the_page_explains_every_parameter():
    assert parameters_page.PAGE.read_text() == parameters_page.page(TEMPLATE)
    rows = re.findall(r"^\| `\w+` \| ([^|]+) \|", parameters_page.PAGE.read_text(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert parameters_page.of_settings(TEMPLATE) <= named
