"""The bucket: files in, files out, and addresses by which browsers fetch and send them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from chalicelib.aws import clients
from chalicelib.errors import Conflict, NotFound
from chalicelib.settings import settings

LINK_SECONDS = 3600
"""How long a presigned address works."""


class Stored(Struct, frozen=True):
    """When a file was stored, its metadata, and a tag that differs for other content."""

    at: datetime
    metadata: dict[str, str]
    tag: str


@functools.cache
def _s3() -> Any:
    client = clients.client("s3")
    clients.raise_unavailable(client.meta.events.register)
    return client


@functools.cache
def _signer() -> Any:
    """A client whose addresses are the region's own: the global one answers with redirects while a bucket is young."""
    client = clients.client("s3", signature_version="s3v4")
    if ".amazonaws." not in client.meta.endpoint_url:
        return client
    regional = {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}
    return clients.client("s3", signature_version="s3v4", s3=regional)


def put(key: str, content: bytes | Path, **metadata: str) -> None:
    """Store a file of content or of a file's content."""
    if isinstance(content, bytes):
        _s3().put_object(Bucket=settings().bucket, Key=key, Body=content, Metadata=metadata)
        return
    with content.open("rb") as body:
        _s3().put_object(Bucket=settings().bucket, Key=key, Body=body, Metadata=metadata)


def fetch(key: str, to: Path) -> None:
    """Copy a stored file to a local one. Raises NotFound."""
    try:
        body = _s3().get_object(Bucket=settings().bucket, Key=key)["Body"]
    except _s3().exceptions.NoSuchKey:
        raise NotFound("The file is gone.") from None
    with to.open("wb") as file:
        for block in body.iter_chunks(1 << 20):
            file.write(block)


def replace(key: str, content: bytes, old: Stored | None, **metadata: str) -> None:
    """Store a file in place of one of other content, or of none. Raises Conflict when that is no longer what is there.

    See https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """
    condition = {"IfMatch": old.tag} if old else {"IfNoneMatch": "*"}
    try:
        _s3().put_object(Bucket=settings().bucket, Key=key, Body=content, Metadata=metadata, **condition)
    except _s3().exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 409, 412):
            raise
        raise Conflict from None


def stored(key: str) -> Stored | None:
    """What is known of a stored file; None when there is none."""
    try:
        head = _s3().head_object(Bucket=settings().bucket, Key=key)
    except _s3().exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return None
    return Stored(head["LastModified"], head["Metadata"], head["ETag"])


def files(prefix: str) -> Iterator[tuple[str, datetime]]:
    """The keys of the stored files that begin so, in their order, and when each was stored."""
    for page in _s3().get_paginator("list_objects_v2").paginate(Bucket=settings().bucket, Prefix=prefix):
        yield from ((each["Key"], each["LastModified"]) for each in page.get("Contents", []))


def delete(key: str) -> None:
    """Remove a file, if it is there."""
    _s3().delete_object(Bucket=settings().bucket, Key=key)


def link(key: str, file_name: str) -> str:
    """An address from which a browser downloads a file under a name, for an hour."""
    disposition = f"attachment; filename*=UTF-8''{quote(file_name)}"
    parameters = {"Bucket": settings().bucket, "Key": key, "ResponseContentDisposition": disposition}
    address: str = _signer().generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_SECONDS)
    return address


def form(key: str, content_type: str, largest: int) -> dict[str, Any]:
    """`url` and `fields` of a form by which a browser sends a file of a type and size, within an hour."""
    kind = {"Content-Type": content_type}
    post: dict[str, Any] = _signer().generate_presigned_post(
        settings().bucket,
        key,
        Fields=kind,
        Conditions=[kind, ["content-length-range", 1, largest]],
        ExpiresIn=LINK_SECONDS,
    )
    return post
