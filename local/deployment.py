"""`make deploy` and `make verify` on a running local stack, as far as it can show them: STAGE=laptop.

The same flow as in the cloud: lint, the change set, one question (`YES=1` answers), the update in place, the trials.
"""

from __future__ import annotations

import sys

from botocore.exceptions import BotoCoreError, ClientError

from infra import deploy, runtime, smoke, verify
from infra.package import Say
from local import code, stack
from local.laptop import Laptop, Refused, laptop
from local.token import token


def reached(where: Laptop) -> smoke.Reached:
    """A local stack, through its front."""
    mine = token(where, smoke.ORGANIZATION, "smoke-test")
    return smoke.Reached(where.origin, f"ws://localhost:{where.port}/ws", mine)


def update(where: Laptop, ask: deploy.Ask, say: Say = print) -> None:
    """Deploy the working tree on it. Raises Refused and DeployFailed."""
    built = code.unpacked(runtime.laptop(), where.home, say)
    with stack.talking_to(where) as session:
        if deploy.outputs(session, stack.STACK) is None:
            raise Refused(f"nothing runs on {where.endpoint}; start the stack with `make run`.")
        deploy.run(session, built, stack.deployment(where), ask, say, reached=lambda _: reached(where))


def main(what: str) -> None:
    """Deploy on it, or verify it."""
    where = laptop()
    try:
        if what == "deploy":
            update(where, deploy.ask)
        else:
            lines = verify.of(reached(where), [*verify.TRIALS, verify.in_place(None, stack.STACK)], laptop=True)
            sys.exit(any(line.failed for line in lines))
    except (BotoCoreError, ClientError, Refused, deploy.DeployFailed, runtime.NoRuntime) as why:
        sys.exit(f"make {what} STAGE=laptop: {why}")


if __name__ == "__main__":
    main(sys.argv[1])
