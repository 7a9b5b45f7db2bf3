"""Writes the table of the template's parameters into docs/settings.md: python tests/stack/parameters_page.py"""

import cfn

PAGE = cfn.ROOT / "docs/settings.md"
BEGIN, END = "<!-- The table of parameters is made by tests/stack/parameters_page.py. -->\n", "<!-- Its end. -->\n"


def of_settings(template):
    """Parameters that fill a setting of the function: the table above has them."""
    found = set()

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("Ref"), str):
                found.add(value["Ref"])
            for name, inner in value.items():
                if name == "Fn::Sub":
                    text = inner if isinstance(inner, str) else inner[0]
                    found.update(part.split("}")[0] for part in text.split("${")[1:])
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    # Those that the platform reads have no row there.
    walk({name: value for name, value in variables.items() if name not in ("AWS_USE_FIPS_ENDPOINT", "SSL_CERT_FILE")})
    return found & set(template["Parameters"])


def table(template):
    """One row for each of the other parameters, in the order of their groups."""
    parameters, others = template["Parameters"], set(template["Parameters"]) - of_settings(template)
    rows = []
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        names = [name for name in group["Parameters"] if name in others]
        if names:
            rows += [f"\n**{group['Label']['default']}**\n\n", "| Parameter | Meaning | Default |\n", "| --- | --- | --- |\n"]
        for name in names:
            text = " ".join(str(parameters[name]["Description"]).split()).replace("|", "\\|")
            default = str(parameters[name].get("Default", "required"))
            rows.append(f"| `{name}` | {text} | {f'`{default}`' if default else 'unset'} |\n")
    return "".join(rows) + "\n"


def page(template):
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table(template) + END + after


if __name__ == "__main__":
    PAGE.write_text(page(cfn.load()))
