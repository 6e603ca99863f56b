"""A voice agent to begin with: `python3 examples/agent.py` answers at once, with `later` it reports by signed webhook.

It needs the AGENT_TOKEN and the WEBHOOK_SECRET that `make secrets` prints. `talk` is yours to write.
"""

import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

TOKEN, SECRET = os.environ["AGENT_TOKEN"], os.environ["WEBHOOK_SECRET"].encode()
PORT, ANSWERS_LATER = int(os.environ.get("AGENT_PORT", "9000")), "later" in sys.argv[1:]


def talk(call: dict[str, Any]) -> dict[str, Any]:
    """Call `phoneNumber` and talk; here nobody is called. What is told of the conversation: docs/guide.en.md."""
    return {"success": True, "outcome": f"{call['firstName']} will pay on Friday", "summary": "…", "duration": 42}


def report(call: dict[str, Any]) -> None:
    """Talk, and send the result to `callbackUrl`, signed."""
    body, seconds = json.dumps({"callId": call["callId"], **talk(call)}).encode(), str(int(time.time()))
    signature = hmac.new(SECRET, seconds.encode() + b"." + body, "sha256").hexdigest()
    headers = {"Content-Type": "application/json", "X-AutoCall-Signature": f"t={seconds},v1={signature}"}
    urlopen(Request(call["callbackUrl"], body, headers), timeout=30).close()


class Agent(BaseHTTPRequestHandler):
    """Takes a call per POST."""

    def do_POST(self) -> None:
        call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = 202, dict[str, Any]()
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            status = 401
        elif ANSWERS_LATER:
            threading.Thread(target=report, args=[call]).start()
        else:
            status, answer = 200, talk(call)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Agent)
    print(f"an agent that answers {'later' if ANSWERS_LATER else 'at once'} on http://localhost:{PORT}/", flush=True)
    server.serve_forever()
