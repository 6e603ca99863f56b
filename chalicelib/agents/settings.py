"""What can be set of voice agents, wherever it is set."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Identifier = Annotated[str, Meta(pattern=r"^\S{1,200}\Z", description="an id without spaces")]

CallerNumbers = Annotated[
    list[Annotated[str, Meta(pattern=r"^\S{1,200}\Z", description="a number or its id at the vendor, without spaces")]],
    Meta(min_length=1, max_length=100),
]

LongestTalk = Annotated[int, Meta(ge=10, le=7_200)]
"""Seconds of a conversation."""
