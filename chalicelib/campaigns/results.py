"""The results of a campaign as a workbook: a row per contact, and a summary with a chart.

The worker gathers the rows in slices (which keys `customData` has is known only at the end), then writes the workbook
from them, row by row. The workbook stays until the campaign changes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import clock, ids, money, records
from chalicelib.aws import s3, sqs
from chalicelib.aws.s3 import Stored
from chalicelib.calls import store as calls
from chalicelib.calls.model import Attempt, Call, Callee, CallStatus
from chalicelib.campaigns import messages, store
from chalicelib.campaigns.messages import WriteResults
from chalicelib.campaigns.model import Campaign, CampaignStatus
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import Contact
from chalicelib.errors import Conflict
from chalicelib.log import logger
from chalicelib.money import Money
from chalicelib.workbooks import writer

COLUMNS = {
    "firstName": 16,
    "lastName": 18,
    "phone": 17,
    "callStatus": 20,
    "conversationOutcome": 30,
    "conversationSummary": 60,
    "callDuration": 13,
    "attempts": 10,
    "calledAt": 25,
    "recordingUrl": 40,
    "promisedDate": 13,
    "promisedAmount": 15,
    "promisedCurrency": 16,
    "cost": 10,
    "costCurrency": 13,
    "provider": 12,
}
"""The columns that every result has, and their widths; those of `customData` follow.

A promise and a provider are the last attempt's, the cost is that of all attempts: as text where they cost different
currencies.
"""

PAGE = 500
KEYS_KEPT, KEYS_BYTES = 200, 100_000
"""Columns of `customData`, and the bytes of their names in a message; a campaign has seldom more than ten."""

FRESH = timedelta(minutes=1)
"""A workbook this young is given although the campaign changed since: while it runs, it always has."""

LONGEST = timedelta(minutes=15)
"""After so long whoever began a workbook will not finish it."""

UNTAKEN = timedelta(minutes=1)
"""After so long an order for a workbook that no worker has begun is given again: it may be lost."""

REQUEST, WORKER = "request", "worker"
"""Who put the object that says that results are being written."""

EXACT_INTEGER = 10**15
"""Excel keeps 15 digits of a number; longer ones are written as text."""

Now = Callable[[], datetime]


class Result(Struct, frozen=True, array_like=True):
    """A row of the workbook: the columns' values and `customData`."""

    values: list[Any]
    custom_data: dict[str, Any]


class Download(Struct, frozen=True, rename="camel"):
    """Where results can be downloaded, for an hour, and as of when they are."""

    url: str
    as_of: str | None


def download(campaign: Campaign, *, now: datetime) -> Download | None:
    """A campaign's results; None while they are being written, which this may begin."""
    key = _key(campaign.organization_id, campaign.campaign_id, "results.xlsx")
    found = s3.stored(key)
    if found and _is_fresh(campaign, found.metadata.get("version"), now - found.at):
        return Download(s3.link(key, f"{campaign.name}.xlsx"), found.metadata.get("as-of"))
    begun = s3.stored(_begun(campaign))
    if begun is None or not _goes_on(begun, now):
        _order(campaign, begun)
    return None


def _goes_on(begun: Stored, now: datetime) -> bool:
    """Whether somebody writes results, or was told to a moment ago."""
    return now - begun.at <= (LONGEST if begun.metadata.get("by") == WORKER else UNTAKEN)


def _order(campaign: Campaign, begun: Stored | None) -> None:
    """Have a campaign's results written. Raises SendFailed, and then they can be asked for again at once."""
    whose: dict[str, Any] = {"organization_id": campaign.organization_id, "campaign_id": campaign.campaign_id}
    order = WriteResults(**whose, order_id=ids.new_id())
    if not _begin(campaign, order, begun, by=REQUEST):
        return
    try:
        messages.work(order)
    except sqs.SendFailed:
        s3.delete(_begun(campaign))
        raise


def _is_fresh(campaign: Campaign, written: str | None, age: timedelta) -> bool:
    """Whether a workbook tells how the campaign stands; while calls go on, how it stood a moment ago."""
    goes_on = campaign.status is CampaignStatus.RUNNING or campaign.in_flight > 0
    return written == version(campaign) or (goes_on and age < FRESH)


def _begin(campaign: Campaign, order: WriteResults, begun: Stored | None, *, by: str) -> bool:
    """Say who writes a campaign's results, if that is still as it was read; whether this order's are written.

    One of two who come at once is first. What is put in the file is never the same twice.
    """
    key, own = _begun(campaign), ids.new_id()
    try:
        s3.replace(key, own.encode(), begun, by=by, order=order.order_id, own=own)
    except Conflict:  # of another, or of this very write, whose answer was lost
        there = s3.stored(key)
        return there is not None and there.metadata.get("own") == own
    return True


def _take(campaign: Campaign, order: WriteResults, now: datetime) -> bool:
    """Whether a worker may write an order's results: no other does. A slice that comes late begins nothing."""
    begun = s3.stored(_begun(campaign))
    if begun is None and order.parts:
        return True
    if begun and begun.metadata.get("order", "") != order.order_id and _is_worked_at(begun, now):
        return False
    return _begin(campaign, order, begun, by=WORKER)


def _is_worked_at(begun: Stored, now: datetime) -> bool:
    return begun.metadata.get("by") == WORKER and _goes_on(begun, now)


def version(campaign: Campaign) -> str:
    """Equal for a campaign as long as nothing in it changed."""
    state = msgspec.json.encode([campaign.updated_at, campaign.name, campaign.counters()])
    return hashlib.sha256(state).hexdigest()[:16]


def write(order: WriteResults, *, now: Now, until: datetime) -> None:
    """Gather a slice of a campaign's results; after the last one write the workbook.

    A slice that is gathered again has a name of its own, and the workbook is written of those that follow one another.
    Raises NotFound, also for a slice that another has written a workbook of.
    """
    campaign = store.find(order.organization_id, order.campaign_id)
    if not _take(campaign, order, now()):
        logger().info("another writes the results", campaignId=campaign.campaign_id)
        return
    if not order.version:
        order = replace(order, version=version(campaign), as_of=clock.stamp(now()))
    name = ids.new_id()
    with tempfile.TemporaryDirectory(prefix="results-") as place:
        keys, cursor = _gather(order, Path(place) / name, now, until)
        order = replace(order, keys=keys, cursor=cursor, parts=[*order.parts, name])
        if cursor is None:
            _finish(campaign, order, Path(place))
            return
        s3.put(_part(order, name), Path(place) / name)
    messages.work(order)


def forget(organization_id: str, campaign_id: str) -> None:
    """Remove a campaign's workbook."""
    s3.delete(_key(organization_id, campaign_id, "results.xlsx"))


def _gather(order: WriteResults, part: Path, now: Now, until: datetime) -> tuple[list[str], str | None]:
    """Results in the order of their contacts into a file, and where to go on when the time is up; and all keys."""
    keys, cursor = dict.fromkeys(order.keys), order.cursor
    with part.open("wb") as file:
        while found := calls.some(order.campaign_id, PAGE, after=cursor):
            people = contacts.find_many(order.organization_id, [call.contact_id for call in found])
            rows = [result(call, people.get(call.contact_id)) for call in found]
            keys.update(dict.fromkeys(key for row in rows for key in row.custom_data))
            file.write(records.packed(msgspec.json.encode(rows)))
            cursor = found[-1].contact_id
            if now() >= until:
                return _columns(keys), cursor
    return _columns(keys), None


def _columns(keys: Iterable[str]) -> list[str]:
    """As many of the keys, in order, as become columns."""
    known = list(keys)[:KEYS_KEPT]
    sizes = accumulate(len(key.encode()) for key in known)
    return [key for key, size in zip(known, sizes, strict=True) if size <= KEYS_BYTES]


def result(call: Call, contact: Contact | None) -> Result:
    """The row of a call; a contact that was deleted leaves only the phone that was called."""
    values = {
        **msgspec.to_builtins(call.view(Callee(id=call.contact_id))),
        "firstName": contact and contact.first_name,
        "lastName": contact and contact.last_name,
        "phone": contact.phone if contact else call.phone,
        "attempts": len(call.attempts),
        **_promise(call.attempts),
        **_cost(call.attempts),
    }
    return Result([values[name] for name in COLUMNS], (contact and contact.custom_data) or {})


def _promise(attempts: Sequence[Attempt]) -> dict[str, Any]:
    last = attempts[-1] if attempts else None
    amount = last and last.promised_amount
    return {
        "promisedDate": last and last.promised_date,
        "promisedAmount": amount and _number(amount),
        "promisedCurrency": amount and amount.currency,
        "provider": last and last.provider,
    }


def _cost(attempts: Sequence[Attempt]) -> dict[str, Any]:
    sums = money.total(each.cost for each in attempts if each.cost)
    if len(sums) == 1:
        return {"cost": _number(sums[0]), "costCurrency": sums[0].currency}
    words = [f"{each.amount} {each.currency or ''}".strip() for each in sums]
    return {"cost": " + ".join(words) or None, "costCurrency": None}


def _number(amount: Money) -> int | float | str:
    """An amount as a cell that can be added up, unless it has more than the 15 digits that Excel keeps."""
    if len(amount.amount) > 15:
        return amount.amount
    return float(amount.amount) if "." in amount.amount else int(amount.amount)


def _finish(campaign: Campaign, order: WriteResults, place: Path) -> None:
    """Write the workbook from all parts, of which the last lies in `place`, and put it where it is found."""
    earlier = order.parts[:-1]
    for name in earlier:
        s3.fetch(_part(order, name), place / name)
    results = _results(place / name for name in order.parts)
    workbook(place / "results.xlsx", campaign, results, order.keys, as_of=order.as_of)
    key = _key(campaign.organization_id, campaign.campaign_id, "results.xlsx")
    s3.put(key, place / "results.xlsx", **{"version": order.version, "as-of": order.as_of})
    for name in earlier:
        s3.delete(_part(order, name))
    s3.delete(_begun(campaign))


def _results(parts: Iterable[Path]) -> Iterator[Result]:
    decode = msgspec.json.Decoder(list[Result]).decode
    for part in parts:
        for record in records.of(part):
            yield from decode(records.opened(record))


def workbook(path: Path, campaign: Campaign, results: Iterable[Result], keys: list[str], *, as_of: str) -> None:
    """Write results to a file; the rows may be any number, memory holds one."""
    book = writer.Workbook()
    summary = book.sheet("Summary", ["status", "contacts"], [26, 12])
    counts: Counter[str] = Counter()
    status = list(COLUMNS).index("callStatus")
    sheet: Any = None
    for number, each in enumerate(results):
        if number % writer.ROWS_PER_SHEET == 0:
            sheet = _sheet(book, 1 + number // writer.ROWS_PER_SHEET, keys)
        counts[each.values[status]] += 1
        custom = [_plain(each.custom_data.get(key)) for key in keys]
        sheet.append(writer.row(sheet, [*each.values, *custom]))
    if sheet is None:
        _sheet(book, 1, keys)
    _summarize(summary, campaign, counts, as_of)
    book.save(path)


def _sheet(book: writer.Workbook, number: int, keys: list[str]) -> Any:
    name = "Results" if number == 1 else f"Results {number}"
    return book.sheet(name, [*COLUMNS, *keys], COLUMNS.values())


def _summarize(sheet: Any, campaign: Campaign, counts: Counter[str], as_of: str) -> None:
    """The number of contacts by status, with a chart; below it the campaign's dates."""
    from openpyxl.chart import BarChart, Reference

    for status in CallStatus:
        sheet.append([status.value, counts[status]])
    last = 1 + len(CallStatus)
    sheet.append(["total", counts.total()])
    sheet.append([])
    for name, value in (("campaign", campaign.name), ("status", campaign.status.value)):
        sheet.append([name, writer.safe(sheet, value)])
    for name, at in (("startedAt", campaign.started_at), ("completedAt", campaign.completed_at), ("asOf", as_of)):
        sheet.append([name, at])
    chart = BarChart()
    chart.type, chart.legend, chart.title = "bar", None, "Contacts by status"
    chart.add_data(Reference(sheet, min_col=2, min_row=2, max_row=last))
    chart.set_categories(Reference(sheet, min_col=1, min_row=2, max_row=last))
    sheet.add_chart(chart, "D2")


def _plain(value: Any) -> Any:
    """A value of `customData` as a cell: text, a number or a truth; what is nested as JSON."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= EXACT_INTEGER:
        return str(value)
    return value


def _part(order: WriteResults, name: str) -> str:
    return _key(order.organization_id, order.campaign_id, f"part-{name}")


def _begun(campaign: Campaign) -> str:
    """The empty object that says that somebody writes a campaign's results."""
    return _key(campaign.organization_id, campaign.campaign_id, "begun")


def _key(organization_id: str, campaign_id: str, name: str) -> str:
    return f"reports/{organization_id}/{campaign_id}/{name}"
