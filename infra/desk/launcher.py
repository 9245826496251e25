"""Runs the local AWS: ministack, with the gaps closed that affect Rekey's template.

The template is written for AWS and makes no exceptions for an emulator, so this adapts the emulator. Each part names
the behavior of AWS that it stands in for. It wraps ministack's internals, so it requires one exact version.

desk.py starts it with all settings in the environment: GATEWAY_PORT (the AWS services), DESK_API_PORT (the HTTP API, on
a separate port), and ministack's own. It runs until its stdin closes.
"""

import asyncio
import base64
import contextvars
import http.server
import importlib.metadata
import json
import os
import re
import signal
import sys
import threading
import time
import urllib.parse
from email import message_from_bytes
from email.utils import parseaddr

WRITTEN_FOR = "1.5.33"
installed = importlib.metadata.version("ministack")
if installed != WRITTEN_FOR:
    sys.exit(f"ministack: expected version {WRITTEN_FOR}, got {installed}. launcher.py wraps its internals: review "
             "launcher.py before you change the pin in requirements-desk.txt.")

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator, responses
from ministack.core.sigv4 import decode_header_value
from ministack.services import apigateway, cloudwatch_logs, dynamodb, lambda_svc, ses, ses_v2
from ministack.services.cloudformation import changesets, engine, handlers, provisioners
from samtranslator.translator import transform as sam

import guard


# ---- CloudFormation ------------------------------------------------------------------------------

def after_create(resource_type, finish):
    """Runs `finish` on each resource of a type after ministack creates it."""
    handlers = provisioners._RESOURCE_HANDLERS[resource_type]
    create = handlers["create"]

    def create_and_finish(logical_id, props, stack_name):
        physical_id, attributes = create(logical_id, props, stack_name)
        finish(physical_id, props)
        return physical_id, attributes

    handlers["create"] = create_and_finish


def create_math_alarm(logical_id, props, stack_name):
    """AWS accepts alarms on metric math, and ministack rejects them.

    The first metric stands in, because ministack evaluates no alarm.
    """
    metric = next((each["MetricStat"] for each in props.get("Metrics", []) if "MetricStat" in each), None)
    if metric:
        props = {name: value for name, value in props.items() if name != "Metrics"}
        props |= {**metric["Metric"], "Statistic": metric["Stat"], "Period": metric["Period"]}
    return base_create_alarm(logical_id, props, stack_name)


def import_openapi_body(api_id, props):
    """AWS creates an HTTP API's routes, integrations, and CORS from its OpenAPI `Body`, which ministack ignores."""
    body = props.get("Body") or {}
    if "x-amazon-apigateway-cors" in body:
        apigateway._apis[api_id]["corsConfiguration"] = body["x-amazon-apigateway-cors"]
    for path, methods in body.get("paths", {}).items():
        for method, operation in methods.items():
            declared = operation.get("x-amazon-apigateway-integration")
            if declared:
                integration = json.loads(apigateway._create_integration(api_id, {
                    "integrationType": declared["type"].upper(), "integrationUri": declared["uri"],
                    "payloadFormatVersion": declared.get("payloadFormatVersion", "2.0")})[2])
                key = "$default" if path == "/$default" else f"{method.upper()} {path}"
                apigateway._create_route(api_id, {
                    "routeKey": key, "target": "integrations/" + integration["integrationId"]})


def apply_table_settings(table, props):
    """AWS applies these parts of a table's template. ministack accepts them only through its API, or keeps a string."""
    protected = str(props.get("DeletionProtectionEnabled", "false")).lower() == "true"
    dynamodb._tables[table]["DeletionProtectionEnabled"] = protected
    for part, update in (("TimeToLiveSpecification", dynamodb._update_ttl),
                         ("PointInTimeRecoverySpecification", dynamodb._update_continuous_backups)):
        if part in props:
            update({"TableName": table, part: props[part]})


def convert_delivery_time(configuration_set, _props):
    """CloudFormation converts a parameter's value to the property's type, and ministack keeps the string."""
    options = ses_v2._config_sets[configuration_set].get("DeliveryOptions", {})
    if "MaxDeliverySeconds" in options:
        options["MaxDeliverySeconds"] = int(options["MaxDeliverySeconds"])


def transform_with_values(template, _no_values, policies):
    """CloudFormation passes the parameters' values to the SAM transform, with lists as lists. ministack passes none.

    Without them, a list of origins in a parameter replaces the API's whole CORS configuration.
    """
    return base_sam_transform(template, parameter_values.get(), policies)


def apply_transforms(template, provided=None, previous=None):
    values = engine._transform_parameters(template, provided, previous)
    for name, declared in template.get("Parameters", {}).items():
        if declared["Type"] == "CommaDelimitedList" and name in values:
            values[name] = values[name].split(",")
    parameter_values.set(values)
    return engine._apply_transforms(template, provided, previous)


parameter_values = contextvars.ContextVar("parameter_values")
base_sam_transform, sam.transform = sam.transform, transform_with_values
changesets._apply_transforms = handlers._apply_transforms = apply_transforms
alarm_handlers = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::Alarm"]
base_create_alarm, alarm_handlers["create"] = alarm_handlers["create"], create_math_alarm
after_create("AWS::ApiGatewayV2::Api", import_openapi_body)
after_create("AWS::SES::ConfigurationSet", convert_delivery_time)
after_create("AWS::DynamoDB::Table", apply_table_settings)


# ---- IAM -----------------------------------------------------------------------------------------

WORDS_OF_EXPRESSIONS = {
    "set", "remove", "add", "delete", "and", "or", "not", "between", "in", "size", "contains", "begins_with",
    "attribute_exists", "attribute_not_exists", "attribute_type", "if_not_exists", "list_append"}


def condition_keys(request):
    """Returns the dynamodb:* condition keys that AWS derives from a request, or from one member of a transaction.

    ministack knows only the projection, and infers Select from it. AWS also sets LeadingKeys and every top-level
    attribute that the request names. It sets ReturnValues and Select only if the request has them. Batches and queries
    of an index get no LeadingKeys here, so a policy that requires one denies them.
    """
    keys = base_context(json.dumps(request).encode())
    names = request.get("ExpressionAttributeNames") or {}
    attributes = set(request.get("Key") or {}) | set(request.get("Item") or {})
    for part in ("UpdateExpression", "ConditionExpression", "ProjectionExpression", "KeyConditionExpression",
                 "FilterExpression"):
        for word in re.findall(r"(?<![\w.:#])#?[A-Za-z_]\w*", request.get(part) or ""):
            if word.lower() not in WORDS_OF_EXPRESSIONS:
                attributes.add(names.get(word, word))
    if attributes:
        keys["dynamodb:Attributes"] = sorted(attributes)
    table = dynamodb._tables.get(str(request.get("TableName", "")).rpartition("/")[2])
    key = request.get("Key") or request.get("Item") or queried_key(request)
    leading = key.get(table["pk_name"]) if table else None
    if leading:
        keys["dynamodb:LeadingKeys"] = [str(value) for value in leading.values()]
    keys.pop("dynamodb:Select", None)
    for parameter in ("ReturnValues", "Select"):
        if parameter in request:
            keys[f"dynamodb:{parameter}"] = request[parameter]
    return keys


def queried_key(request):
    """Returns the attributes that a table's query requires to equal a value. The partition key is one of them."""
    names, values = request.get("ExpressionAttributeNames") or {}, request.get("ExpressionAttributeValues") or {}
    if request.get("IndexName"):
        return {}
    conditions = re.split(r"\sAND\s", request.get("KeyConditionExpression") or "", flags=re.IGNORECASE)
    pinned = [re.fullmatch(r"\s*(#?\w+)\s*=\s*(:\w+)\s*", condition) for condition in conditions]
    return {names.get(each[1], each[1]): values.get(each[2]) for each in pinned if each}


class TableOf(str):
    """The table's ARN in a member of a transaction, with the condition keys of that member."""


def transaction_members(action, body, region, account_id):
    """AWS checks each member of a transaction as a separate request. ministack gives all members one context."""
    checks = base_checks(action, body, region, account_id)
    members = [(name, part) for item in (json.loads(body)["TransactItems"] if checks else [])
               for name, part in item.items() if name in iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS]
    if len(members) != len(checks):  # DynamoDB rejects a member that names no table
        return checks
    described = []
    for name, part in members:
        table = TableOf(iam_actions._dynamodb_table_arn(part["TableName"], region, account_id))
        table.keys = condition_keys(part)
        described.append((iam_actions._DYNAMODB_TRANSACT_ITEM_ACTIONS[name], table))
    return described


def enforce(*args, resource_arn="*", service_context=None, **kwargs):
    context = {**(service_context or {}), **getattr(resource_arn, "keys", {})}
    return base_enforce(*args, resource_arn=resource_arn, service_context=context, **kwargs)


def enforce_send_email(method, path, headers, body, query_params, request_id):
    """AWS checks SendEmail on the identity *and* on the configuration set, with the sender as a condition key.

    ministack checks it on `*`, so it denies a call that a narrow policy allows. As in SES, the sender's identity is the
    address if that is verified, and otherwise its domain.
    """
    if not (ministack.AUTH and method == "POST" and path.rstrip("/") == "/v2/email/outbound-emails"):
        return base_enforce_ses(method, path, headers, body, query_params, request_id)
    try:
        request = json.loads(body)
        sender = request.get("FromEmailAddress")
        if not sender:
            raw = request["Content"]["Raw"]["Data"]
            sender = str(message_from_bytes(base64.b64decode(raw))["From"])
    except (ValueError, KeyError, TypeError):
        return base_enforce_ses(method, path, headers, body, query_params, request_id)
    address = parseaddr(sender)[1]
    candidates = (address, *ses._domain_and_parents(address.rpartition("@")[2].lower()))
    identity = next((each for each in candidates if each in ses_v2._identities or each in ses._identities), address)
    scope = f"arn:aws:ses:{ministack.extract_region(headers, query_params)}:{responses.get_account_id()}:"
    resources = [request.get("FromEmailAddressIdentityArn") or f"{scope}identity/{identity}"]
    if request.get("ConfigurationSetName"):
        resources.append(f"{scope}configuration-set/{request['ConfigurationSetName']}")
    for resource in resources:
        denied = ministack._enforce_data_plane(
            "sesv2", "ses:SendEmail", headers, query_params, request_id, resource_arn=resource,
            service_context={"ses:FromAddress": address}, named_resource=resource)
        if denied:
            return denied
    return None


base_context, iam_actions.dynamodb_service_context = (
    iam_actions.dynamodb_service_context, lambda body: condition_keys(json_object(body)))
base_checks, iam_actions.dynamodb_transaction_checks = iam_actions.dynamodb_transaction_checks, transaction_members
base_enforce, iam_evaluator.enforce = iam_evaluator.enforce, enforce
base_enforce_ses, ministack._enforce_ses_v2 = ministack._enforce_ses_v2, enforce_send_email


def json_object(body):
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


# ---- Email events --------------------------------------------------------------------------------

async def send_and_publish(method, path, headers, body, query_params):
    """SES publishes an email's events to the event destinations of its configuration set. ministack publishes none.

    As on AWS, addresses at simulator.amazonses.com (bounce@, suppressionlist@, complaint@) choose the event.
    """
    response = await base_ses_v2(method, path, headers, body, query_params)
    if method == "POST" and path.rstrip("/") == "/v2/email/outbound-emails" and response[0] == 200:
        request = json.loads(body)
        configuration = ses_v2._config_sets.get(request.get("ConfigurationSetName")) or {}
        for recipient in request.get("Destination", {}).get("ToAddresses", []):
            for event in events_of(recipient, request.get("EmailTags", [])):
                for destination in configuration.get("EventDestinations", {}).values():
                    if event["eventType"].upper() in destination["MatchingEventTypes"]:
                        ses._publish_notification(destination["SnsDestination"]["TopicArn"], event)
    return response


def events_of(recipient, tags):
    local, _, domain = recipient.partition("@")
    outcomes = ses._SIMULATOR_OUTCOMES.get(local, ()) if domain == ses._SIMULATOR_DOMAIN else ()
    mail = {"destination": [recipient], "tags": {tag["Name"]: [tag["Value"]] for tag in tags}}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return [{"eventType": kind, "mail": mail, **ses._notification_detail(kind, recipient, now, subtype)}
            for kind, subtype in outcomes]


base_ses_v2, ses_v2.handle_request = ses_v2.handle_request, send_and_publish


# ---- The stream ----------------------------------------------------------------------------------

handled = set()  # (function, sequence number) of the records before the checkpoint of a batch that is redelivered


def run_function(function, event):
    """For a stream on AWS, the first of `batchItemFailures` is a checkpoint. ministack ignores the list.

    This reports a batch with failures to ministack as failed, so that ministack redelivers it until it is too old. It
    removes the records before the checkpoint, so that the function receives the records that AWS would send.
    """
    records = event.get("Records") or [{}]
    if records[0].get("eventSource") != "aws:dynamodb":
        return base_run_function(function, event)
    name = (function.get("config") or function)["FunctionName"]
    sequence = {record["dynamodb"]["SequenceNumber"]: record for record in records}
    due = [record for number, record in sequence.items() if (name, number) not in handled]
    if not due:
        return {"body": {}}
    result = base_run_function(function, {"Records": due})
    body = result.get("body")
    body = json_object(body) if isinstance(body, (str, bytes)) else body
    failures = body.get("batchItemFailures") if isinstance(body, dict) and not result.get("error") else None
    if failures:
        failed = {failure.get("itemIdentifier") for failure in failures}
        for record in due:
            if record["dynamodb"]["SequenceNumber"] in failed:
                break
            handled.add((name, record["dynamodb"]["SequenceNumber"]))
        return {**result, "error": True, "body": {"errorType": "BatchItemFailures", "errorMessage": str(len(failures))}}
    if not result.get("error"):
        handled.difference_update((name, number) for number in sequence)
    return result


base_run_function, lambda_svc._execute_function = lambda_svc._execute_function, run_function


# ---- Invocations ---------------------------------------------------------------------------------

invocation_ids = contextvars.ContextVar("invocation_ids", default=None)


async def serve_services(scope, receive, send):
    """AWS answers an invocation with the request ID that the function's log has. ministack answers with another one."""
    ids = []
    invocation_ids.set(ids)

    async def send_with_id(message):
        if message["type"] == "http.response.start" and ids:
            headers = [(name, ids[0].encode() if name.lower() == b"x-amzn-requestid" else value)
                       for name, value in message["headers"]]
            message = {**message, "headers": headers}
        await send(message)

    await ministack.app(scope, receive, send_with_id)


def execute_function(function, config, event, request_id, started):
    if (ids := invocation_ids.get()) is not None:
        ids.append(request_id)
    return base_execute_function(function, config, event, request_id, started)


base_execute_function, lambda_svc._execute_function_dispatch = lambda_svc._execute_function_dispatch, execute_function


# ---- The HTTP API --------------------------------------------------------------------------------

body_is_utf8 = contextvars.ContextVar("body_is_utf8", default=True)
api_request_id = contextvars.ContextVar("api_request_id", default="")


async def serve_api(scope, receive, send):
    """Serves the stage `$default` of the HTTP API that was deployed last, at the root of a separate port.

    ministack serves an API beside its AWS services, so the path, the host, or a header of a stranger's request can
    select another service. On AWS, an API has a separate host, so this port serves nothing but the API.
    """
    started, request_id = time.monotonic(), base64.urlsafe_b64encode(os.urandom(11)).decode()
    api_request_id.set(request_id)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {}
    for name, value in scope["headers"]:
        name, value = name.decode("latin-1").lower(), decode_header_value(value)
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    # API Gateway appends the peer to the client's own value, so only requestContext is trustworthy.
    peer = scope["client"][0]
    headers["x-forwarded-for"] = ", ".join(filter(None, [headers.get("x-forwarded-for"), peer]))
    responses.set_request_client_ip(peer)
    responses.set_request_region(os.environ["MINISTACK_REGION"])
    try:
        body.decode("utf-8")
        body_is_utf8.set(True)
    except UnicodeDecodeError:
        body_is_utf8.set(False)

    query = scope["query_string"].decode("latin-1")
    path = apigateway.decode_http_api_path(scope["raw_path"].decode("latin-1"))
    apis = [api_id for (_, _, api_id), _ in apigateway._apis.all_items()]
    if not apis:
        status, response, content = apigateway._http_api_not_found()
    elif len(body) > 10 * 1024 * 1024:
        status, response, content = 413, {"Content-Type": "application/json"}, b'{"message":"Request Entity Too Large"}'
    else:
        status, response, content = await apigateway.handle_execute(
            apis[-1], "$default", path, scope["method"], headers, bytes(body),
            urllib.parse.parse_qs(query, keep_blank_values=True), raw_query_string=query)
    response["apigw-requestid"] = request_id
    await ministack._send_response(send, status, response, content, head=scope["method"] == "HEAD")
    if apis:
        write_access_log(apis[-1], scope["method"], path, peer, status, content, request_id, started)


def write_access_log(api_id, method, path, peer, status, content, request_id, started):
    """AWS writes the stage's access log in the template's format, and ministack writes none."""
    settings = apigateway.stages_for_api(api_id).get("$default", {}).get("accessLogSettings") or {}
    if not settings:
        return
    route = apigateway._match_route(api_id, method, path) or {}
    latency = str(int((time.monotonic() - started) * 1000))
    values = {
        "requestId": request_id, "identity.sourceIp": peer, "routeKey": route.get("routeKey", "-"),
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()), "status": str(status),
        "responseLatency": latency, "integrationLatency": latency if route else "-",
        "responseLength": str(len(content))}
    line = re.sub(r"\$context\.([\w.]+)", lambda match: values.get(match[1], "-"), settings["format"])
    group, stream = settings["destinationArn"].split(":log-group:")[-1].removesuffix(":*"), "desk"
    cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": [
        {"timestamp": int(time.time() * 1000), "message": line}]})


async def invoke(execute, record, event, **kwargs):
    """AWS passes the client's address and the access log's request ID to the function. ministack passes others."""
    event["requestContext"]["http"]["sourceIp"] = responses.get_request_client_ip()
    event["requestContext"]["requestId"] = api_request_id.get()
    return await base_invoke(execute, record, event, **kwargs)


def gateway_response(result):
    """AWS hides the output of a failed or throttled function, and ministack returns it to the client."""
    if result.get("throttle"):
        return {"statusCode": 503, "body": '{"message":"Service Unavailable"}'}, None
    response = base_gateway_response(result)
    if result.get("error"):
        return {"statusCode": 500, "body": '{"message":"Internal Server Error"}'}, None
    return response


base_is_text = apigateway._v2_request_body_is_text
# AWS encodes a body that is not UTF-8 in base64, whatever its content type is. ministack replaces the invalid bytes.
apigateway._v2_request_body_is_text = lambda content_type: body_is_utf8.get() and base_is_text(content_type)
base_invoke, apigateway.run_reentrant = apigateway.run_reentrant, invoke
base_gateway_response, lambda_svc.lambda_execute_result_to_api_proxy_response = (
    lambda_svc.lambda_execute_result_to_api_proxy_response, gateway_response)


# ---- Serving -------------------------------------------------------------------------------------

API_PORT = int(os.environ["DESK_API_PORT"])


async def serve_either(scope, receive, send):
    is_api = scope["type"] == "http" and scope["server"][1] == API_PORT
    await (serve_api if is_api else serve_services)(scope, receive, send)


def die_with_parent():
    """Ends this process group when desk.py ends, even by kill -9, because desk.py holds the other end of stdin."""
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


# ministack starts a Runtime API for each running function, on a separate port, with handlers of this class.
http.server.BaseHTTPRequestHandler = guard.Handler
threading.Thread(target=die_with_parent, daemon=True).start()
config = Config()
config.bind = [f"127.0.0.1:{os.environ['GATEWAY_PORT']}", f"127.0.0.1:{API_PORT}"]
config.keep_alive_timeout = 75
asyncio.run(serve(guard.guarded(serve_either, API_PORT), config))
