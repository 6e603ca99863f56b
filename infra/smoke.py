"""Does a deployment work? A few requests that anybody could make, one line each; nobody is called by any of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Say = Callable[[str], None]

ORGANIZATION = "smoke-test"
"""Whose contact and campaign are made for this, and taken away again."""

ANSWER_SECONDS = 30
DONE_SECONDS = 180
"""How long a campaign of one simulated contact may take; the functions start cold."""

ANY_TIME = {
    "timezone": "UTC",
    "days": ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"],
    "from": "00:00",
    "to": "24:00",
}


class Unfit(Exception):
    """What was expected is not so; the message says what is."""


@dataclass(frozen=True)
class Line:
    """A thing that was tried: done, not done (`said` says why), or nothing that can be told here (`passed` is None)."""

    name: str
    passed: bool | None
    said: str = ""

    @property
    def failed(self) -> bool:
        return self.passed is False

    @property
    def line(self) -> str:
        sign = {True: "pass", False: "FAIL", None: "  – "}[self.passed]
        return f"{sign}  {self.name}{': ' if self.said else ''}{self.said}"


@dataclass(frozen=True)
class Reached:
    """A deployment as its clients reach it."""

    origin: str
    """Of the API: what `/health` and `/auto-calling` come after."""

    socket: str
    """The address of plain sockets, without a token."""

    token: str
    """One that lets an operator of ORGANIZATION in; empty where none can be made here."""

    phone: str = "+998912345678"
    """A number that may be saved."""

    def ask(self, method: str, path: str, *, token: str | None = None, **options: Any) -> Any:
        """The answer to a request, of `requests`. Raises Unfit when there is none."""
        import requests

        headers = {"Authorization": f"Bearer {self.token if token is None else token}", **options.pop("headers", {})}
        try:
            return requests.request(method, self.origin + path, headers=headers, timeout=ANSWER_SECONDS, **options)
        except requests.RequestException as why:
            raise Unfit(f"{method} {path}: no answer ({type(why).__name__})") from None

    def expect(self, status: int, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer with a status. Raises Unfit."""
        answer = self.ask(method, path, **options)
        if answer.status_code != status:
            raise Unfit(f"{method} {path} is answered {answer.status_code}, not {status}: {answer.text[:300]}")
        return answer.json() if answer.content else None


def reached(session: Any, parameters: Mapping[str, str], outputs: Mapping[str, str]) -> Reached:
    """A stack in the cloud, through its site."""
    site = outputs["SiteUrl"]
    return Reached(site, f"{site.replace('https', 'wss', 1)}/ws", _token(session, parameters), _phone(parameters))


def _token(session: Any, parameters: Mapping[str, str]) -> str:
    """A token for ten minutes, where the deployment's own key signs them."""
    import jwt

    if parameters.get("JwtAlgorithm", "HS256") != "HS256":
        return ""
    key = session.client("ssm").get_parameter(Name=parameters["JwtSecretParameter"], WithDecryption=True)
    claims = {
        parameters.get("JwtOrganizationClaim") or "organizationId": ORGANIZATION,
        parameters.get("JwtRoleClaim") or "role": "manager",
        "sub": "smoke-test",
        "exp": datetime.now(UTC) + timedelta(minutes=10),
        "aud": parameters.get("JwtAudience", "").partition(",")[0].strip(),
        "iss": parameters.get("JwtIssuer", ""),
    }
    return jwt.encode({name: each for name, each in claims.items() if each}, key["Parameter"]["Value"], "HS256")


def _phone(parameters: Mapping[str, str]) -> str:
    """A mobile number that is nobody's, of a country that may be called."""
    import phonenumbers

    country = parameters.get("AllowedCountries", "").partition(",")[0] or parameters.get("PhoneRegion") or "UZ"
    number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        raise Unfit(f"nobody knows a mobile number of {country}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def tried(name: str, do: Callable[[], object]) -> Line:
    """What comes of trying something."""
    try:
        return Line(name, True, str(do() or ""))
    except Unfit as why:
        return Line(name, False, str(why))


def of(there: Reached, say: Say = print) -> list[Line]:
    """Try a deployment, saying each line as soon as it is known."""
    lines: list[Line] = []
    for each in _lines(there):
        say(f"  {each.line}")
        lines.append(each)
    return lines


def _lines(there: Reached) -> Iterator[Line]:
    yield tried("the API answers", lambda: there.expect(200, "GET", "/health")["version"])
    yield tried("nobody gets in without a token", lambda: _refused(there))
    if not there.token:
        yield Line("a token, a campaign, a socket", None, "tokens are an identity provider's; none can be made here")
        return
    yield tried("a token lets its organization in", lambda: _admitted(there))
    yield tried("a campaign of one simulated call is done, and its socket hears of it", lambda: _campaign(there))


def _refused(there: Reached) -> None:
    there.expect(401, "GET", "/auto-calling/campaigns", token="none")  # noqa: S106 (it is no token)


def _admitted(there: Reached) -> None:
    there.expect(200, "GET", "/auto-calling/campaigns")


def _campaign(there: Reached) -> str:
    began = time.monotonic()
    with a_contact(there) as contact_id, a_campaign(there, [contact_id]) as campaign_id, heard(there) as events:
        there.expect(200, "POST", f"/auto-calling/campaigns/{campaign_id}/start")
        until = began + DONE_SECONDS
        while events.next(until) != ("campaign-complete", campaign_id):
            pass
        campaign = there.expect(200, "GET", f"/auto-calling/campaigns/{campaign_id}")
        if campaign["status"] != "COMPLETED":
            raise Unfit(f"the campaign is {campaign['status']}")
    return f"{time.monotonic() - began:.0f} s"


@contextmanager
def a_contact(there: Reached) -> Iterator[str]:
    """A contact, for a while. One that an earlier try left behind is taken."""
    made = there.ask("POST", "/auto-calling/contacts", json={"firstName": "Smoke test", "phone": there.phone})
    if made.status_code not in (201, 409):
        raise Unfit(f"a contact is answered {made.status_code}: {made.text[:300]}")
    contact_id: str = made.json()["id" if made.status_code == 201 else "contactId"]
    try:
        yield contact_id
    finally:
        there.ask("DELETE", f"/auto-calling/contacts/{contact_id}")


@contextmanager
def a_campaign(there: Reached, contact_ids: list[str], **fields: Any) -> Iterator[str]:
    """A campaign that simulates its calls, for a while."""
    simulated = {"name": "Smoke test", "agent": {"provider": "simulated"}, "callingHours": ANY_TIME}
    body = simulated | {"contactIds": contact_ids} | fields
    campaign_id: str = there.expect(201, "POST", "/auto-calling/campaigns", json=body)["id"]
    try:
        yield campaign_id
    finally:
        there.ask("POST", f"/auto-calling/campaigns/{campaign_id}/stop")
        there.ask("DELETE", f"/auto-calling/campaigns/{campaign_id}")


class Events:
    """What a socket is told."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def next(self, until: float) -> tuple[str, str | None]:
        """The next event and the campaign it is about. Raises Unfit where none comes in time."""
        try:
            told = json.loads(self.socket.recv(max(until - time.monotonic(), 0.01)))
        except TimeoutError:
            raise Unfit("the socket was not told in time") from None
        except OSError as why:
            raise Unfit(f"the socket broke: {why}") from None
        return told["event"], told["data"].get("campaignId")


@contextmanager
def heard(there: Reached) -> Iterator[Events]:
    """A socket that is open. Raises Unfit where it does not open."""
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    try:
        with connect(f"{there.socket}?token={there.token}", open_timeout=ANSWER_SECONDS) as socket:
            yield Events(socket)
    except (WebSocketException, OSError) as why:
        raise Unfit(f"the socket does not open: {str(why).replace(there.token, '…')}") from None
