"""The guides' programs in a browser, in a page of another origin, as they stand in the guides."""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.stack.deployed import LocalStack, cut, eventually
from tests.stack.guide import LOGGED, client, names, program
from tests.stack.office import Office

PAGE = """<!doctype html><meta charset="utf-8"><title>Live</title>
<script type="importmap">{"imports": {"socket.io-client": "./socket.io.esm.min.js"}}</script>
<script>
  const heard = [];
  const say = (...what) => heard.push(what);
  BEFORE
</script>
<script type="module">
PROGRAM
</script>
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium: Playwright brings none of its own. As long as it runs, the thread has a running loop."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: the guides' programs are not tried in a browser")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        ) as browser,
    ):
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own. What goes wrong in it, goes wrong in its test."""
    troubles: list[str] = []
    with browser.new_page() as page:
        page.on("pageerror", lambda error: troubles.append(str(error)))
        yield page
    assert troubles == []


@contextmanager
def shown(page: Page, at: Path, text: str, before: str) -> Iterator[None]:
    """A program runs in a page that is served from another origin than the API."""
    shutil.copy(client() / "node_modules/socket.io-client/dist/socket.io.esm.min.js", at)
    (at / "index.html").write_text(PAGE.replace("BEFORE", before).replace("PROGRAM", text))
    serve = functools.partial(_Quiet, directory=str(at))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            yield
        finally:
            page.goto("about:blank")
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return


def heard(page: Page) -> list[list[Any]]:
    """What the page's program has said."""
    said: list[list[Any]] = json.loads(page.evaluate("JSON.stringify(heard)"))
    return said


def transports(page: Page) -> set[str]:
    """The transports of the requests that the page has made."""
    urls: list[str] = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
    return {each.partition("transport=")[2].partition("&")[0] for each in urls if "transport=" in each}


def test_page_at_docs_shows_the_api_and_asks_nobody_else(page: Page, stack: LocalStack) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(f"{stack.base}/docs")
    page.get_by_text("Create a campaign, with contacts if you like").wait_for()
    assert complaints == []
    assert [each for each in asked if not each.startswith((f"{stack.base}/", "data:"))] == []


def test_guides_program_works_in_a_page_of_another_origin(
    page: Page, office: Office, stack: LocalStack, tmp_path: Path
) -> None:
    text = program("'your-jwt-token'", stack, office.organization)
    with shown(page, tmp_path, text, "console.log = say;"):
        eventually(lambda: stack.rows("ConnectionsTable", organizationId=office.organization) == 1)
        made = [office.contact(n)["id"] for n in range(3)]
        eventually(lambda: len(heard(page)) == len(made))
        told = heard(page)
        assert transports(page) == {"polling"}
    assert [(name, data["id"]) for name, data in told] == [(LOGGED["contact-update"], each) for each in made]


def test_guides_program_works_where_no_socket_can_be_opened(
    page: Page, office: Office, stack: LocalStack, tmp_path: Path
) -> None:
    page.route_web_socket("**", lambda socket: socket.close())
    text = program("'your-jwt-token'", stack, office.organization)
    with shown(page, tmp_path, text, "console.log = say;"), office.listening() as plain:
        office.contact(100)
        eventually(lambda: heard(page))
        campaign = office.campaign(contactIds=[office.contact(n)["id"] for n in range(3)])["id"]
        office.post(f"/campaigns/{campaign}/start")
        eventually(lambda: plain.of("campaign-complete") and LOGGED["campaign-complete"] in names(heard(page)))
        eventually(lambda: heard(page) == [[LOGGED[name], data] for name, data in plain.events if name in LOGGED])
        assert transports(page) == {"polling"}
        assert stack.rows("ConnectionsTable", organizationId=office.organization) == 1


@pytest.mark.parametrize(
    ("language", "marked", "token", "show", "read"),
    [
        ("en", "import { io }", "freshToken", "show", "readEverything"),
        ("uz", "yangiToken", "yangiToken", "korsat", "hammasiniOqi"),
        ("en", "new WebSocket", "freshToken", "show", "readEverything"),
    ],
)
def test_guides_snippet_refreshes_its_token_and_misses_nothing(
    page: Page,
    office: Office,
    stack: LocalStack,
    tmp_path: Path,
    language: str,
    marked: str,
    token: str,
    show: str,
    read: str,
) -> None:
    """Its first token has expired; it comes back with another, and comes back once more when it is cut off."""
    expired = jwt.encode({"organizationId": office.organization, "exp": 1}, stack.laptop.secret("jwt"))
    tokens = json.dumps([expired, *[stack.token(office.organization)] * 10])
    before = f"""
  const tokens = {tokens};
  async function {token}() {{ say('token'); return tokens.shift(); }}
  function {show}(name, data) {{ say(name, data); }}
  function {read}() {{ say('read'); }}"""
    with shown(page, tmp_path, program(marked, stack, office.organization, language=language), before):
        eventually(lambda: stack.rows("ConnectionsTable", organizationId=office.organization) == 1)
        eventually(lambda: names(heard(page)) == ["token", "token", "read"])
        made = [office.contact(1)["id"]]
        eventually(lambda: names(heard(page))[-1] == "contact-update")
        assert cut(stack, office.organization) == 1
        made += [office.contact(n)["id"] for n in (2, 3)]
        eventually(lambda: names(heard(page)).count("contact-update") == len(made))
        made.append(office.contact(4)["id"])
        eventually(lambda: names(heard(page)).count("contact-update") == len(made))
        told = heard(page)
    assert names(told).count("token") == 3
    assert names(told).count("read") == 1
    assert [each[1]["id"] for each in told if each[0] == "contact-update"] == made
