"""What no emulator shows, asserted on the packaged template."""

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import app
from chalicelib import http
from chalicelib.aws import dynamodb, sqs
from chalicelib.aws.clients import PATIENCE
from chalicelib.dialing import unread
from chalicelib.idempotency.model import LONGEST_REQUEST
from chalicelib.realtime import polling, poster
from infra import site
from infra.package import ROOT
from infra.runtime import MACHINES, Runtime
from tests.logged import everything

Resources = dict[str, dict[str, Any]]

FUNCTIONS = {
    *("APIHandler", "Clock", "Dialer", "Importer", "Pacer", "Poller", "Publisher", "Worker"),
    *("Broadcaster", "WebsocketConnect", "WebsocketDisconnect", "WebsocketMessage"),
}
TABLES = {
    "ContactsTable": ("organizationId", "contactId"),
    "PhoneNumbersTable": ("organizationId", "phone"),
    "CountersTable": ("organizationId", "shard"),
    "CampaignsTable": ("organizationId", "campaignId"),
    "CallsTable": ("campaignId", "contactId"),
    "AttemptsTable": ("attemptId",),
    "ImportsTable": ("owner", "id"),
    "ConnectionsTable": ("organizationId", "connectionId"),
    "FeedTable": ("organizationId", "id"),
    "IdempotencyTable": ("key",),
    "SettingsTable": ("organizationId", "name"),
    "ActivityTable": ("organizationId", "activityId"),
}
STREAMED = {"ContactsTable", "CampaignsTable", "CallsTable", "ImportsTable", "ConnectionsTable"}
QUEUES = {
    "CampaignEventsQueue": ("Pacer", "CampaignEventsDeadLetters", 10),
    "DialQueue": ("Dialer", "DialDeadLetters", 1),
    "JobsQueue": ("Worker", "JobsDeadLetters", 1),
    "ImportsQueue": ("Importer", "ImportsDeadLetters", 1),
    "LiveEventsQueue": ("Broadcaster", "LiveEventsDeadLetters", 10),
}


def of_type(resources: Resources, kind: str) -> Resources:
    """Properties of all resources of a type."""
    return {name: each["Properties"] for name, each in resources.items() if each["Type"] == kind}


def trigger(resources: Resources, queue: str) -> dict[str, Any]:
    """The one trigger of a queue."""
    source = {"Fn::Sub": f"${{{queue}.Arn}}"}
    found = [
        each
        for each in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if each["EventSourceArn"] == source
    ]
    assert len(found) == 1
    return found[0]


def stream_trigger(resources: Resources, table: str) -> dict[str, Any]:
    """The one trigger of a table's stream."""
    source = {"Fn::GetAtt": [table, "StreamArn"]}
    found = [
        each
        for each in of_type(resources, "AWS::Lambda::EventSourceMapping").values()
        if each["EventSourceArn"] == source
    ]
    assert len(found) == 1
    return found[0]


def test_template_passes_the_linter_also_when_transformed_and_on_the_other_architecture(
    cloudformation: dict[str, Any], tmp_path: Path, package: Any, runtime: Runtime
) -> None:
    ours, (other,) = runtime.architecture, MACHINES.keys() - {runtime.architecture}
    packaged = package.template.read_text()
    assert packaged.count(f'"{ours}"') == len(FUNCTIONS)
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(packaged.replace(f'"{ours}"', f'"{other}"'))
    transformed = tmp_path / "transformed.json"
    transformed.write_text(json.dumps(cloudformation))
    linter = Path(sys.executable).with_name("cfn-lint")
    templates = [package.template, transformed, elsewhere, ROOT / "infra" / "bootstrap.yaml"]
    done = subprocess.run([linter, *templates], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_entry_point_is_a_function(resources: Resources) -> None:
    assert set(of_type(resources, "AWS::Lambda::Function")) == FUNCTIONS


def test_functions_run_on_the_runtime_that_was_packaged_for(resources: Resources, runtime: Runtime) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        assert function["Runtime"] == "python{}.{}".format(*runtime.python), name
        assert function["Architectures"] == [runtime.architecture], name


def roles_of_functions(resources: Resources) -> Resources:
    """The roles but that of API Gateway's logs, which is the account's."""
    return {name: role for name, role in of_type(resources, "AWS::IAM::Role").items() if name != "ApiGatewayLogRole"}


def test_every_function_has_a_role_of_its_own(resources: Resources) -> None:
    roles = [each["Role"]["Fn::GetAtt"][0] for each in of_type(resources, "AWS::Lambda::Function").values()]
    assert len(set(roles)) == len(FUNCTIONS)
    assert set(roles) == set(roles_of_functions(resources))


def test_roles_name_their_actions_and_resources(resources: Resources) -> None:
    for name, role in roles_of_functions(resources).items():
        assert "ManagedPolicyArns" not in role, name
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action, (name, action)
            if statement["Resource"] == "*":
                assert actions == "dynamodb:ListStreams", name


def test_roles_reach_their_own_tables_and_queues_only(resources: Resources) -> None:
    reached = {
        name: {
            arn["Fn::GetAtt"][0] if "Fn::GetAtt" in arn else arn["Fn::Sub"].split(".")[0].removeprefix("${")
            for statement in role["Policies"][0]["PolicyDocument"]["Statement"]
            for arn in _listed(statement["Resource"])
            if isinstance(arn, dict) and ("Fn::GetAtt" in arn or arn["Fn::Sub"].startswith("${"))
        }
        for name, role in roles_of_functions(resources).items()
    }
    calling = {"CampaignsTable", "CallsTable", "ContactsTable", "PhoneNumbersTable"}
    assert reached == {
        "ApiRole": {
            *calling,
            *("CountersTable", "ImportsTable", "AttemptsTable", "IdempotencyTable", "SettingsTable"),
            *("ActivityTable", "CampaignEventsQueue", "JobsQueue", "ImportsQueue", "DialQueue", "Bucket"),
        },
        "ImporterRole": {
            *("ContactsTable", "PhoneNumbersTable", "CountersTable", "ImportsTable", "SettingsTable"),
            *("ImportsQueue", "Bucket"),
        },
        "WorkerRole": {
            *("CampaignsTable", "CallsTable", "AttemptsTable", "CountersTable", "ContactsTable", "ImportsTable"),
            *("PhoneNumbersTable", "IdempotencyTable", "SettingsTable"),
            *("JobsQueue", "CampaignEventsQueue", "LiveEventsQueue", "ConnectionsTable", "FeedTable", "Bucket"),
        },
        "PacerRole": {
            *calling,
            *("CountersTable", "AttemptsTable", "SettingsTable", "CampaignEventsQueue", "DialQueue", "JobsQueue"),
        },
        "DialerRole": {*calling, "AttemptsTable", "SettingsTable", "DialQueue", "CampaignEventsQueue"},
        "ClockRole": {"CampaignsTable", "ConnectionsTable", "CampaignEventsQueue", "JobsQueue"},
        "PublisherRole": {*STREAMED, "FeedTable", "LiveEventsQueue", "JobsQueue", "Bucket"},
        "BroadcasterRole": {"ConnectionsTable", "FeedTable", "LiveEventsQueue", "JobsQueue"},
        "PollerRole": {"FeedTable"},
        "SocketConnectRole": {"ConnectionsTable", "FeedTable", "JobsQueue"},
        "SocketMessageRole": {"ConnectionsTable", "FeedTable", "LiveEventsQueue"},
        "SocketDisconnectRole": {"ConnectionsTable"},
    }


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


LONGEST_CALLS = {
    "a read or write of rows": PATIENCE["dynamodb"].longest,
    "a write that collides until patience ends": dynamodb.PATIENCE_SECONDS + PATIENCE["dynamodb"].longest,
    "a send that SQS refuses until patience ends": sqs.PATIENCE_SECONDS + PATIENCE["sqs"].longest,
    "a file": PATIENCE["s3"].longest,
    "a secret": PATIENCE["ssm"].longest,
    "a post to a socket": sum(poster.PAUSES) + PATIENCE["execute-api"].longest * (len(poster.PAUSES) + 1),
}
"""Seconds, of what any function may do at least once."""


@pytest.mark.parametrize("call", LONGEST_CALLS)
def test_call_without_an_answer_leaves_its_function_time_to_say_so(resources: Resources, call: str) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        assert LONGEST_CALLS[call] + 5 <= function["Timeout"], name


def test_dead_request_frees_its_key_only_when_it_cannot_be_alive(resources: Resources) -> None:
    runs = timedelta(seconds=resources["APIHandler"]["Properties"]["Timeout"])
    assert runs < LONGEST_REQUEST <= timedelta(minutes=1)


def test_chains_of_messages_are_not_taken_for_loops(resources: Resources) -> None:
    allowed = {
        name
        for name, each in of_type(resources, "AWS::Lambda::Function").items()
        if each.get("RecursiveLoop") == "Allow"
    }
    assert allowed == {"Pacer", "Dialer", "Importer", "Worker", "Broadcaster"}


def test_logs_are_kept_for_a_month(resources: Resources) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert {each["LogGroupName"]["Fn::Sub"] for each in groups.values()} == {
        *(f"/aws/lambda/${{{name}}}" for name in FUNCTIONS),
        *(f"/aws/apigateway/${{AWS::StackName}}/{api}" for api in ("rest", "sockets")),
    }
    assert {each["RetentionInDays"] for each in groups.values()} == {30}


LOGGED = {
    *("requestId", "requestTime", "status", "eventType", "routeKey", "integrationLatency", "connectionId"),
    *("httpMethod", "resourcePath", "responseLatency", "responseLength", "error.responseType"),
}
"""What API Gateway may write of a request. `path` would name people by their ids; tokens stand in the query."""


def test_both_apis_write_who_asked_for_which_route_and_nothing_of_whom(resources: Resources) -> None:
    (rest,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    (sockets,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    for log, setting in (
        ("RestAccessLog", rest["AccessLogSetting"]),
        ("SocketAccessLog", sockets["AccessLogSettings"]),
    ):
        assert setting["DestinationArn"]["Fn::Sub"].endswith(f":log-group:${{{log}}}")
        line = json.loads(setting["Format"])
        assert set(line) >= {"requestId", "route", "status", "latency"}
        assert {each.removeprefix("$context.") for each in line.values()} <= LOGGED
    for each in (*rest["MethodSettings"], sockets["DefaultRouteSettings"]):  # execution logs have whole requests
        assert not {"LoggingLevel", "DataTraceEnabled"} & set(each)


def test_api_gateway_may_write_logs_before_it_has_to(resources: Resources) -> None:
    account = resources["ApiGatewayAccount"]
    assert account["Properties"] == {"CloudWatchRoleArn": {"Fn::GetAtt": ["ApiGatewayLogRole", "Arn"]}}
    for name in ("ApiGatewayAccount", "ApiGatewayLogRole"):  # another stack may have come to rely on it
        assert resources[name]["Condition"] == "ManagedApiGatewayAccount"
        assert resources[name]["DeletionPolicy"] == resources[name]["UpdateReplacePolicy"] == "Retain"
    for name in ("RestAccessLog", "SocketAccessLog"):  # which the stages name
        (tag,) = resources[name]["Properties"]["Tags"]
        assert tag["Value"]["Fn::If"][:2] == ["ManagedApiGatewayAccount", {"Ref": "ApiGatewayAccount"}]


@pytest.mark.parametrize("table", TABLES)
def test_table(resources: Resources, table: str) -> None:
    properties = resources[table]["Properties"]
    assert tuple(key["AttributeName"] for key in properties["KeySchema"]) == TABLES[table]
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    kept = resources[table]["DeletionPolicy"] == "Retain"
    assert properties.get("DeletionProtectionEnabled") == ({"Fn::If": ["Protected", True, False]} if kept else None)
    streamed = {"StreamViewType": "NEW_AND_OLD_IMAGES"} if table in STREAMED else None
    assert properties.get("StreamSpecification") == streamed
    expiring = {"AttributeName": "expiresAt", "Enabled": True}
    expiring_too = {"ConnectionsTable", "FeedTable", "IdempotencyTable", "SettingsTable"}
    expires = table in {"ActivityTable", "AttemptsTable", *expiring_too}
    assert properties.get("TimeToLiveSpecification") == (expiring if expires else None)


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"ConnectionsTable", "FeedTable", "IdempotencyTable"}))
def test_rows_outlive_their_stack(resources: Resources, table: str) -> None:
    assert resources[table]["DeletionPolicy"] == resources[table]["UpdateReplacePolicy"] == "Retain"


def test_no_other_table(resources: Resources) -> None:
    assert set(of_type(resources, "AWS::DynamoDB::Table")) == set(TABLES)


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_hides_a_message_as_long_as_its_function_runs(resources: Resources, queue: str) -> None:
    function, _, batch = QUEUES[queue]
    found = trigger(resources, queue)
    assert found["FunctionName"] == {"Ref": function}
    assert found["BatchSize"] == batch
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert resources[queue]["Properties"]["VisibilityTimeout"] >= resources[function]["Properties"]["Timeout"]


@pytest.mark.parametrize("queue", QUEUES)
def test_queue_gives_up_after_five_tries_and_says_so(resources: Resources, queue: str) -> None:
    _, dead_letters, _ = QUEUES[queue]
    properties = resources[queue]["Properties"]
    target = {"Fn::GetAtt": [dead_letters, "Arn"]}
    assert properties["RedrivePolicy"] == {"deadLetterTargetArn": target, "maxReceiveCount": 5}
    assert properties["SqsManagedSseEnabled"]
    assert resources[dead_letters]["Properties"]["SqsManagedSseEnabled"]
    watched = [
        alarm
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm.get("Dimensions") == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [dead_letters, "QueueName"]}}]
    ]
    assert len(watched) == 1
    assert watched[0]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert watched[0]["Threshold"] == 0


@pytest.mark.parametrize("name", ["CampaignEvents", "LiveEvents"])
def test_messages_are_a_mailbox_per_campaign_and_per_organization(resources: Resources, name: str) -> None:
    properties = resources[f"{name}Queue"]["Properties"]
    assert properties["FifoQueue"] is True
    assert properties["QueueName"]["Fn::Sub"].endswith(".fifo")
    assert properties["ContentBasedDeduplication"] is False
    assert properties["DeduplicationScope"] == "messageGroup"
    assert properties["FifoThroughputLimit"] == "perMessageGroupId"
    assert resources[f"{name}DeadLetters"]["Properties"]["FifoQueue"] is True


def test_campaign_events_hide_for_two_minutes(resources: Resources) -> None:
    assert resources["CampaignEventsQueue"]["Properties"]["VisibilityTimeout"] == 120


def test_conversations_at_a_time_are_a_parameter(resources: Resources) -> None:
    scaling = trigger(resources, "DialQueue")["ScalingConfig"]
    assert scaling == {"MaximumConcurrency": {"Ref": "DialerMaxConcurrency"}}
    for each in of_type(resources, "AWS::Lambda::Function").values():
        assert "ReservedConcurrentExecutions" not in each


def test_dialer_outlasts_the_slowest_agent(resources: Resources) -> None:
    assert resources["Dialer"]["Properties"]["Timeout"] == 870
    assert resources["DialQueue"]["Properties"]["VisibilityTimeout"] == 900


@pytest.mark.parametrize("table", sorted(STREAMED))
def test_stream_that_fails_is_tried_again_and_kept(resources: Resources, table: str) -> None:
    found = stream_trigger(resources, table)
    assert found["FunctionName"] == {"Ref": "Publisher"}
    assert found["BisectBatchOnFunctionError"] is True
    assert found["MaximumRetryAttempts"] == 5
    assert found["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["Bucket", "Arn"]}}}


def test_only_changes_worth_announcing_reach_the_publisher(resources: Resources) -> None:
    def pattern(table: str) -> Any:
        (only,) = stream_trigger(resources, table)["FilterCriteria"]["Filters"]
        return json.loads(only["Pattern"])

    written = ["INSERT", "MODIFY"]
    no_import = {"NewImage": {"importId": {"S": [{"exists": False}]}}}
    named = {"NewImage": {"fileName": {"S": [{"exists": True}]}}}
    assert pattern("ContactsTable") == {"eventName": written, "dynamodb": no_import}
    assert pattern("ImportsTable") == {"eventName": written, "dynamodb": named}
    assert pattern("CallsTable") == pattern("CampaignsTable") == {"eventName": ["MODIFY"]}
    assert pattern("ConnectionsTable") == {"eventName": ["INSERT"]}


def test_publisher_that_fails_or_lags_raises_an_alarm(resources: Resources) -> None:
    watched = {
        alarm["MetricName"]
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        if alarm.get("Dimensions") == [{"Name": "FunctionName", "Value": {"Ref": "Publisher"}}]
    }
    assert watched == {"Errors", "IteratorAge"}


def test_counters_at_odds_with_their_calls_raise_an_alarm(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib import log, settings

    worker = resources["Worker"]["Properties"]["Environment"]["Variables"]
    variables = {
        name: "1" for name in worker if "JWT" not in name and name not in ("ALLOWED_COUNTRIES", "RETENTION_DAYS")
    }
    monkeypatch.setattr(log, "settings", lambda: settings._read(variables))
    with everything() as logged:
        log.alarm("CounterDifference", campaignId="some")
    (emitted,) = logged.lines
    (directive,) = emitted["_aws"]["CloudWatchMetrics"]
    watched = resources["CounterDifferenceAlarm"]["Properties"]
    assert [metric["Name"] for metric in directive["Metrics"]] == [watched["MetricName"]]
    assert [{"Name": name, "Value": emitted[name]} for name in directive["Dimensions"][0]] == watched["Dimensions"]
    assert directive["Namespace"] == "1"
    assert worker["METRICS_NAMESPACE"] == watched["Namespace"]
    assert (watched["Statistic"], watched["Threshold"]) == ("Sum", 0)


def test_clock_ticks_every_minute(resources: Resources) -> None:
    (rule,) = of_type(resources, "AWS::Events::Rule").values()
    assert rule["ScheduleExpression"] == "rate(1 minute)"


LAMBDAS_REQUEST = 6_291_556
"""Bytes, https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

API_GATEWAYS_HEADERS = 10_240
"""Bytes, https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html;
each is told twice, as one value and as a list of them, and may be escaped."""

CONTEXT = 10_000
"""What else is told of a request: path, query, who asks."""


def test_bucket_is_private_and_encrypted(resources: Resources) -> None:
    properties = resources["Bucket"]["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    (denied,) = resources["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Action"]) == ("Deny", "s3:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    expiring = {rule["Prefix"] for rule in properties["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule}
    assert {"uploads/", "inbox/", f"{unread.PREFIX}/"} <= expiring


def test_files_in_the_bucket_reach_the_importer_and_nobody_else_writes_to_its_queue(resources: Resources) -> None:
    notified = resources["Bucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    prefixes = [rule["Value"] for each in notified for rule in each["Filter"]["S3Key"]["Rules"]]
    assert sorted(prefixes) == ["inbox/", "uploads/"]
    assert all(each["Queue"] == {"Fn::GetAtt": ["ImportsQueue", "Arn"]} for each in notified)
    (allowed,) = resources["ImportsQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "s3.amazonaws.com"}
    named = resources["Bucket"]["Properties"]["BucketName"]["Fn::Sub"]
    assert allowed["Condition"]["ArnEquals"]["aws:SourceArn"]["Fn::Sub"].endswith(f":s3:::{named}")
    assert allowed["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


GATEWAY_RESPONSES = {
    "MISSING_AUTHENTICATION_TOKEN": (404, "not-found"),
    "DEFAULT_4XX": (404, "not-found"),
    "BAD_REQUEST_BODY": (400, "invalid-body"),
    "BAD_REQUEST_PARAMETERS": (400, "invalid-parameter"),
    "REQUEST_TOO_LARGE": (413, "too-large"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "unsupported-media-type"),
    "THROTTLED": (429, "throttled"),
    "QUOTA_EXCEEDED": (429, "throttled"),
    "DEFAULT_5XX": (500, "internal"),
}


@pytest.mark.parametrize("kind", GATEWAY_RESPONSES)
def test_gateway_answers_with_a_problem(resources: Resources, kind: str) -> None:
    body = resources["RestAPI"]["Properties"]["Body"]
    response = body["x-amazon-apigateway-gateway-responses"][kind]
    problem = json.loads(response["responseTemplates"]["application/json"])
    status, code = GATEWAY_RESPONSES[kind]
    assert set(problem) == {"type", "title", "status", "detail", "code", "requestId"}
    assert (int(response["statusCode"]), problem["status"], problem["code"]) == (status, status, code)
    content_type = response["responseParameters"]["gatewayresponse.header.Content-Type"]
    assert content_type == "'application/problem+json'"
    headers = {name.rpartition(".")[2]: value for name, value in response["responseParameters"].items()}
    assert headers["Access-Control-Allow-Origin"] == "'*'"
    assert {name: headers[name].strip("'") for name in http.PROTECTION} == http.PROTECTION
    assert ("Retry-After" in headers) == (status == 429)


def test_both_apis_have_ceilings(resources: Resources) -> None:
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    limits = {
        (each["ResourcePath"], each["HttpMethod"]): (each["ThrottlingRateLimit"], each["ThrottlingBurstLimit"])
        for each in stage["MethodSettings"]
    }
    assert limits["/*", "*"] == ({"Ref": "ApiRateLimit"}, {"Ref": "ApiBurstLimit"})
    webhook = ("/~1auto-calling~1agents~1{provider}~1webhook", "POST")
    assert limits[webhook] == ({"Ref": "WebhookRateLimit"}, {"Ref": "WebhookBurstLimit"})
    assert webhook[0][1:].replace("~1", "/") in resources["RestAPI"]["Properties"]["Body"]["paths"]
    (sockets,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    assert sockets["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "SocketRateLimit"},
        "ThrottlingBurstLimit": {"Ref": "SocketBurstLimit"},
    }


def test_agents_token_is_read_by_who_dials_only(resources: Resources) -> None:
    readers = {
        name
        for name, role in roles_of_functions(resources).items()
        if "AgentTokenParameter" in json.dumps(role["Policies"])
    }
    assert readers == {"DialerRole"}


def test_paths_that_nothing_is_at_have_a_preflight_and_nothing_else(resources: Resources) -> None:
    paths = resources["RestAPI"]["Properties"]["Body"]["paths"]
    [(method, about)] = paths["/{proxy+}"].items()
    assert method == "options"
    assert about["x-amazon-apigateway-integration"]["type"] == "aws_proxy"
    assert [(each["name"], each["in"]) for each in about["parameters"]] == [("proxy", "path")]


def test_bodies_arrive_as_bytes_and_the_largest_fits_into_a_request_of_lambda(resources: Resources) -> None:
    body = resources["RestAPI"]["Properties"]["Body"]
    assert body["x-amazon-apigateway-binary-media-types"] == ["*/*"]
    headers = 2 * 2 * API_GATEWAYS_HEADERS
    assert app.app
    largest = max(each.max_body for each in http.Routes.operations)
    assert largest >= 4 * 1024 * 1024
    assert -(-largest // 3) * 4 + headers + CONTEXT <= LAMBDAS_REQUEST


def test_site_leads_each_path_to_its_origin(resources: Resources) -> None:
    site = resources["Site"]["Properties"]["DistributionConfig"]
    origins = {origin["Id"]: origin for origin in site["Origins"]}
    assert site["DefaultCacheBehavior"]["TargetOriginId"] == "console"
    behaviors = {each["PathPattern"]: each for each in site["CacheBehaviors"]}
    assert behaviors.pop("/docs*")["TargetOriginId"] == "console"
    assert {path: each["TargetOriginId"] for path, each in behaviors.items()} == {
        "/auto-calling/*": "rest",
        "/health": "rest",
        "/ws*": "sockets",
        "/socket.io*": "sockets",
    }
    assert origins["rest"]["OriginPath"] == "/api"
    assert "OriginPath" not in origins["sockets"]
    for each in behaviors.values():
        assert each["OriginRequestPolicyId"] == "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # all but the Host header
        assert each["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # nothing is kept
        assert {"POST", "PATCH", "DELETE"} < set(each["AllowedMethods"])


def _led(resources: Resources, uri: str, **query: str) -> Any:
    """What CloudFront asks which origin for, as its function has it in Node. What CloudFront keeps to itself is absent.

    Shape: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: the function of CloudFront is not tried")
    code = resources["SiteSockets"]["Properties"]["FunctionCode"]
    event = {
        "version": "1.0",
        "context": {"eventType": "viewer-request", "distributionId": "E1", "requestId": "r"},
        "viewer": {"ip": "203.0.113.7"},
        "request": {
            "method": "GET",
            "uri": uri,
            "headers": {"host": {"value": "d1.cloudfront.test"}, "origin": {"value": "https://app.example"}},
            "cookies": {},
            "querystring": {name: {"value": value} for name, value in query.items()},
        },
    }
    line = 'import cf from "cloudfront";'
    assert code.count(line) == 1
    stand_in = "let led; const cf = { selectRequestOriginById: (origin) => { led = origin; } };"
    program = code.replace(line, stand_in) + f"\nconst request = handler({json.dumps(event)});"
    program += "\nconsole.log(JSON.stringify({led, request}));"
    done = subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    untouched = {name: each for name, each in event["request"].items() if name != "uri"}  # type: ignore[attr-defined]
    assert {name: each for name, each in told["request"].items() if name != "uri"} == untouched
    return told["led"], told["request"]["uri"]


@pytest.mark.parametrize("uri", ["/socket.io", "/socket.io/"])
def test_site_leads_socketio_by_its_transport(resources: Resources, uri: str) -> None:
    assert _led(resources, uri, EIO="4", transport="polling", t="x") == ("rest", "/socket.io")
    assert _led(resources, uri, EIO="4", transport="polling", sid="s") == ("rest", "/socket.io")
    assert _led(resources, uri, EIO="4", transport="websocket", sid="s") == ("sockets", "/api")
    assert _led(resources, uri, EIO="4") == ("rest", "/socket.io")


@pytest.mark.parametrize("uri", ["/ws", "/ws/"])
def test_site_leads_plain_sockets_to_their_stages_root(resources: Resources, uri: str) -> None:
    assert _led(resources, uri, token="t") == ("sockets", "/api")
    assert [each["StageName"] for each in of_type(resources, "AWS::ApiGatewayV2::Stage").values()] == ["api"]


def test_site_asks_its_function_for_both(resources: Resources) -> None:
    site = resources["Site"]["Properties"]["DistributionConfig"]
    led = {each["PathPattern"] for each in site["CacheBehaviors"] if "FunctionAssociations" in each}
    assert led == {"/ws*", "/socket.io*"}
    assert resources["SiteSockets"]["Properties"]["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"


def test_polls_have_a_function_and_a_rate_of_their_own(resources: Resources) -> None:
    polled = resources["RestAPI"]["Properties"]["Body"]["paths"]["/socket.io"]
    assert set(polled) == {"get", "post", "put", "options"}
    for each in polled.values():
        integration = each["x-amazon-apigateway-integration"]
        assert (integration["type"], integration["httpMethod"]) == ("aws_proxy", "POST")
        assert "${Poller.Arn}" in integration["uri"]["Fn::Sub"]
    (stage,) = of_type(resources, "AWS::ApiGateway::Stage").values()
    limits = [each for each in stage["MethodSettings"] if each["ResourcePath"] == "/~1socket.io"]
    assert {each["HttpMethod"].lower() for each in limits} == set(polled)
    for limit in limits:
        assert limit["ThrottlingRateLimit"] <= limit["ThrottlingBurstLimit"] <= 200
    longest = polling.LONGEST.total_seconds() + max(polling.LOOKS) + 5
    assert longest <= resources["Poller"]["Properties"]["Timeout"] <= 29


def test_page_that_shows_the_api_loads_nothing_from_elsewhere(resources: Resources) -> None:
    site_ = resources["Site"]["Properties"]["DistributionConfig"]
    [docs] = [each for each in site_["CacheBehaviors"] if each["PathPattern"] == "/docs*"]
    assert docs["ResponseHeadersPolicyId"] == {"Ref": "DocsHeaders"}
    headers = resources["DocsHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert headers["ContentSecurityPolicy"]["ContentSecurityPolicy"] == site.POLICY


def test_console_is_read_by_its_site_only(resources: Resources) -> None:
    assert set(resources["ConsoleBucket"]["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    (allowed,) = resources["ConsoleBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudfront.amazonaws.com"}, "s3:GetObject")
    assert "AWS:SourceArn" in allowed["Condition"]["StringEquals"]


def test_one_stage_only(resources: Resources) -> None:
    stages = of_type(resources, "AWS::ApiGateway::Stage")
    assert [each["StageName"] for each in stages.values()] == ["api"]
    deployments = of_type(resources, "AWS::ApiGateway::Deployment")
    assert all("StageName" not in each for each in deployments.values())


def test_no_origin_but_our_own_unless_told(sam: dict[str, Any]) -> None:
    assert sam["Parameters"]["CorsOrigins"]["Default"] == ""


def test_cloud_calls_by_day_unless_told(sam: dict[str, Any]) -> None:
    hours = json.loads(sam["Parameters"]["DefaultCallingHours"]["Default"])
    assert (hours["timezone"], hours["from"], hours["to"]) == ("Asia/Tashkent", "09:00", "20:00")
    assert sam["Parameters"]["FallbackTimezone"]["Default"] == "Asia/Tashkent"


def test_template_sets_every_setting(resources: Resources) -> None:
    from chalicelib.settings import Settings

    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        given = set(function["Environment"]["Variables"])
        expected = {field.upper() for field in Settings.__struct_fields__}
        if name != "Dialer":
            expected.discard("PUBLIC_URL")
        assert expected <= given, (name, expected - given)


def test_no_secret_in_the_template(sam: dict[str, Any]) -> None:
    secrets = [name for name in sam["Parameters"] if "Secret" in name or "Token" in name]
    assert secrets
    assert all(name.endswith(("Parameter", "Path")) for name in secrets), "they say where in SSM a secret lies"


def test_every_alarm_has_its_page_for_the_night_and_the_reverse(resources: Resources) -> None:
    alarms = {*of_type(resources, "AWS::CloudWatch::Alarm"), *of_type(resources, "AWS::Budgets::Budget")}
    page = (ROOT / "docs" / "operations.md").read_text()
    told = [name for line in page.splitlines() if line.startswith("### ") for name in re.findall("`([^`]+)`", line)]
    assert sorted(told) == sorted(alarms)
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmDescription"], name
        assert alarm["TreatMissingData"] == "notBreaching", name
        assert [each["Fn::If"][0] for each in alarm["AlarmActions"]] == ["Alarmed", "Mailed"], name


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics an alarm looks at, one or those it calculates with."""
    return [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each] or [alarm]


def test_our_own_metrics_are_looked_at_as_they_are_told(resources: Resources) -> None:
    from chalicelib.log import METRICS, SERVICE

    ours = {"Fn::Sub": "autocall-${Stage}"}
    looked_at = [
        each
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        for each in metrics_of(alarm)
        if each["Namespace"] == ours
    ]
    assert {each["MetricName"] for each in looked_at} <= METRICS.keys()
    assert all(each["Dimensions"] == [{"Name": "service", "Value": SERVICE}] for each in looked_at)
    shown = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    assert not [name for name in METRICS if name != "CounterDifference" and f'"{name}' not in shown.replace("\\", "")]
    told = set(re.findall(r'\balarm\(\s*"(\w+)"', "".join(map(Path.read_text, (ROOT / "chalicelib").rglob("*.py")))))
    assert told <= {each["MetricName"] for each in looked_at}


def test_dashboard_is_json(resources: Resources) -> None:
    body = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    shown = json.loads(body.replace("${DialerMaxConcurrency}", "100"))["widgets"]
    places = [(each["x"], each["y"]) for each in shown]
    assert len(set(places)) == len(places)
    assert all(each["properties"]["region"] == "${AWS::Region}" for each in shown)


def test_traces_may_be_sent_by_every_function_when_they_are_wanted(resources: Resources) -> None:
    policy = resources["TracePolicy"]
    assert policy["Condition"] == "Traced"
    assert {each["Ref"] for each in policy["Properties"]["Roles"]} == set(roles_of_functions(resources))
    assert {each["TracingConfig"]["Mode"]["Ref"] for each in of_type(resources, "AWS::Lambda::Function").values()} == {
        "Tracing"
    }


def test_template_is_within_cloudformations_limits(package: Any, cloudformation: dict[str, Any]) -> None:
    """See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html ."""
    assert len(cloudformation["Resources"]) < 500
    assert len(cloudformation["Parameters"]) <= 200
    for template in (json.loads(package.template.read_text()), cloudformation):
        assert len(json.dumps(template, separators=(",", ":"))) < 1_000_000, "of a template in S3; inline it is 51,200"
