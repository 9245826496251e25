"""The template's parameters for a desk: its own values, then those of APP and PARAMETERS, which win."""

import difflib
import os
import re
import shlex
import urllib.parse

import yaml

from stop import ROOT, Stop


def parameters_for(page_url, architecture):
    """Returns the values of the parameters that differ from the template's defaults.

    Raises Stop with one sentence for a parameter that the template does not have, or for a value that it refuses.
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
    }
    given = shlex.split(os.environ.get("PARAMETERS", ""))
    if not all("=" in each for each in given):
        raise Stop('PARAMETERS wants "Name=value Name=value", with quotes inside where a value has spaces.')
    parameters.update(each.split("=", 1) for each in given)
    urls = map(urllib.parse.urlsplit, parameters["ResetUrls"].split(","))
    origins = dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in urls)
    parameters = {"ResetUrlOrigins": ",".join(origins), **parameters}
    declared = declarations()
    for name, value in parameters.items():
        check(name, value, declared)
    return parameters


def app_pages():
    """The reset page of a front end that is being built, on its own server: APP=http://localhost:5173/reset."""
    app = os.environ.get("APP", "")
    if app and not re.fullmatch(r"https?://[^\s,]+", app):
        raise Stop(f"APP wants the URL of your reset page, such as http://localhost:5173/reset, not {app!r}.")
    return [app] if app else []


def declarations():
    """The template's Parameters."""
    return yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)["Parameters"]


class TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's short forms, such as !Ref, and forgets them: no declaration of a parameter has one."""


TemplateLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def check(name, value, declared):
    if name not in declared:
        close = difflib.get_close_matches(name, declared, 1)
        raise Stop(f"no parameter {name}" + (f"; did you mean {close[0]}?" if close else ""))
    rule = declared[name]
    wanted = complaint(value, rule)
    if wanted:
        raise Stop(f"{name}={value}: {wanted}")


def complaint(value, rule):
    """Returns what CloudFormation would want instead of a value, or None."""
    if "AllowedValues" in rule and value not in map(str, rule["AllowedValues"]):
        return f"must be one of {', '.join(map(str, rule['AllowedValues']))}."
    if rule["Type"] == "Number":
        least, most = rule.get("MinValue"), rule.get("MaxValue")
        if re.fullmatch("-?[0-9]{1,15}", value) and (least is None or least <= int(value) <= most):
            return None
        return "must be a number." if least is None else f"must be a number from {least} to {most}."
    values = value.split(",") if rule["Type"] == "CommaDelimitedList" else [value]
    fits = all(re.search(rule.get("AllowedPattern", ""), each) for each in values)
    if len(value) > rule.get("MaxLength", len(value)) or not fits:
        return rule.get("ConstraintDescription") or f"must match {rule['AllowedPattern']}."
    return None
