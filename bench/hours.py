"""What do calling hours cost? A pacer's look at people all over the world, and a dialer's look at one of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from chalicelib.campaigns import hours
from chalicelib.clock import timezones
from chalicelib.contacts.model import Contact
from chalicelib.organizations.model import CONTACT, CallingHours, Window

ZONES = 100
"""Of one campaign: as good as all that differ."""

LOOKS = 200
GOAL_MS = 1.0
PHONES = ("+998901234567", "+79161234567", "+447400123456", "+14155552671")
NOW = datetime(2026, 11, 24, 6, tzinfo=UTC)
IN_TASHKENT = "Asia/Tashkent"


def milliseconds(look: Callable[[datetime], object]) -> float:
    """How long a processor works at one of many looks, a minute after the other."""
    look(NOW)
    started = time.process_time()
    for n in range(LOOKS):
        look(NOW + timedelta(minutes=n))
    return (time.process_time() - started) / LOOKS * 1_000


def main() -> bool:
    """Print what the looks cost; whether the goal is met."""
    days = ["MON", "TUE", "WED", "THU", "FRI"]
    windows = [
        Window(days, "08:00", "13:00"),
        Window(days, "14:00", "22:00"),
        Window(["SAT", "SUN", "HOLIDAY"], "09:00", "20:00"),
    ]
    own = CallingHours(CONTACT, windows=windows, holidays=["2027-01-02"], holiday_country="RU")
    places = sorted(timezones().values())[::5][:ZONES]
    at = "2026-11-24T06:00:00.000Z"
    people = [
        Contact(organization_id="1", contact_id="c", first_name="Ali", phone=phone, created_at=at, updated_at=at)
        for phone in PHONES
    ]
    step = milliseconds(lambda now: [hours.opening(own, now, place, IN_TASHKENT) for place in places])
    call = max(milliseconds(partial(hours.zone, own, person)) for person in people)
    print(f"hours: {len(places)} time zones looked at in {step:.2f} ms, a contact's found in {call:.3f} ms")
    print(f"  goal < {GOAL_MS:.0f} ms each; windows worked out: {hours.window.cache_info().misses}")
    return max(step, call) < GOAL_MS
