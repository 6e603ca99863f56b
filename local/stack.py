"""The whole system on this machine: `make run`.

MiniStack, an AWS emulator, carries the very template that `make deploy` deploys; the front serves it on one port.
`PORT` (3000), `STACK_PORT` (4566), `LOCAL_DIR` (.local), `FRESH=1` (empty state). Settings of the deployment are its
template's parameters, in capitals: `AGENT_PROVIDER`, `AGENT_URL`, `SIMULATED_CALL_SECONDS`, …; and the secrets
`AGENT_TOKEN`, `WEBHOOK_SECRET`, `RETELL_ACCOUNT`, `VAPI_ACCOUNT` and `ELEVENLABS_ACCOUNT`.
"""

import asyncio
import contextlib
import functools
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra import checks, deploy, package, runtime, site
from local import agent, code, dialect, front, ministack
from local.laptop import Laptop, Refused, laptop

STARTED = time.time()
"""When this began, unless `make` says when it did: it may have installed packages first."""

STACK = "autocall"
ARTIFACTS = "autocall-artifacts"
DEPLOYED = "/autocall/laptop/deployed"
SIMULATOR = "simulator"
"""The path of the voice agent that calls nobody."""


def say(text: str) -> None:
    """One progress line."""
    print(text, flush=True)


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(laptop())
    except (Refused, runtime.NoRuntime, checks.Unfit, deploy.DeployFailed) as why:
        sys.exit(f"make run: {why}")
    except (BotoCoreError, ClientError) as why:
        sys.exit(f"make run: the AWS emulator failed, {why}")
    except KeyboardInterrupt:
        return


def run(at: Laptop) -> None:
    """Bring the stack up, serve, and take it down."""
    machine = runtime.laptop()
    checks.check(parameters(at, os.environ))
    with at.alone() as lock:
        for name, port in {"PORT": at.port, "STACK_PORT": at.stack_port}.items():
            _check_free(name, port)
        if os.environ.get("FRESH") == "1":
            say("emptying the state ...")
            shutil.rmtree(at.state, ignore_errors=True)
        python = ministack.install(say)
        built = code.unpacked(machine, at.home, say)
        with _environ(ministack.sdk_environment(at)), ministack.running(at, python, lock, say) as emulator:
            asyncio.run(_until_ended(at, built, emulator))


async def _until_ended(at: Laptop, built: package.Package, emulator: ministack.Emulator) -> None:
    """Serve until a signal, or until the emulator ends. Raises Refused then."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(_serve(at, built))
    watching = asyncio.create_task(emulator.watch(at, say))
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, serving.cancel)
    done, _ = await asyncio.wait([serving, watching], return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, watching):
        task.cancel()
    await asyncio.gather(serving, watching, return_exceptions=True)
    (watching if watching in done else serving).result()


async def _serve(at: Laptop, built: package.Package) -> None:
    """Front first, since the functions reach S3 through it; then the deployment."""
    from aiohttp import web

    pages = site.files(say=say)
    entrance = front.Front(at.origin, at.endpoint, {SIMULATOR: simulator(at).app()}, pages)
    runner = web.AppRunner(entrance.app(), access_log=None, shutdown_timeout=1, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", at.port).start()
        outputs = await asyncio.to_thread(bring_up, at, built)
        buckets = frozenset({outputs["BucketName"]})
        entrance.lead_to(front.Upstream(at.endpoint, outputs["RestAPIId"], outputs["WebsocketAPIId"], buckets))
        _greet(at, time.time() - float(os.environ.get("STARTED") or STARTED))
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return
    finally:
        await runner.cleanup()


def simulator(at: Laptop) -> agent.Simulator:
    """The voice agent that calls nobody, with a laptop's keys."""
    known = at.secrets()
    return agent.Simulator(
        known["AGENT_TOKEN"],
        known["WEBHOOK_SECRET"],
        seconds=float(os.environ.get("SIMULATED_CALL_SECONDS") or 1),
        webhooks={"elevenlabs": f"{at.origin}/auto-calling/agents/elevenlabs/webhook"},
        file=at.state / "calls.sqlite",
    )


def bring_up(at: Laptop, built: package.Package) -> dict[str, str]:
    """Deploy what changed since the last time and return the stack's outputs. Raises DeployFailed."""
    import boto3

    session = boto3.Session()
    _put_secrets(session.client("ssm"), at)
    to = deployment(at)
    wanted, known = _digest(built, to.parameters), deploy.outputs(session, STACK)
    if known is None or _deployed(session) != wanted:
        known = deploy.deploy(session, built, to, say)
        session.client("ssm").put_parameter(Name=DEPLOYED, Value=wanted, Type="String", Overwrite=True)
    return known


def deployment(at: Laptop) -> deploy.Deployment:
    """Where the package goes, as the environment has it."""
    given = parameters(at, os.environ)
    return deploy.Deployment(STACK, given, ARTIFACTS, adapt=functools.partial(dialect.translate, given))


@contextlib.contextmanager
def talking_to(at: Laptop) -> Iterator[Any]:
    """A session of the AWS SDK with a running stack's emulator, and with nothing else."""
    import boto3

    with _environ(ministack.sdk_environment(at)):
        yield boto3.Session()


def _deployed(session: Any) -> str:
    """What stands; it is kept where the stack is, lest one be lost without the other."""
    ssm = session.client("ssm")
    try:
        value: str = ssm.get_parameter(Name=DEPLOYED)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return ""
    return value


def parameters(at: Laptop, environ: Mapping[str, str]) -> dict[str, str]:
    """The stack's parameters: a laptop's own, and above them what the environment says."""
    own = {
        "Stage": "laptop",
        "AgentProvider": "http",
        "AgentUrl": f"{at.origin}/{SIMULATOR}/http/calls",
        "CorsOrigins": "*",
        "DefaultCallingHours": "",
        "SocketEndpoint": f"{at.endpoint}/_aws/execute-api",
        "PublicUrl": at.origin,
        "DialerMaxConcurrency": "5",
        "ManageApiGatewayAccount": "false",
        "DataProtection": "false",
        "AgentsMayBePrivate": "true",
        **deploy.agents_paths("laptop"),
    }
    return own | deploy.secret_names("laptop") | deploy.from_environment(environ)


def _put_secrets(ssm: Any, at: Laptop) -> None:
    values = {
        "jwt-secret": at.secret("jwt"),
        "barred-phones-key": at.secret("barred-phones"),
        "webhook-secret": at.secrets()["WEBHOOK_SECRET"],
        "agent-token": at.secrets()["AGENT_TOKEN"],
    }
    for name, value in values.items():
        ssm.put_parameter(Name=f"/autocall/laptop/{name}", Value=value, Type="SecureString", Overwrite=True)
    invented = simulator(at)
    for provider in ("retell", "vapi", "elevenlabs"):
        account = os.environ.get(f"{provider.upper()}_ACCOUNT")
        account = account or invented.account(provider, f"{at.origin}/{SIMULATOR}")
        name = f"{deploy.agents_paths('laptop')['AgentAccountsPath']}/{provider}"
        ssm.put_parameter(Name=name, Value=account, Type="SecureString", Overwrite=True)


def _digest(built: package.Package, given: Mapping[str, str]) -> str:
    digest = hashlib.sha256(built.template.read_bytes() + built.archive.read_bytes())
    digest.update(json.dumps(given, sort_keys=True).encode())
    return digest.hexdigest()


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise Refused(f"Port {port} is in use; set {name} to another one.") from None


@contextlib.contextmanager
def _environ(more: Mapping[str, str]) -> Iterator[None]:
    """The AWS SDK of this process talks to the emulator only."""
    kept = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _greet(at: Laptop, seconds: float) -> None:
    say(f"ready after {seconds:.1f} s on {at.origin} (Ctrl-C ends it and keeps the data; logs in {at.home})")
    say(f'  TOKEN=$(make -s token ORG=1); curl -H "Authorization: Bearer $TOKEN" {at.origin}/auto-calling/contacts')
    say("  make demo      plays a complete workflow; make secrets prints what an agent of your own needs")


if __name__ == "__main__":
    main()
