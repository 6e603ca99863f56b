"""Every pair of writers, the second at its work between any two calls of the first: see `writers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest
from msgspec import Struct

from chalicelib.calls import store as calls
from chalicelib.calls.model import CallState
from chalicelib.campaigns.model import CampaignStatus
from chalicelib.contacts import store as contacts
from chalicelib.contacts.model import ContactStatus
from chalicelib.settings import settings
from chalicelib.totals.store import Kind, total
from tests.simulation.invariants import Broken
from tests.simulation.world import ORGANIZATION
from tests.simulation.writers import CALLBACK_SECONDS, CAN_WRITE, NEW_PHONE, PHONE, SEVERAL, WRITERS, Scene


class Meeting(Struct, frozen=True):
    """The second writer comes in just before a call (counted from 0) of the first."""

    point: str
    first: str
    second: str
    call: int


def meetings(point: str, first: str, seconds: Iterable[str]) -> Iterator[Meeting]:
    """Others come in between any two calls of a writer."""
    alone = Scene(point)
    with alone.world.installed():
        calls_made = alone.set().run(first, None, None)
    for second in seconds:
        for call in range(1, calls_made):
            yield Meeting(point, first, second, call)


@pytest.mark.parametrize("first", WRITERS)
def test_second_writer_between_two_calls_of_the_first(
    first: str, record_property: Callable[[str, object], None]
) -> None:
    there_are = [
        meeting
        for point, writers in CAN_WRITE.items()
        if first in writers
        for meeting in meetings(point, first, sorted(writers))
    ]
    record_property(f"two writers, {first} first", f"{len(there_are)} meetings")
    assert there_are
    broken = [f"{meeting}: {said}" for meeting in there_are if (said := played(meeting))]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("point", "first", "others"), SEVERAL)
def test_several_writers_between_two_calls_of_the_first(point: str, first: str, others: str) -> None:
    broken = [f"{meeting}: {said}" for meeting in meetings(point, first, [others]) if (said := played(meeting))]
    assert not broken, "\n".join(broken)


def played(meeting: Meeting) -> str:
    """What broke in a meeting; nothing when all held."""
    scene = Scene(meeting.point)
    try:
        with scene.world.installed():
            scene.set().run(meeting.first, meeting.second, meeting.call)
            assert meeting.second in scene.answers, "the second writer never came in"
            scene.settle()
            check(scene)
    except Broken as broken:
        return str(broken)
    return ""


def check(scene: Scene) -> None:
    """What holds when all is over. Raises Broken."""
    ended = scene.world.invariants.counters.get(scene.campaign_id)
    if ended is None and (scene.rows() or scene.world.invariants.buried):
        raise Broken("the deleted campaign left rows")
    if ended and (ended.total and not scene._over()):
        raise Broken(f"never ended: {ended}")
    if any(row["state"]["S"] != CallState.DONE for row in scene.rows()):
        raise Broken("a call never reached a final state")
    if any("attemptId" in gate for gate in scene.world.database.tables[settings().phone_numbers_table].items.values()):
        raise Broken("an attempt stayed on a phone")
    _check_nobody_is_called_who_must_not_be(scene)
    _check_report(scene)
    _check_callback(scene)
    _check_contact(scene)
    _check_totals(scene)
    if any("phone" not in row for row in scene.world.database.tables[settings().contacts_table].items.values()):
        raise Broken("a contact that was deleted came back")
    _check_bar(scene)
    if scene.done("erase"):
        _check_erased(scene)


def _check_bar(scene: Scene) -> None:
    """A phone that was barred stays so, by its own row or, of an erased person, by its digest."""
    if not scene.done("bar_contact") or "move_contact" in scene.answers:
        return
    gate = scene.world.database.tables[settings().phone_numbers_table].items.get((ORGANIZATION, PHONE), {})
    if gate.get("status") != {"S": "DO_NOT_CALL"} and not contacts.barred(ORGANIZATION, [PHONE]):
        raise Broken("a phone is not barred any more")


def _check_erased(scene: Scene) -> None:
    """Nothing is left of an erased person but that there were calls."""
    tables = scene.world.database.tables
    if any(row["contactId"]["S"] == scene.contact_id for row in tables[settings().contacts_table].items.values()):
        raise Broken("an erased contact is still there")
    if {(ORGANIZATION, PHONE), (ORGANIZATION, NEW_PHONE)} & tables[settings().phone_numbers_table].items.keys():
        raise Broken("the phone of an erased person can be read")
    for call in map(calls.of_image, scene.rows()):
        if call.contact_id == scene.contact_id and (call.phone or any(each.outcome for each in call.attempts)):
            raise Broken(f"a call of an erased person tells who it was: {call}")


def _check_totals(scene: Scene) -> None:
    """The organization's totals are what a recount gives."""
    for kind, table, statuses in (
        (Kind.CONTACTS, settings().contacts_table, ContactStatus),
        (Kind.CAMPAIGNS, settings().campaigns_table, CampaignStatus),
    ):
        rows = scene.world.database.tables[table].items.values()
        found = Counter(row["status"]["S"] for row in rows if row["organizationId"]["S"] == ORGANIZATION)
        for status in statuses:
            if found[status] != total(kind, ORGANIZATION, status):
                raise Broken(f"{total(kind, ORGANIZATION, status)} {kind} are counted {status}, {found[status]} are")


def _check_nobody_is_called_who_must_not_be(scene: Scene) -> None:
    barring = ["bar_contact", "delete_contact", "erase", "delete_campaign"]
    if "enrol" not in scene.answers:
        barring.append("withdraw")
    for writer in barring:
        for answered in scene.done(writer):
            if scene.dialed_after(answered):
                raise Broken(f"dialed after {writer} was answered")


def _check_report(scene: Scene) -> None:
    """What the agent reported of the first call is in the call's history, unless the call was removed meanwhile."""
    if not scene.line.dials or "withdraw" in scene.answers or scene.done("erase"):
        return
    order = scene.line.dials[0][1]
    for call in map(calls.of_image, scene.rows()):
        booked = [each.outcome for each in call.attempts if each.attempt_id == order.call_id]
        if call.contact_id == order.contact_id and booked != ["reported"]:
            raise Broken(f"the agent's report is not booked: {booked}")


def _check_callback(scene: Scene) -> None:
    """A callback that is owed is made at its moment, to whoever may be called and was not called meanwhile."""
    others = {"withdraw", "erase", "redial", "bar_contact", "delete_contact", "delete_campaign"}
    if scene.point != "owed" or others & scene.answers.keys():
        return
    mine = [seconds for seconds, order in scene.line.dials if order.contact_id == scene.contact_id]
    if len(mine) != 2 or mine[1] < CALLBACK_SECONDS:
        raise Broken(f"the callback is not made at its moment: {mine}")


def _check_contact(scene: Scene) -> None:
    """The contact shows the conversation of its call that ended last."""
    people = scene.world.database.tables[settings().contacts_table].items
    for call in map(calls.of_image, scene.rows()):
        contact = people.get((ORGANIZATION, call.contact_id))
        if contact and call.attempts:
            last = max(call.attempts, key=lambda attempt: attempt.ended_at)
            shown = contact.get("lastConversationOutcome", {}).get("S")
            if shown != last.outcome:
                raise Broken(f"the contact shows {shown}, the last conversation came to {last.outcome}")
