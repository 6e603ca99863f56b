"""Identifiers: UUIDv7 (RFC 9562), which sort by the millisecond they were made in."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Annotated

import uuid_utils
from msgspec import Meta

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


def new_id() -> str:
    """A fresh UUIDv7 in its canonical text form."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    """Whether `text` is a UUID in canonical form."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def packed(ids: Iterable[str]) -> bytes:
    """UUIDs in their canonical text form as the bytes they are, 16 each."""
    return b"".join(uuid.UUID(each).bytes for each in ids)


def unpacked(ids: bytes) -> Iterator[str]:
    """The UUIDs that were packed."""
    return (str(uuid.UUID(bytes=ids[start : start + 16])) for start in range(0, len(ids), 16))
