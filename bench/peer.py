"""The peer: the same two routes in FastAPI, as its authors write them: pydantic models, dependencies, boto3.

It reads the same rows, makes the same requests to DynamoDB and refuses the same input. Its views are plain functions,
as FastAPI asks for those that wait for a library such as boto3: https://fastapi.tiangolo.com/async/
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import time
import zlib
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import available_timezones

import boto3
import jwt
import phonenumbers
import uuid_utils
from boto3.dynamodb.conditions import Key
from fastapi import Depends, FastAPI, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from mangum import Mangum
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

COUNTERS = ("contacts_active", "contacts_inactive", "contacts_completed", "contacts_do_not_call")

app = FastAPI()
handler = Mangum(app, lifespan="off")
bearer = HTTPBearer()


class ContactStatus(StrEnum):
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    COMPLETED = "COMPLETED"
    DO_NOT_CALL = "DO_NOT_CALL"


def known_timezone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("there is no such time zone")
    return name


Timezone = Annotated[str, AfterValidator(known_timezone)]


class NewContact(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    first_name: str = Field(min_length=1, max_length=100)
    last_name: str | None = Field(None, max_length=100)
    phone: str
    date_of_birth: date | None = None
    custom_data: dict[str, Any] | None = None
    notes: str | None = Field(None, max_length=10_000)
    timezone: Timezone | None = None
    status: ContactStatus = ContactStatus.ACTIVE
    last_conversation_outcome: str | None = Field(None, max_length=1_000)


class Contact(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    id: str
    organization_id: str
    first_name: str
    last_name: str = ""
    phone: str
    date_of_birth: date | None = None
    custom_data: dict[str, Any] | None = None
    notes: str | None = None
    timezone: str | None = None
    status: ContactStatus
    is_called: bool = False
    last_conversation_outcome: str | None = None
    last_called_at: str | None = None
    created_at: str
    updated_at: str


class Meta(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    page: int
    limit: int
    total: int
    total_pages: int
    next_cursor: str | None


class Page(BaseModel):
    data: list[Contact]
    meta: Meta


@functools.cache
def dynamodb() -> Any:
    return boto3.resource("dynamodb")


@functools.cache
def table(variable: str) -> Any:
    return dynamodb().Table(os.environ[variable])


@functools.cache
def secret(variable: str) -> str:
    found = boto3.client("ssm").get_parameter(Name=os.environ[variable], WithDecryption=True)
    value: str = found["Parameter"]["Value"]
    return value


async def organization(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    try:
        claims = jwt.decode(
            credentials.credentials, secret("JWT_SECRET_PARAMETER"), ["HS256"], options={"require": ["exp"]}
        )
    except jwt.InvalidTokenError:
        raise HTTPException(401, "The token is not valid.") from None
    if "organizationId" not in claims:
        raise HTTPException(401, "The token has no organizationId claim.")
    return str(claims["organizationId"])


Organization = Annotated[str, Depends(organization)]


@app.get("/auto-calling/contacts")
def show_all(
    organization_id: Organization,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Page:
    mine = Key("organizationId").eq(organization_id)
    items = table("CONTACTS_TABLE").query(KeyConditionExpression=mine, ScanIndexForward=False, Limit=limit + 1)["Items"]
    shards = table("COUNTERS_TABLE").query(KeyConditionExpression=mine, ConsistentRead=True)["Items"]
    total = int(sum(shard.get(counter, 0) for shard in shards for counter in COUNTERS))
    return Page(
        data=[contact(item) for item in items[:limit]],
        meta=Meta(
            page=page,
            limit=limit,
            total=total,
            total_pages=-(-total // limit),
            next_cursor=items[limit - 1]["contactId"] if len(items) > limit else None,
        ),
    )


def contact(item: dict[str, Any]) -> Contact:
    custom_data = json.loads(item["customData"]) if "customData" in item else None
    return Contact(**(item | {"id": item["contactId"], "customData": custom_data}))


@app.post("/auto-calling/contacts", status_code=201)
def create(new: NewContact, organization_id: Organization, response: Response) -> Contact:
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    phone = e164(new.phone)
    barred, countries = rules(organization_id, phone)
    check_callable(phone, countries)
    fields = new.model_dump() | {"phone": phone, "last_name": new.last_name or ""}
    if barred:
        fields["status"] = ContactStatus.DO_NOT_CALL
    made = Contact(id=str(uuid_utils.uuid7()), organization_id=organization_id, created_at=at, updated_at=at, **fields)
    table("ACTIVITY_TABLE").put_item(Item=activity(made))
    dynamodb().meta.client.transact_write_items(TransactItems=writes(made))
    response.headers["Location"] = f"/auto-calling/contacts/{made.id}"
    return made


def writes(made: Contact) -> list[dict[str, Any]]:
    """The contact, its phone, and one more contact in a counter."""
    item = made.model_dump(mode="json", by_alias=True, exclude={"id"}, exclude_none=True)
    item |= {"contactId": made.id, "statusKey": f"{made.organization_id}#{made.status}"}
    if made.custom_data is not None:
        item["customData"] = json.dumps(made.custom_data)
    owned = {"organizationId": made.organization_id, "phone": made.phone, "contactId": made.id, "status": made.status}
    shard = {"organizationId": made.organization_id, "shard": zlib.crc32(made.id.encode()) % 16}
    return [
        {
            "Put": {
                "TableName": os.environ["CONTACTS_TABLE"],
                "Item": item,
                "ConditionExpression": "attribute_not_exists(contactId)",
            }
        },
        {
            "Put": {
                "TableName": os.environ["PHONE_NUMBERS_TABLE"],
                "Item": owned,
                "ConditionExpression": "attribute_not_exists(phone)",
            }
        },
        {
            "Update": {
                "TableName": os.environ["COUNTERS_TABLE"],
                "Key": shard,
                "UpdateExpression": "ADD #counter :one",
                "ExpressionAttributeNames": {"#counter": f"contacts_{made.status.lower()}"},
                "ExpressionAttributeValues": {":one": 1},
            }
        },
    ]


def activity(made: Contact) -> dict[str, Any]:
    """That somebody made a contact, kept for a year."""
    return {
        "organizationId": made.organization_id,
        "activityId": str(uuid_utils.uuid7()),
        "at": made.created_at,
        "action": "contact.created",
        "contactId": made.id,
        "fields": sorted(made.model_fields_set),
        "expiresAt": int(time.time()) + 366 * 24 * 3600,
    }


def rules(organization_id: str, phone: str) -> tuple[bool, list[str] | None]:
    """Whether an erased person wanted no calls at a phone, and where the organization calls; None: everywhere."""
    key = secret("BARRED_PHONES_KEY_PARAMETER").encode()
    digest = hmac.new(key, f"{organization_id}\n{phone}".encode(), hashlib.sha256).hexdigest()
    names = os.environ["PHONE_NUMBERS_TABLE"], os.environ["SETTINGS_TABLE"]
    keys = {"phone": f"#{digest}"}, {"name": "calling"}
    wanted = {
        name: {"Keys": [{"organizationId": organization_id, **key}], "ConsistentRead": True}
        for name, key in zip(names, keys, strict=True)
    }
    found = dynamodb().batch_get_item(RequestItems=wanted)["Responses"]
    own: dict[str, Any] = next(iter(found[names[1]]), {})
    return bool(found[names[0]]), json.loads(own["allowedCountries"]) if "allowedCountries" in own else None


def e164(text: str) -> str:
    try:
        number = phonenumbers.parse(text, "UZ")
    except phonenumbers.NumberParseException:
        raise HTTPException(422, "phone: expected a phone number") from None
    if not phonenumbers.is_valid_number(number):
        raise HTTPException(422, "phone: there is no such phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def check_callable(phone: str, countries: list[str] | None) -> None:
    number = phonenumbers.parse(phone)
    if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.PREMIUM_RATE:
        raise HTTPException(422, "phone: calls to it are costly")
    if countries is not None and phonenumbers.region_code_for_number(number) not in countries:
        raise HTTPException(422, f"phone: only numbers of {', '.join(countries)} are called")
