"""The guide's complete workflow, played against a running local stack: `make demo` (PORT, LOCAL_DIR, ORG=1)."""

from __future__ import annotations

import io
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from local.laptop import Laptop, Refused, laptop
from local.token import token

CONTACTS = 200
CONCURRENT_CALLS = 20
PATIENCE_SECONDS = 120
"""How long nothing may happen before the demo gives up."""

HEADER = ("firstName", "lastName", "phone", "dateOfBirth", "customData (JSON string)", "notes")
MEN = (
    *("Abdulla", "Alisher", "Anvar", "Aziz", "Bekzod", "Botir", "Davron", "Dilshod", "Farhod", "Islom", "Jahongir"),
    *("Jasur", "Kamol", "Laziz", "Mirzo", "Nodir", "Otabek", "O'tkir", "Rustam", "Sanjar", "Sherzod", "Temur"),
    *("Ulug'bek", "Umid", "Xurshid", "Yusuf", "Zafar"),
)
WOMEN = (
    *("Aziza", "Barno", "Charos", "Dildora", "Dilnoza", "Feruza", "Gavhar", "Gulnora", "Hilola", "Kamola", "Lola"),
    *("Madina", "Malika", "Munisa", "Nargiza", "Nigora", "Nilufar", "Nodira", "Oydin", "Ozoda", "Saida", "Sevara"),
    *("Shahnoza", "To'ti", "Umida", "Zarina", "Zulfiya"),
)
FAMILIES = (
    *("Abdullayev", "Ahmedov", "Aliyev", "Azimov", "Ergashev", "G'aniyev", "Hamidov", "Ibragimov", "Ismoilov"),
    *("Karimov", "Mahmudov", "Mirzayev", "Nazarov", "Normatov", "O'rinov", "Qodirov", "Rahimov", "Rashidov"),
    *("Saidov", "Sobirov", "Sultonov", "To'rayev", "Tursunov", "Umarov", "Usmonov", "Xolmatov", "Yo'ldoshev"),
)
NOTES = ("Hamkorlik qiladi", "Kechqurun qo'ng'iroq qiling", "Yangi mijoz", "Ruscha gaplashadi", None, None, None)
OPERATORS = ("33", "50", "77", "88", "90", "91", "93", "94", "95", "97", "98", "99")
LAST_DIGITS = {"0": 14, "1": 14, "2": 14, "3": 14, "4": 13, "5": 7, "6": 12, "7": 6, "8": 4, "9": 2}
"""The simulated agent answers by a phone's last digit: these weights make a day as a call floor knows it."""

Row = tuple[str | None, ...]


def people(number: int) -> Iterator[Row]:
    """Rows of a workbook, the same every time."""
    chance = random.Random(2026)  # noqa: S311 (people are invented)
    for n in range(number):
        last = chance.choices(list(LAST_DIGITS), list(LAST_DIGITS.values()))[0]
        woman = chance.random() < 0.5
        debt = chance.randrange(200_000, 9_000_000, 1_000)
        custom = {
            "contract": f"UZ-{chance.randrange(10_000, 99_999)}",
            "totalDebt": debt,
            "remainingDebt": debt - chance.randrange(0, debt, 1_000),
            "lastPaymentAmount": chance.randrange(0, 500_000, 1_000),
        }
        yield (
            chance.choice(WOMEN if woman else MEN),
            chance.choice(FAMILIES) + ("a" if woman else ""),
            f"+998{chance.choice(OPERATORS)}{200_000 + 3_371 * n:06}{last}",
            f"{chance.randrange(1955, 2005)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
            json.dumps(custom),
            chance.choice(NOTES),
        )


def workbook(rows: Iterable[Row]) -> bytes:
    """An .xlsx file with the guide's columns."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Kontaktlar")
    for row in (HEADER, *rows):
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


class Office:
    """An organization's requests to a local stack. All of them raise Refused."""

    def __init__(self, where: Laptop, organization: str) -> None:
        self.where = where
        self.token = token(where, organization)

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The JSON answer of a request below /auto-calling; options are those of `requests`."""
        import requests

        url = f"{self.where.origin}/auto-calling{path}"
        try:
            answer = requests.request(
                method, url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60, **options
            )
        except requests.RequestException:
            raise Refused(f"Nothing answers on {self.where.origin}; start the stack with `make run`.") from None
        if answer.status_code == 401:
            raise Refused(
                f"{self.where.origin} does not take this laptop's token; is LOCAL_DIR that of its `make run`?"
            )
        if not answer.ok:
            raise Refused(f"{method} {path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What a socket of the organization is told; an event without a name passes when nothing was told for 2 s."""
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        try:
            with connect(f"ws://localhost:{self.where.port}/ws?token={self.token}") as socket:
                yield "", {}
                while True:
                    try:
                        message = json.loads(socket.recv(2))
                    except TimeoutError:
                        message = {"event": "", "data": {}}
                    yield message["event"], message["data"]
        except (WebSocketException, OSError) as error:
            raise Refused(f"The socket broke: {error}.") from None

    def until(self, path: str, ready: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """What a GET finds, once it is ready."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found: dict[str, Any] = self.ask("GET", path)
            if ready(found):
                return found
            time.sleep(0.3)
        raise Refused(f"{path} is not ready after {PATIENCE_SECONDS} s; `make logs` may say why.")


def play(office: Office) -> None:
    """The guide's steps 1 to 5."""
    from rich.console import Console

    console = Console(highlight=False)
    sheet = {"file": ("contacts.xlsx", workbook(people(CONTACTS)))}
    file = office.ask("POST", "/contacts/upload-excel", files=sheet)
    file = office.until(f"/imports/{file['id']}", lambda found: found["finishedAt"])
    if file["status"] != "COMPLETED":
        raise Refused(f"The workbook could not be imported: {file['failureReason']}.")
    console.print(f"1. contacts.xlsx: {file['created']} contacts created, {file['updated']} updated")

    body = {
        "name": "January Debt Collection",
        "campaignType": "DEBT_COLLECTION",
        "description": "Calling debtors for January",
        "maxConcurrentCalls": CONCURRENT_CALLS,
    }
    campaign = office.ask("POST", "/campaigns", json=body)["id"]
    console.print(f"2. campaign {campaign}")

    office.ask("POST", f"/campaigns/{campaign}/contacts", json={"importId": file["id"]})
    office.until(f"/campaigns/{campaign}", lambda found: found["totalContacts"] == CONTACTS)
    console.print(f"3. {CONTACTS} contacts of the workbook enrolled")

    conversations = office.events()
    next(conversations)
    office.ask("POST", f"/campaigns/{campaign}/start")
    console.print("4. started; 5. live from the socket:")
    _watch(office, campaign, conversations, console)
    _sum_up(office.ask("GET", f"/campaigns/{campaign}"), console)


def _watch(office: Office, campaign: str, events: Iterator[tuple[str, dict[str, Any]]], console: Any) -> None:
    """A bar that moves with the campaign's conversations until it has completed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")]
    heard = time.monotonic()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=CONTACTS)
        for name, data in events:
            if name and data.get("campaignId") == campaign:
                heard = time.monotonic()
            elif time.monotonic() - heard > PATIENCE_SECONDS:
                raise Refused(f"Nobody was called for {PATIENCE_SECONDS} s; `make logs` may say why.")
            if not name and office.ask("GET", f"/campaigns/{campaign}")["status"] == "COMPLETED":
                return
            if data.get("campaignId") != campaign:
                continue
            if name == "campaign-complete":
                progress.update(bar, completed=CONTACTS, description=data["message"])
                return
            if name == "campaign-progress":
                progress.update(bar, completed=data["calledContacts"] + data["skippedContacts"])
            if name == "campaign-update":
                person = data["contact"]
                told = f"{person.get('firstName', '')} {person.get('lastName', '')}: {data['outcome'] or 'calling'}"
                progress.update(bar, description=told)


def _sum_up(campaign: dict[str, Any], console: Any) -> None:
    from rich.table import Table

    console.print(f"{campaign['name']}: {campaign['status']}")
    table = Table("call status")
    table.add_column("contacts", justify="right")
    for status, number in campaign["statusCounts"].items():
        if number:
            table.add_row(status, str(number))
    console.print(table)
    console.print(
        f"{campaign['calledContacts']} of {campaign['totalContacts']} called: "
        f"{campaign['successfulCalls']} successful, {campaign['failedCalls']} failed, "
        f"{campaign['skippedContacts']} skipped"
    )


if __name__ == "__main__":
    try:
        play(Office(laptop(), os.environ.get("ORG") or "1"))
    except Refused as why:
        sys.exit(f"make demo: {why}")
    except KeyboardInterrupt:
        sys.exit(130)
