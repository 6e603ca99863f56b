"""Eight clients read and write at once while a campaign runs and a list is imported, on a local stack of its own.

`LOAD_SECONDS` (120). What is looked for is in the end: no answer of 500 or more, no write lost, every counter exact.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from statistics import quantiles
from typing import Any

import requests

from local.demo import Row, workbook
from tests import scratch
from tests.stack.deployed import LocalStack, eventually
from tests.stack.office import Office, phone

CLIENTS = 8
SHARED = 5
"""Contacts that all clients count up, each seeing what it changes: every count is somebody's."""

CALLED, IMPORTED = 400, 3_000
PATIENCE_SECONDS = 600
"""For what is under way to end."""


class Client:
    """One of the clients, with what it knows to have written."""

    def __init__(self, office: Office, number: int, shared: list[str], campaign_id: str) -> None:
        self.office = office
        self.random = random.Random(number)
        self.phones = iter(range(1_000_000 + 100_000 * number, 1_100_000 + 100_000 * number))
        self.shared, self.campaign_id = shared, campaign_id
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {office.stack.token(office.organization)}"
        self.mine: dict[str, str | None] = {}
        """Its contacts, with the notes that it wrote last."""

        self.counted: Counter[str] = Counter()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def work(self, until: float) -> None:
        """Reads and writes, as they come."""
        doings = [self.create, self.change, self.count, self.count, self.look, self.page, self.page, self.delete]
        while time.monotonic() < until:
            self.random.choice(doings)()

    def create(self) -> None:
        """A contact; now and then the same request again, which makes no other."""
        key = {"Idempotency-Key": str(self.random.getrandbits(64))}
        body = {"firstName": "Dilshod", "phone": phone(next(self.phones))}
        for _ in range(self.random.choice((1, 1, 2))):
            made = self.ask("POST", "/contacts", json=body, headers=key)
            self.mine.setdefault(made.json()["id"], None)

    def change(self) -> None:
        """One of its contacts, that nobody else changes."""
        for contact_id in self.some():
            notes = str(self.random.random())
            self.ask("PATCH", f"/contacts/{contact_id}", json={"notes": notes})
            self.mine[contact_id] = notes

    def count(self) -> None:
        """A contact that others change, too, until nobody was between look and write."""
        path = f"/contacts/{self.random.choice(self.shared)}"
        while True:
            seen = self.ask("GET", path)
            body = {"customData": {"count": seen.json()["customData"]["count"] + 1}}
            if self.ask("PATCH", path, json=body, headers={"If-Match": seen.headers["ETag"]}).status_code == 200:
                self.counted[path] += 1
                return

    def look(self) -> None:
        """At the campaign, and one of its contacts."""
        self.ask("GET", f"/campaigns/{self.campaign_id}")
        for contact_id in self.some():
            assert self.ask("GET", f"/contacts/{contact_id}").json()["notes"] == self.mine[contact_id]

    def page(self) -> None:
        """Lists of all kinds, and a page after the first."""
        path = self.random.choice(
            ("/contacts", "/contacts?status=ACTIVE", "/imports", f"/campaigns/{self.campaign_id}/contacts")
        )
        first = self.ask("GET", path).json()
        if after := first["meta"]["nextCursor"]:
            self.ask("GET", f"{path}{'&' if '?' in path else '?'}cursor={after}")

    def delete(self) -> None:
        """One of its contacts."""
        for contact_id in self.some():
            self.ask("DELETE", f"/contacts/{contact_id}")
            del self.mine[contact_id]

    def some(self) -> list[str]:
        """One of its contacts, if it has any."""
        return self.random.sample(sorted(self.mine), min(1, len(self.mine)))

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """The answer that is not 429: one that says to come again is asked again."""
        kind = f"{method} /{path.split('/')[1].partition('?')[0]}"
        while True:
            began = time.monotonic()
            answer = self.session.request(method, f"{self.office.stack.base}/auto-calling{path}", timeout=60, **options)
            self.seconds[kind].append(time.monotonic() - began)
            self.statuses[kind, answer.status_code] += 1
            if answer.status_code != 429:
                break
            time.sleep(float(answer.headers["Retry-After"]))
        if answer.status_code >= 500:
            raise RuntimeError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        if answer.status_code not in (200, 201, 204, 412):
            raise RuntimeError(f"{method} {path} was answered {answer.status_code}: {answer.text}")
        return answer


def main() -> bool:
    """Print what was asked and how long it took; whether nothing was lost."""
    seconds = float(os.environ.get("LOAD_SECONDS") or 120)
    with scratch.directory() as home:
        stack = LocalStack(home, SIMULATED_CALL_SECONDS="0")
        stack.start()
        try:
            return _loaded(Office(stack, "load"), seconds)
        finally:
            stack.stop()


def _loaded(office: Office, seconds: float) -> bool:
    called = _imported(office, [("Aziza", f"Karimova {n}", phone(n), None, None, None) for n in range(CALLED)])
    campaign_id = office.campaign(maxConcurrentCalls=5)["id"]
    office.post(f"/campaigns/{campaign_id}/contacts", {"importId": called["id"]}, status=202)
    eventually(lambda: office.get(f"/campaigns/{campaign_id}")["totalContacts"] == CALLED, PATIENCE_SECONDS)
    shared = [office.contact(900_000 + n, customData={"count": 0})["id"] for n in range(SHARED)]
    clients = [Client(office, n, shared, campaign_id) for n in range(CLIENTS)]
    office.post(f"/campaigns/{campaign_id}/start")
    imported: list[dict[str, Any]] = []
    failures: list[str] = []

    def kept(do: Callable[[], object]) -> Callable[[], None]:
        def doing() -> None:
            try:
                do()
            except Exception as failure:  # noqa: BLE001 (it is told)
                failures.append(str(failure))

        return doing

    rows: list[Row] = [("Botir", f"Aliyev {n}", phone(500_000 + n), None, None, None) for n in range(IMPORTED)]
    until = time.monotonic() + seconds
    works = [kept(partial(each.work, until)) for each in clients]
    threads = [
        threading.Thread(target=work) for work in (*works, kept(lambda: imported.append(_imported(office, rows))))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = office.comes_to(campaign_id, "COMPLETED", PATIENCE_SECONDS)
    _tell(clients, seconds)
    wrong = [*failures, *_lost(office, clients, shared, imported), *_miscounted(office, done)]
    print("\n".join(wrong) or "  nothing was lost; every counter is exact")
    return not wrong


def _imported(office: Office, people: list[Row]) -> dict[str, Any]:
    """The import of a workbook, when it has ended."""
    sent = office.request("POST", "/contacts/upload-excel", files={"file": ("people.xlsx", workbook(people))}).json()

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = office.get(f"/imports/{sent['id']}")
        return found if found["finishedAt"] else None

    return eventually(ended, PATIENCE_SECONDS)


def _tell(clients: list[Client], seconds: float) -> None:
    statuses = sum((each.statuses for each in clients), Counter[tuple[str, int]]())
    by_status: Counter[int] = Counter()
    for (_, status), number in statuses.items():
        by_status[status] += number
    failed = sum(number for status, number in by_status.items() if status >= 500)
    print(f"load: {CLIENTS} clients for {seconds:.0f} s, a campaign of {CALLED}, an import of {IMPORTED} rows")
    print(f"  {by_status.total()} requests, {by_status.total() / seconds:.0f} a second;", end=" ")
    print(f"429: {by_status[429]}; 412: {by_status[412]}; 5xx: {failed}")
    for kind in sorted({kind for kind, _ in statuses}):
        took = sorted(each for client in clients for each in client.seconds[kind])
        marks = quantiles(took, n=100) if len(took) > 1 else took * 99
        print(f"  {kind:20} {len(took):6}  p50 {marks[49]:.3f} s  p95 {marks[94]:.3f} s  p99 {marks[98]:.3f} s")


def _lost(office: Office, clients: list[Client], shared: list[str], imported: list[dict[str, Any]]) -> list[str]:
    """Writes that were answered and are not there."""
    wrong = [f"an import ended as {each}" for each in imported if each["created"] != IMPORTED]
    for contact_id in shared:
        path = f"/contacts/{contact_id}"
        there, wanted = office.get(path)["customData"]["count"], sum(each.counted[path] for each in clients)
        if there != wanted:
            wrong.append(f"{path} was counted to {wanted} and is {there}")
    for client in clients:
        for contact_id, notes in client.mine.items():
            if (there := office.get(f"/contacts/{contact_id}")["notes"]) != notes:
                wrong.append(f"/contacts/{contact_id} has the notes {there}, not {notes}")
    total = office.get("/contacts")["meta"]["total"]
    wanted = CALLED + SHARED + sum(len(each.mine) for each in clients) + sum(each["created"] for each in imported)
    return wrong if total == wanted else [*wrong, f"there are {wanted} contacts, and {total} are counted"]


def _miscounted(office: Office, campaign: dict[str, Any]) -> list[str]:
    """What a recount of the campaign's calls finds."""
    path = f"/campaigns/{campaign['id']}/audit"
    office.post(path, status=202)
    report = eventually(
        lambda: found if (found := office.get(path))["status"] == "COMPLETED" else None, PATIENCE_SECONDS
    )
    wrong = [] if report["consistent"] else [f"the audit finds {report['differences']}"]
    if campaign["calledContacts"] != CALLED:
        wrong.append(f"{CALLED} were to be called, and {campaign['calledContacts']} were")
    return wrong
