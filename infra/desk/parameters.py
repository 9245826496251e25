"""Chooses and checks the template's parameters for a desk. APP and PARAMETERS override the desk's values."""

import difflib
import os
import re
import shlex
import urllib.parse

import yaml

from stop import ROOT, Stop


def parameters_for(page_url, architecture, users=None):
    """Returns the values of the parameters that differ from the template's defaults, including those of `users`.

    Raises Stop for a parameter that the template does not have, and for a value that it rejects.
    """
    pages = [page_url, *app_pages(), "https://app.example.com/password/reset",
             "https://app.example.com/account?view=reset"]
    parameters = {
        "ResetUrls": ",".join(pages),
        "ProductName": "Rekey on your desk",
        "MailFromAddress": "no-reply@example.com",
        "MailFromName": "Rekey",
        "DeletionProtection": "false",
        "Architecture": architecture,
        **(users or {}),
    }
    given = shlex.split(os.environ.get("PARAMETERS", ""))
    if not all("=" in each for each in given):
        raise Stop('PARAMETERS: expected "Name=value Name=value", with inner quotes around a value that has spaces, '
                   f"got {os.environ['PARAMETERS']!r}.")
    parameters.update(each.split("=", 1) for each in given)
    urls = map(urllib.parse.urlsplit, parameters["ResetUrls"].split(","))
    origins = dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in urls)
    parameters = {"ResetUrlOrigins": ",".join(origins), **parameters}
    declared = declarations()
    for name, value in parameters.items():
        check(name, value, declared)
    return parameters


def app_pages():
    """Returns the reset page of a developer's own front end, if any, such as APP=http://localhost:5173/reset."""
    app = os.environ.get("APP", "")
    if app and not re.fullmatch(r"https?://[^\s,]+", app):
        raise Stop(f"APP: expected the URL of your reset page, such as http://localhost:5173/reset, got {app!r}.")
    return [app] if app else []


def declarations():
    """Returns the template's Parameters."""
    return yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)["Parameters"]


class TemplateLoader(yaml.SafeLoader):
    """Ignores CloudFormation's short forms, such as !Ref. The declarations of parameters have none."""


TemplateLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def check(name, value, declared):
    if name not in declared:
        close = difflib.get_close_matches(name, declared, 1)
        raise Stop(f"Unknown parameter {name}." + (f" Did you mean {close[0]}?" if close else ""))
    error = value_error(value, declared[name])
    if error:
        raise Stop(f"{name}={value}: {error}")


def value_error(value, rule):
    """Returns the reason why CloudFormation would reject a value, or None."""
    if "AllowedValues" in rule and value not in map(str, rule["AllowedValues"]):
        return f"must be one of {', '.join(map(str, rule['AllowedValues']))}."
    if rule["Type"] == "Number":
        minimum, maximum = rule.get("MinValue"), rule.get("MaxValue")
        if re.fullmatch("-?[0-9]{1,15}", value) and (minimum is None or minimum <= int(value) <= maximum):
            return None
        return "must be a number." if minimum is None else f"must be a number from {minimum} to {maximum}."
    values = value.split(",") if rule["Type"] == "CommaDelimitedList" else [value]
    fits = all(re.search(rule.get("AllowedPattern", ""), each) for each in values)
    if len(value) > rule.get("MaxLength", len(value)) or not fits:
        return rule.get("ConstraintDescription") or f"must match {rule['AllowedPattern']}."
    return None
