"""The benches measure what they say they do."""

import subprocess
import sys


def test_peer_that_requests_are_measured_against_answers_as_we_do() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from bench import http; http.check()"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
