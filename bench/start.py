"""The cold start: importing `app.py` against a bare `import boto3` with one DynamoDB client, in fresh processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
GOAL = 1.6
OURS = "import app"
PEER = "import boto3; boto3.client('dynamodb', region_name='eu-central-1')"


def seconds(code: str) -> float:
    """What a fresh process takes for some code, in processor time of its own, the interpreter's start left out."""
    timed = f"import time; began = time.process_time()\n{code}\nprint(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> bool:
    """Print both; whether ours is near enough."""
    began = time.monotonic()
    rounds = [(seconds(OURS), seconds(PEER)) for _ in range(ROUNDS)]
    ours = statistics.median(ours for ours, _ in rounds)
    peer = statistics.median(peer for _, peer in rounds)
    print(f"cold import: app.py {ours * 1000:.0f} ms, boto3 with a client {peer * 1000:.0f} ms")
    print(f"  ratio {ours / peer:.2f} (goal ≤ {GOAL}), {ROUNDS} rounds in {time.monotonic() - began:.0f} s")
    return ours / peer <= GOAL
