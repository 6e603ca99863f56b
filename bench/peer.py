"""The same two requests as a FastAPI author writes them: pydantic models, boto3, PyJWT, Mangum."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import boto3
import jwt
import phonenumbers
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field, field_validator

CREATED = "2026-11-23T06:15:00.000Z"


def stored(number: int) -> dict[str, Any]:
    """A contact's row, in DynamoDB's own JSON."""
    return {
        "organizationId": {"S": "1"},
        "contactId": {"S": f"01936f2e-0000-7000-8000-{number:012}"},
        "firstName": {"S": "John"},
        "lastName": {"S": "Doe"},
        "phone": {"S": f"+99890{1_000_000 + number}"},
        "dateOfBirth": {"S": "1990-01-15"},
        "customData": {"S": '{"totalDebt":5000,"remainingDebt":3000}'},
        "notes": {"S": "Cooperative customer"},
        "status": {"S": "ACTIVE"},
        "statusKey": {"S": "1#ACTIVE"},
        "isCalled": {"BOOL": False},
        "createdAt": {"S": CREATED},
        "updatedAt": {"S": CREATED},
    }


class NewContact(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid")

    firstName: str = Field(min_length=1, max_length=100)  # noqa: N815 (the API's names)
    lastName: str = Field(default="", max_length=100)  # noqa: N815
    phone: str
    dateOfBirth: date | None = None  # noqa: N815
    customData: dict[str, Any] | None = None  # noqa: N815
    notes: str | None = None

    @field_validator("phone")
    @classmethod
    def as_e164(cls, text: str) -> str:
        number = phonenumbers.parse(text, "UZ")
        if not phonenumbers.is_possible_number(number):
            raise ValueError("not a phone number")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Contact(NewContact):
    """What a client gets."""

    id: str
    organizationId: str  # noqa: N815
    status: Literal["ACTIVE", "INACTIVE", "COMPLETED", "DO_NOT_CALL"] = "ACTIVE"
    isCalled: bool = False  # noqa: N815
    lastConversationOutcome: str | None = None  # noqa: N815
    lastCalledAt: str | None = None  # noqa: N815
    createdAt: str  # noqa: N815
    updatedAt: str  # noqa: N815


class Meta(BaseModel):
    """Where in a list a page is."""

    page: int
    limit: int
    total: int
    totalPages: int  # noqa: N815
    nextCursor: str | None  # noqa: N815


class Contacts(BaseModel):
    """A page of contacts."""

    data: list[Contact]
    meta: Meta


def handler(secret: str, canned: Callable[..., Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The application as a Lambda handler, its DynamoDB answering by `canned`."""
    app, client = FastAPI(), boto3.client("dynamodb")
    client.meta.events.register("before-call", canned, unique_id="bench")
    serialize, deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize

    def organization(request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            raise HTTPException(401)
        try:
            claims = jwt.decode(token, secret, ["HS256"], options={"require": ["exp"]})
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None
        return str(claims["organizationId"])

    who = Annotated[str, Depends(organization)]

    def contact(item: dict[str, Any]) -> Contact:
        row = {name: deserialize(value) for name, value in item.items()}
        custom = row.pop("customData", None)
        row.pop("statusKey")
        return Contact(id=row.pop("contactId"), customData=custom and json.loads(custom), **row)

    @app.get("/auto-calling/contacts")
    def page(
        organization_id: who, page: Annotated[int, Query(ge=1)] = 1, limit: Annotated[int, Query(ge=1, le=100)] = 50
    ) -> Contacts:
        key = {":o": {"S": organization_id}}
        found = client.query(
            TableName="Contacts",
            KeyConditionExpression="organizationId = :o",
            ExpressionAttributeValues=key,
            ScanIndexForward=False,
            Limit=limit + 1,
        )
        counted = client.query(
            TableName="Counters", KeyConditionExpression="organizationId = :o", ExpressionAttributeValues=key
        )
        total = sum(int(deserialize(row["ACTIVE"])) for row in counted["Items"])
        data = [contact(item) for item in found["Items"]]
        return Contacts(
            data=data, meta=Meta(page=page, limit=limit, total=total, totalPages=-(-total // limit), nextCursor=None)
        )

    @app.post("/auto-calling/contacts", status_code=201)
    def add(new: NewContact, organization_id: who, response: Response) -> Contact:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made = Contact(
            id=str(uuid.uuid4()), organizationId=organization_id, createdAt=now, updatedAt=now, **new.model_dump()
        )
        row = made.model_dump(mode="json", exclude_none=True)
        row["contactId"] = row.pop("id")
        row["customData"] = str(row.get("customData"))
        gate = {"organizationId": organization_id, "phone": made.phone, "contactId": made.id, "status": "ACTIVE"}
        client.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": "Contacts", "Item": {k: serialize(v) for k, v in row.items()}}},
                {
                    "Put": {
                        "TableName": "PhoneNumbers",
                        "Item": {k: serialize(v) for k, v in gate.items()},
                        "ConditionExpression": "attribute_not_exists(phone)",
                    }
                },
                {
                    "Update": {
                        "TableName": "Counters",
                        "Key": {"organizationId": {"S": organization_id}, "shard": {"N": "0"}},
                        "UpdateExpression": "ADD ACTIVE :one",
                        "ExpressionAttributeValues": {":one": {"N": "1"}},
                    }
                },
            ]
        )
        response.headers["Location"] = f"/auto-calling/contacts/{made.id}"
        return made

    adapter = Mangum(app, lifespan="off")
    return lambda event: adapter(event, SimpleContext())  # type: ignore[arg-type]


class SimpleContext:
    """As much of a Lambda context as Mangum looks at."""

    aws_request_id = "bench"
