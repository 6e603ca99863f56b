"""Files on their way in: workbooks, the form that carries one, and what S3 tells of an object."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import quote_plus

HEADER = ("firstName", "lastName", "phone", "dateOfBirth", "customData (JSON string)", "notes")
"""The guide's columns."""

BOUNDARY = "----a-boundary-of-the-tests"


def workbook(*rows: tuple[Any, ...], header: tuple[Any, ...] = HEADER) -> bytes:
    """An .xlsx with a header and rows."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Contacts")
    for row in (header, *rows):
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def form(content: bytes, file_name: str, **fields: str) -> tuple[bytes, str]:
    """A multipart form with a file, and its content type."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    head = f'Content-Disposition: form-data; name="file"; filename="{file_name}"\r\nContent-Type: {kind}\r\n\r\n'
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    parts.append(head.encode() + content)
    body = b"".join(f"--{BOUNDARY}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={BOUNDARY}"


def notification(
    key: str, *, size: int = 1024, sequencer: str = "0055AED6DCD90281E5", at: str = "2026-11-23T06:15:00.123Z"
) -> dict[str, Any]:
    """What S3 tells a queue of an object that was made; its key is URL-encoded.

    Shape: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "eu-central-1",
                "eventTime": at,
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": "AWS:AROAEXAMPLE:api"},
                "requestParameters": {"sourceIPAddress": "203.0.113.7"},
                "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "imports",
                    "bucket": {
                        "name": "autocall-test",
                        "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                        "arn": "arn:aws:s3:::autocall-test",
                    },
                    "object": {
                        "key": quote_plus(key, safe="/"),
                        "size": size,
                        "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                        "sequencer": sequencer,
                    },
                },
            }
        ]
    }


TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-11-23T06:15:00.123Z",
    "Bucket": "autocall-test",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}
"""What S3 sends once, when a bucket's notifications are set up."""
