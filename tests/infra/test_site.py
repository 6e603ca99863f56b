"""The files of the page that shows the API."""

from __future__ import annotations

import re
from typing import Any

from infra import site


class Bucket:
    """S3, as far as a page is put there."""

    def __init__(self) -> None:
        self.put: dict[str, dict[str, Any]] = {}

    def client(self, _: str) -> Bucket:
        return self

    def put_object(self, *, Key: str, **what: Any) -> None:  # noqa: N803 (boto3's)
        self.put[Key] = what


def test_page_has_all_the_files_that_it_names() -> None:
    files = site.files()
    page = files["docs"].source.read_text()
    named = re.findall(r'(?:src|rel="stylesheet" href)="/([^"]+)"', page)
    assert named
    assert set(named) <= files.keys()
    assert all(file.source.stat().st_size for file in files.values())
    assert "Apache License" in files["docs/LICENSE"].source.read_text()


def test_page_is_put_into_the_bucket_that_the_site_reads() -> None:
    bucket = Bucket()
    site.publish(bucket, "console")
    assert bucket.put.keys() == site.files().keys()
    assert {each["Bucket"] for each in bucket.put.values()} == {"console"}
    assert bucket.put["docs"]["ContentType"].startswith("text/html")
    assert b"SwaggerUIBundle" in bucket.put["docs/viewer.js"]["Body"]
