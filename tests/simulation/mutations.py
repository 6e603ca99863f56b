"""Does the simulation see a missing guard? Each mutation takes one guard out of a copy of the code.

`python -m tests.simulation.mutations` prints for each which seed failed and how; it exits 1 when one was not seen.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = "200"
PATIENCE_SECONDS = 300
"""Two hundred seeds take two minutes on two cores."""

MUTATIONS = [
    (
        "the pacer's claim takes a call that no longer waits",
        "calls/store.py",
        "still = (CallRow.state == CallState.WAITING) & (CallRow.lease == candidate.lease)",
        "still = CallRow.campaign_id.exists()",
    ),
    (
        "the dialer claims a call that is not queued",
        "calls/store.py",
        "(CallRow.state == CallState.QUEUED) & (CallRow.attempt_id == attempt.attempt_id) & (CallRow.lease == lease)",
        "CallRow.attempt_id == attempt.attempt_id",
    ),
    (
        "a call is swapped whatever happened to it meanwhile",
        "calls/store.py",
        "transaction.put(row_of(new), _unchanged(old), tag=old.contact_id)",
        "transaction.put(row_of(new), tag=old.contact_id)",
    ),
    (
        "the campaign is not read after the dialer's claim",
        "dialing/dialer.py",
        "if campaign.status is not CampaignStatus.RUNNING:",
        "if False:",
    ),
    (
        "the hours are not looked at when dialing",
        "dialing/dialer.py",
        "if campaign.calling_hours is not None:",
        "if False:",
    ),
    (
        "the gate lets a phone have two calls",
        "contacts/store.py",
        "callable_ & free,",
        "callable_,",
    ),
    (
        "the gate lets anybody be called",
        "contacts/store.py",
        "& (PhoneRow.status == ContactStatus.ACTIVE)",
        "",
    ),
    (
        "a dialer turned away at the gate takes the call from the one that passed it",
        "dialing/policy.py",
        "return (call.state, call.attempt_id, call.lease) == (state, event.attempt_id, event.lease)",
        "return (call.attempt_id, call.lease) == (event.attempt_id, event.lease)",
    ),
    (
        "a call whose agent never reported is dialed again",
        "dialing/policy.py",
        "if call.state is CallState.QUEUED:",
        "if call.state in (CallState.QUEUED, CallState.CALLING):",
    ),
    (
        "an unknown outcome counts as not placed",
        "dialing/dialer.py",
        "tell_pacer([heard(key, Verdict.UNKNOWN)])\n        return",
        "raise Release('unknown') from None",
    ),
    (
        "an ended call's phone stays taken",
        "calls/store.py",
        "if old.state is CallState.CALLING and new.state is not CallState.CALLING",
        "if False",
    ),
    (
        "nobody wakes a campaign whose messages were lost",
        "campaigns/schedule.py",
        "earliest = min([*moments, now + LONGEST_SLEEP])",
        "return None",
    ),
    (
        "a contact may be deleted during a call",
        "contacts/store.py",
        "idle = (PhoneRow.contact_id == contact.contact_id) & PhoneRow.attempt_id.does_not_exist()",
        "idle = PhoneRow.contact_id == contact.contact_id",
    ),
]


def main() -> None:
    """Try every mutation."""
    unseen = [name for name, *mutation in MUTATIONS if not seen(name, *mutation)]
    print(f"{len(MUTATIONS) - len(unseen)} passed, {len(unseen)} failed {unseen or ''}")  # noqa: T201
    sys.exit(bool(unseen))


def seen(name: str, file: str, guard: str, without: str) -> bool:
    """Whether some seed fails without a guard."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("chalicelib", "tests", "infra"):
            shutil.copytree(ROOT / part, Path(folder, part), ignore=shutil.ignore_patterns("__pycache__"))
        target = Path(folder, "chalicelib", file)
        text = target.read_text()
        if text.count(guard) != 1:
            raise LookupError(f"{file} does not hold {guard!r} once")
        target.write_text(text.replace(guard, without))
        command = [sys.executable, "-m", "tests.simulation", "--seeds", SEEDS, "--until-failure"]
        failed, said = outcome(command, folder)
    print(f"{'seen  ' if failed else 'UNSEEN'}  {name}: {said[:160]}", flush=True)  # noqa: T201
    return failed


def outcome(command: list[str], folder: str) -> tuple[bool, str]:
    """Whether the seeds failed, and what was said; a seed that does not come to its end has failed."""
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as run:
        try:
            output, _ = run.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            return True, f"no end after {PATIENCE_SECONDS} s"
    said = next((line for line in output.splitlines() if line.startswith("seed ")), output[-300:])
    return run.returncode == 1, said


if __name__ == "__main__":
    main()
