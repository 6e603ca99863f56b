"""Deploy a package with CloudFormation: `python -m infra.deploy STAGE` or `make deploy STAGE=…`.

It packages, lints, shows what would change, asks once (`YES=1` answers), deploys the stack and its site, and tries it.
Region and credentials are the AWS SDK's own (`AWS_PROFILE`, `AWS_REGION`, …). Stack parameters other than the stage are
read from the environment in capitals: `AGENT_PROVIDER=http AGENT_URL=… make deploy STAGE=prod`. `ARCHITECTURE` is
what the functions run on.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra import changes, checks, site, smoke
from infra.package import Package, Say, package
from infra.runtime import NoRuntime, cloud

STAGE = re.compile(r"[a-z][a-z0-9-]{0,15}")
PATIENCE_SECONDS = 1800
NOTHING = ("didn't contain changes", "No updates are to be performed")
"""What CloudFormation says of a change set that would change nothing."""

STANDS = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE")
"""States of a stack that serves."""

FROM_ENVIRONMENT = [
    *("CorsOrigins", "JwtAlgorithm", "JwtSecretParameter", "JwtJwksUrl", "JwtRequireExp", "AgentProvider", "AgentUrl"),
    *("JwtAudience", "JwtIssuer", "JwtLeewaySeconds", "JwtOrganizationClaim", "JwtRoleClaim"),
    *(
        "AgentTokenParameter",
        "AgentAccountsPath",
        "OrganizationAccountsPath",
        "WebhookSecretParameter",
        "AgentTimeoutSeconds",
    ),
    "BarredPhonesKeyParameter",
    *("SimulatedCallSeconds", "DefaultCallingHours", "FallbackTimezone", "PhoneRegion", "DialerMaxConcurrency"),
    *("ApiRateLimit", "ApiBurstLimit", "WebhookRateLimit", "WebhookBurstLimit", "SocketRateLimit", "SocketBurstLimit"),
    *("AllowedCountries", "RetentionDays", "PublicUrl", "AlarmTopic", "AlarmEmail", "MonthlyBudget", "Tracing"),
    *("HeldPolls", "ManageApiGatewayAccount", "DataProtection"),
]
"""Parameters an operator may set."""

Template = dict[str, Any]
Ask = Callable[[Sequence[str]], bool]
"""Whether changes are to be made, each of which is a line."""


class DeployFailed(RuntimeError):
    """CloudFormation did not bring the stack up; the message is its own reason."""


class Declined(DeployFailed):
    """Whoever was asked said no: nothing has changed."""


@dataclass(frozen=True)
class Deployment:
    """Where a package goes: a stack with its parameters, and the bucket its code is kept in."""

    stack: str
    parameters: Mapping[str, str]
    artifacts: str
    owner: str = ""
    """The account that the bucket must belong to: whoever has its name first would have the code. Empty on a laptop."""

    adapt: Callable[[Template], Template] = field(default=lambda template: template)
    """A last change to the template; nothing is changed in the cloud."""


def deploy(
    session: Any, package: Package, to: Deployment, say: Say = print, ask: Ask = lambda _: True
) -> dict[str, str]:
    """Create or update the stack, if `ask` agrees to what changes, and return its outputs. Raises DeployFailed."""
    template = to.adapt(json.loads(package.template.read_text()))
    cloudformation = session.client("cloudformation")
    if faults := changes.dangers(_standing(cloudformation, to.stack), template):
        raise DeployFailed("\n".join(["rows or addresses would be lost, or the update refused:", *faults]))
    code = _upload(session, to, package.archive.read_bytes(), "zip")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": to.artifacts, "Key": code}
    text = json.dumps(template, separators=(",", ":")).encode()
    s3 = session.client("s3")
    url = f"{_origin(s3, to.artifacts)}/{_upload(session, to, text, 'json')}"
    say(f"deploying: stack {to.stack} ...")
    _apply(cloudformation, to, url, ask)
    return outputs(session, to.stack) or {}


def outputs(session: Any, stack: str) -> dict[str, str] | None:
    """The outputs of a stack that stands; None when it does not."""
    found = _find(session.client("cloudformation"), stack)
    if found is None or not found["StackStatus"].endswith(STANDS):
        return None
    return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}


def standing_parameters(session: Any, stack: str) -> dict[str, str]:
    """The parameters a stack was deployed with. Raises DeployFailed where there is none."""
    found = _find(session.client("cloudformation"), stack)
    if found is None:
        raise DeployFailed(f"there is no stack {stack}")
    return {each["ParameterKey"]: each["ParameterValue"] for each in found["Parameters"]}


def random_secret(session: Any, parameter: str) -> None:
    """Give a SecureString parameter a random value unless it has one."""
    ssm = session.client("ssm")
    try:
        ssm.put_parameter(Name=parameter, Value=secrets.token_urlsafe(48), Type="SecureString", Overwrite=False)
    except ssm.exceptions.ParameterAlreadyExists:
        return


def _origin(s3: Any, bucket: str) -> str:
    endpoint = s3.meta.endpoint_url
    return f"{endpoint}/{bucket}" if "amazonaws" not in endpoint else endpoint.replace("://", f"://{bucket}.")


def _upload(session: Any, to: Deployment, content: bytes, suffix: str) -> str:
    """Put content under its own hash, unless that very content lies there, and return the key. Raises DeployFailed."""
    s3 = session.client("s3")
    digest = hashlib.sha256(content)
    key, checksum = f"{digest.hexdigest()}.{suffix}", base64.b64encode(digest.digest()).decode()
    where = {"Bucket": to.artifacts, **({"ExpectedBucketOwner": to.owner} if to.owner else {})}
    _ensure_bucket(s3, where, session.region_name)
    if _checksum(s3, where, key) != checksum:
        s3.put_object(**where, Key=key, Body=content, ChecksumSHA256=checksum)
    return key


def _checksum(s3: Any, where: Mapping[str, str], key: str) -> str | None:
    """The SHA-256 of what lies under a key, in base64; None where nothing does or S3 does not know it."""
    try:
        found: str | None = s3.head_object(**where, Key=key, ChecksumMode="ENABLED").get("ChecksumSHA256")
    except s3.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return None
    return found


def _ensure_bucket(s3: Any, where: Mapping[str, str], region: str) -> None:
    bucket = where["Bucket"]
    try:
        s3.head_bucket(**where)
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in {"403", "AccessDenied", "Forbidden"}:
            raise DeployFailed(f"the bucket {bucket} is not this account's, or it may not be read") from None
        if code not in {"404", "NoSuchBucket"}:
            raise
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
        s3.put_public_access_block(
            **where,
            PublicAccessBlockConfiguration=dict.fromkeys(
                ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
            ),
        )


def _standing(cloudformation: Any, stack: str) -> Template:
    """The template a stack stands by, as it was deployed; one without resources where there is no stack."""
    nothing: Template = {"Resources": {}}
    if _is_new(_find(cloudformation, stack)):
        return nothing
    body = cloudformation.get_template(StackName=stack, TemplateStage="Original")["TemplateBody"]
    standing: Template = json.loads(body) if isinstance(body, str) else body
    return standing


def _is_new(found: Mapping[str, Any] | None) -> bool:
    """Whether there is no stack yet, or only a change set that was never carried out."""
    return found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS"


def _apply(cloudformation: Any, to: Deployment, template_url: str, ask: Ask) -> None:
    is_new = _is_new(_find(cloudformation, to.stack))
    try:
        made = cloudformation.create_change_set(
            StackName=to.stack,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in to.parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            **({"OnStackFailure": "DELETE"} if is_new else {}),
        )
        named = {"StackName": made["StackId"], "ChangeSetName": made["Id"]}
        found = _changes(cloudformation, named)
        if found is not None and not ask([*_shown(found)]):
            _withdraw(cloudformation, named, is_new)
            raise Declined("nothing was changed.")
        if found is None:
            cloudformation.delete_change_set(**named)
            return
        cloudformation.execute_change_set(**named)
    except cloudformation.exceptions.ClientError as error:
        raise DeployFailed(error.response["Error"]["Message"]) from None
    wait(cloudformation, named["StackName"], is_new=is_new)


def _withdraw(cloudformation: Any, named: Mapping[str, str], is_new: bool) -> None:
    cloudformation.delete_change_set(**named)
    if is_new:
        cloudformation.delete_stack(StackName=named["StackName"])


def _changes(cloudformation: Any, named: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """What a change set would change, once that is known; None if nothing. Raises DeployFailed."""
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE_SECONDS:
        found = cloudformation.describe_change_set(**named)
        if found["Status"] == "FAILED":
            if any(words in found["StatusReason"] for words in NOTHING):
                return None
            raise DeployFailed(found["StatusReason"])
        if found["Status"] == "CREATE_COMPLETE":
            whole = list(found["Changes"])
            while token := found.get("NextToken"):
                found = cloudformation.describe_change_set(**named, NextToken=token)
                whole += found["Changes"]
            return [each["ResourceChange"] for each in whole]
        time.sleep(_pause(started))
    raise DeployFailed("CloudFormation did not say what would change")


SIGNS = {"Add": "+ made", "Modify": "~ changed", "Remove": "- removed", "Import": "+ taken over"}


def _shown(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Changes as people read them, those first that make another resource in place of one."""
    for each in sorted(found, key=lambda one: (one.get("Replacement") != "True", one["Action"], one["ResourceType"])):
        replaced = {"True": "! REPLACED", "Conditional": "? replaced, maybe"}.get(each.get("Replacement", ""))
        sign = replaced or SIGNS.get(each["Action"], each["Action"])
        yield f"  {sign}: {each['LogicalResourceId']} ({each['ResourceType']})"


def _find(cloudformation: Any, stack: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise
        return None
    return None if found["StackStatus"] == "DELETE_COMPLETE" else found


def _pause(started: float) -> float:
    """Seconds until the next look, the longer the longer it takes."""
    return min(5, (time.monotonic() - started) / 5 + 0.1)


def wait(cloudformation: Any, stack: str, *, is_new: bool = False) -> None:
    """Until a stack stands that is made or updated. Raises DeployFailed."""
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE_SECONDS:
        status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if status in STANDS[:3]:
            return
        if is_new and status == "REVIEW_IN_PROGRESS":
            pass
        elif not status.endswith("_IN_PROGRESS") or "ROLLBACK" in status or "DELETE" in status:
            raise DeployFailed(_reason(cloudformation, stack) or status)
        time.sleep(_pause(started))
    raise DeployFailed(f"the stack was not up after {PATIENCE_SECONDS // 60} minutes")


def _reason(cloudformation: Any, stack: str) -> str:
    """What failed first, in CloudFormation's words."""
    for event in reversed(cloudformation.describe_stack_events(StackName=stack)["StackEvents"]):
        reason = event.get("ResourceStatusReason", "")
        if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
            return f"{event['LogicalResourceId']}: {reason}"
    return ""


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The stack parameters that environment variables name: AgentUrl from AGENT_URL."""
    variables = {name: checks.variable(name) for name in FROM_ENVIRONMENT}
    return {name: environ[variable] for name, variable in variables.items() if variable in environ}


def secret_names(stage: str) -> dict[str, str]:
    """The stack parameters that name a stage's secrets in SSM."""
    return {
        "JwtSecretParameter": f"/autocall/{stage}/jwt-secret",
        "WebhookSecretParameter": f"/autocall/{stage}/webhook-secret",
        "BarredPhonesKeyParameter": f"/autocall/{stage}/barred-phones-key",
        "AgentTokenParameter": f"/autocall/{stage}/agent-token",
    }


def agents_paths(stage: str) -> dict[str, str]:
    """The stack parameters that say where in SSM accounts with providers of agents are: a stage's own, which people put
    there, and its organizations', which the API writes.
    """
    return {
        "AgentAccountsPath": f"/autocall/{stage}/agents",
        "OrganizationAccountsPath": f"/autocall/{stage}/organizations",
    }


def _in_the_cloud(session: Any, stage: str) -> Deployment:
    account = session.client("sts").get_caller_identity()["Account"]
    parameters = {
        "Stage": stage,
        **secret_names(stage),
        **agents_paths(stage),
        **from_environment(os.environ),
    }
    return Deployment(f"autocall-{stage}", parameters, f"autocall-artifacts-{account}-{session.region_name}", account)


def ask(lines: Sequence[str]) -> bool:
    """Show what changes and ask once; `YES=1` in the environment answers. Raises DeployFailed where nobody is."""
    print("\n".join(lines))
    if os.environ.get("YES") == "1":
        return True
    if not sys.stdin.isatty():
        raise DeployFailed("nobody is here to be asked: YES=1 makes these changes without asking")
    return input(f"Make these {len(lines)} changes? [y/N] ").strip().lower() in ("y", "yes")


def lint(package: Package) -> None:
    """Raises DeployFailed with what cfn-lint says of the template."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(package.template)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeployFailed(f"the template is not fit:\n{done.stdout}{done.stderr}")


def run(
    session: Any,
    package: Package,
    to: Deployment,
    ask: Ask,
    say: Say = print,
    reached: Callable[[Mapping[str, str]], smoke.Reached] | None = None,
) -> None:
    """All of `make deploy`, from a package on; the stack is `reached` through its site, or as its outputs lead there.

    Raises DeployFailed, also for what does not work then.
    """
    lint(package)
    told = deploy(session, package, to, say, ask)
    for key, value in told.items():
        say(f"{key}: {value}")
    site.publish(session, told["ConsoleBucketName"], say)
    say("trying it ...")
    there = reached(told) if reached else smoke.reached(session, to.parameters, told)
    faults = [each.line for each in smoke.of(there, say=say) if each.failed]
    if faults:
        raise DeployFailed("\n".join(["it is deployed, and does not work:", *faults]))


def main(stage: str) -> None:
    """Package and deploy a stage in the cloud."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    if not STAGE.fullmatch(stage):
        sys.exit("Give a stage of lower-case letters, digits and dashes: make deploy STAGE=dev")
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    if session.region_name is None:
        sys.exit("Deploying needs an AWS region: set AWS_REGION or AWS_PROFILE.")
    try:
        runtime = cloud(os.environ)
        if runtime.ending:
            print(runtime.ending)
        checks.check({"Stage": stage, **from_environment(os.environ)})
        to = _in_the_cloud(session, stage)
        for parameter in secret_names(stage):
            random_secret(session, to.parameters[parameter])
        run(session, package(runtime), to, ask)
    except NoCredentialsError:
        sys.exit("Deploying needs AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    except (BotoCoreError, ClientError, DeployFailed, NoRuntime, checks.Unfit) as error:
        sys.exit(f"Deploying failed: {error}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
