"""The OpenAPI document: made of the routes as they are registered and the types that check bodies and make answers.

https://spec.openapis.org/oas/v3.1.1
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any

import msgspec
from chalice.app import Response
from msgspec import UNSET, Struct, UnsetType
from msgspec.inspect import DictType, ListType, Metadata, StructType, Type, UnionType, multi_type_info
from msgspec.structs import fields

from chalicelib import errors, http
from chalicelib.bodies import Body
from chalicelib.http import (
    BASE,
    JSON_TYPES,
    MAX_LIMIT,
    MAX_LISTED,
    NEWEST_FIRST,
    OLDEST_FIRST,
    PROBLEMS,
    PROTECTION,
    Operation,
    Request,
)
from chalicelib.ids import Id
from chalicelib.settings import settings

Schema = dict[str, Any]

routes = http.Routes(__name__)

SCHEMA, RESPONSE, HEADER = (f"#/components/{kind}/" for kind in ("schemas", "responses", "headers"))
"""What references begin with."""

ABOUT = """Campaigns of calls by AI voice agents: contacts, imports, campaigns, their calls and results.

Every request carries a bearer token whose `organizationId` says whose data it is about; those of others are not found.
Times are ISO 8601 in UTC, phones E.164. A POST with an `Idempotency-Key` can be repeated for 24 hours: it is answered
as it was the first time, and nothing happens twice. Where tokens tell roles, each operation says which is the least for
it. Errors are problems as RFC 9457 has them, with a stable `code`."""

TAGS = {
    "contacts": "People who may be called.",
    "imports": "Workbooks that become contacts.",
    "campaigns": "Who is called when, by which agent, and what came of it.",
    "settings": "How an organization calls.",
    "agents": "What voice agents report.",
    "activity": "Who did what.",
    "service": "The API itself.",
}

TEXTS_IN_PATHS = {
    "provider": "The voice agent's provider, such as http.",
    "organizationId": "The organization whose agent it is.",
}
"""Parts of paths that are no ids."""

KEY = "A name for this request by which it can be repeated."
SORTING = {
    "type": "string",
    "enum": [NEWEST_FIRST, OLDEST_FIRST],
    "default": NEWEST_FIRST,
    "x-enum-varnames": ["NEWEST_FIRST", "OLDEST_FIRST"],
}
"""With names for clients that are generated: most generators know these."""

PAGE = f"page × limit goes to {MAX_LISTED}; beyond that, cursor."
SORT = "By when they were made: the newest first, or the oldest."
CURSOR = "The nextCursor of an earlier page, to go on after it."

EVERYWHERE = (
    errors.InvalidParameter,
    errors.TooLarge,
    errors.UnsupportedMediaType,
    errors.Conflict,
    errors.Unavailable,
)
"""What any request may meet: the first three by how it is written, the others by how busy the deployment is."""

INTERNAL = (500, "internal", "Internal error")

OF_STATUS = {401: ("WWW-Authenticate",), 409: ("Retry-After",), 429: ("Retry-After",), 503: ("Retry-After",)}
"""Headers that problems have besides those of every answer."""

HEADERS = {
    **dict.fromkeys(PROTECTION, "Of every answer."),
    "Location": "Where what was made can be looked at.",
    "ETag": "Names what people have written of it as it is now; for If-Match.",
    "Idempotent-Replayed": "True for an answer that was given to an earlier request with this Idempotency-Key.",
    "Retry-After": "Seconds after which to ask again.",
    "WWW-Authenticate": "How to authenticate.",
}


class FieldProblem(Struct):
    """What is wrong in a body or parameter, and where."""

    field: str
    message: str


class Problem(Struct, rename="camel"):
    """What went wrong, as RFC 9457 has it. `code` is stable; `requestId` finds the line in the log.

    `contactId` is of the contact that has the phone already.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] | UnsetType = UNSET
    contact_id: Id | UnsetType = UNSET


class Meta(Struct, rename="camel"):
    """Which page of a list this is. `total` counts all that match; `nextCursor` is null on the last page.

    `truncated` says that the page holds fewer than it could, so as to fit into an answer.
    """

    limit: int
    total: int
    total_pages: int
    next_cursor: str | None
    page: int | UnsetType = UNSET
    truncated: bool | UnsetType = UNSET


class CursorMeta(Struct, rename="camel"):
    """Where a list that is not counted goes on: `nextCursor` is null on the last page, and a page may have fewer values
    than it could, also none, and yet a next one.
    """

    limit: int
    next_cursor: str | None
    truncated: bool | UnsetType = UNSET


@routes.get(f"{BASE}/openapi.json", "getOpenApi", role=http.ANYBODY, answers={200: dict[str, Any]})
def show(_: Request) -> Response:
    """Read this document."""
    return http.ok(_served())


@functools.cache
def _served() -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document(http.Routes.operations, settings().version)))


def document(operations: Sequence[Operation], version: str) -> Schema:
    """The document of operations."""
    operations = [each.typed() for each in operations]
    schemas, components = _schemas(operations)
    by_path = groupby(sorted(operations, key=lambda each: each.path), key=lambda each: each.path)
    paths = {path: {each.method.lower(): _operation(each, schemas) for each in those} for path, those in by_path}
    problems = {
        _title(code): _problem(status, [(code, title)]) for status, code, title in (*PROBLEMS.values(), INTERNAL)
    }
    referred = set(references(paths))
    tags = set(map(_tag, operations))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Auto-calling", "version": version, "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in TAGS.items() if name in tags],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {name: each for name, each in problems.items() if RESPONSE + name in referred},
            "headers": {name: {"description": about, "schema": {"type": "string"}} for name, about in HEADERS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(of: Operation, schemas: Mapping[Any, Schema]) -> Schema:
    about = inspect.getdoc(of.view) or ""
    whose = f"{about}\n\nRole: {of.role}." if of.role else about
    described: Schema = {
        "operationId": of.name,
        "tags": [_tag(of)],
        "summary": re.split(r"[.;:] ", about)[0].rstrip("."),
        "description": whose,
        "parameters": [*_parameters(of, schemas)],
        "responses": _responses(of, schemas),
    }
    described["security"] = [{"token": [of.role]}] if of.role else []
    if kind := of.form or of.body:
        described["requestBody"] = _sent(of, kind, schemas)
    return described


def _tag(of: Operation) -> str:
    first = of.path.removeprefix(BASE).split("/")[1]
    return first if first in TAGS else "service"


def _parameters(of: Operation, schemas: Mapping[Any, Schema]) -> Iterator[Schema]:
    for name in _names_in_path(of):
        if name in TEXTS_IN_PATHS:
            yield _parameter("path", name, {"type": "string"}, TEXTS_IN_PATHS[name])
        else:
            yield _parameter("path", name, {"type": "string", "format": "uuid"})
    for name, schema in schemas[of.query]["properties"].items():
        yield _parameter("query", name, _present(schema))
    if of.lists is not None:
        page = {"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "default": 1}
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": of.limit}
        if of.is_counted:
            yield _parameter("query", "page", page, PAGE)
        yield _parameter("query", "limit", limit)
        yield _parameter("query", "cursor", {"type": "string", "minLength": 1}, CURSOR)
    if of.sorts:
        yield _parameter("query", "sort", SORTING, SORT)
    if of.is_kept:
        key = {"type": "string", "minLength": 1, "maxLength": http.MAX_KEY}
        yield _parameter("header", "Idempotency-Key", key, KEY)
    for name, about in of.headers.items():
        yield _parameter("header", name, {"type": "string"}, about)


def _parameter(place: str, name: str, schema: Schema, about: str = "") -> Schema:
    described = {"in": place, "name": name, "required": place == "path", "schema": schema}
    return described | {"description": about} if about else described


def _names_in_path(of: Operation) -> list[str]:
    return re.findall(r"\{(\w+)\}", of.path)


def _present(schema: Schema) -> Schema:
    """The schema of a parameter that is there: one that is left out is null, and none is empty."""
    present: Schema = next((each for each in schema.get("anyOf", ()) if each != {"type": "null"}), schema)
    return present | {"minLength": 1} if present.get("type") == "string" else present


def _sent(of: Operation, kind: Any, schemas: Mapping[Any, Schema]) -> Schema:
    content: Schema = {"schema": schemas[kind]}
    if of.example is not None:
        content["example"] = of.example
    types = ("multipart/form-data",) if of.form else JSON_TYPES if of.method == "PATCH" else JSON_TYPES[:1]
    return {"required": of.method != "PATCH", "content": dict.fromkeys(types, content)}


def _responses(of: Operation, schemas: Mapping[Any, Schema]) -> Schema:
    problems: dict[int, dict[str, str]] = {}
    for status, code, title in (*map(PROBLEMS.__getitem__, _failures(of)), INTERNAL):
        problems.setdefault(status, {})[code] = title
    answers = {str(status): _answer(of, status, kind, schemas) for status, kind in of.answers.items()}
    if of.lists is not None:
        answers["200"] = _answered(200, {"$ref": SCHEMA + _page(of.lists)})
    return answers | {
        str(status): _problem(status, [*codes.items()])
        if len(codes) > 1
        else {"$ref": RESPONSE + _title(next(iter(codes)))}
        for status, codes in sorted(problems.items())
    }


def _failures(of: Operation) -> Iterator[type[errors.Failure]]:
    yield from EVERYWHERE
    yield from of.raises
    if not of.public:
        yield errors.Unauthorized
        yield errors.Forbidden
    if of.body or of.form:
        yield errors.InvalidBody
    if _names_in_path(of):
        yield errors.NotFound
    if of.is_kept:
        yield errors.IdempotencyConflict
    if "If-Match" in of.headers:
        yield errors.PreconditionFailed


def _page(kind: type[Struct]) -> str:
    """The name of a page of values of a type."""
    return f"{_public(kind.__name__)}Page"


def _page_of(kind: type[Struct], value: Schema, meta: type[Struct]) -> Schema:
    return {
        "title": _page(kind),
        "description": f"A page of a list whose values are each of {_public(kind.__name__)}.",
        "type": "object",
        "properties": {"data": {"type": "array", "items": value}, "meta": {"$ref": SCHEMA + meta.__name__}},
        "required": ["data", "meta"],
    }


def _answer(of: Operation, status: int, kind: Any, schemas: Mapping[Any, Schema]) -> Schema:
    told = {"Location": of.locates, "ETag": of.tags, "Idempotent-Replayed": of.is_kept}
    return _answered(
        status, None if kind is None else schemas[kind], [name for name, is_told in told.items() if is_told]
    )


def _answered(status: int, schema: Schema | None, more_headers: Sequence[str] = ()) -> Schema:
    described: Schema = {"description": HTTPStatus(status).phrase, "headers": _headers(*more_headers)}
    return described if schema is None else described | {"content": {"application/json": {"schema": schema}}}


def _problem(status: int, codes: Sequence[tuple[str, str]]) -> Schema:
    return {
        "description": "; ".join(f"{title} (`{code}`)" for code, title in codes) + ".",
        "headers": _headers(*OF_STATUS.get(status, ())),
        "content": {
            "application/problem+json": {
                "schema": {
                    "allOf": [{"$ref": f"{SCHEMA}Problem"}],
                    "properties": {"status": {"const": status}, "code": {"enum": [code for code, _ in codes]}},
                }
            }
        },
    }


def _headers(*more: str) -> Schema:
    return {name: {"$ref": HEADER + name} for name in (*PROTECTION, *more)}


def _title(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("-"))


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Any, Schema], Schema]:
    """The schema of every type that operations name, and the components that those lead to."""
    sent = [kind for of in operations for kind in (of.query, of.form, of.body) if kind is not None]
    told = [kind for of in operations for kind in (of.lists, *of.answers.values()) if kind is not None]
    kinds = [*sent, *told, Problem, Meta, CursorMeta]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=f"{SCHEMA}{{name}}")
    named = {each.__name__: each for each in _structs(kinds)}
    taken = _structs(sent)
    for name, kind in named.items():
        components[name] |= getattr(kind, "rules", {})
        if kind not in taken:
            _complete(components[name], kind)
        elif issubclass(kind, Body):
            _with_defaults(components[name], kind)
    inline = dict(zip(kinds, map(_adapted, schemas), strict=True))
    queries = {of.query: _adapted(components.pop(of.query.__name__, {"properties": {}})) for of in operations}
    pages = {
        _page(of.lists): _page_of(of.lists, inline[of.lists], Meta if of.is_counted else CursorMeta)
        for of in operations
        if of.lists is not None
    }
    public = pages | {_public(name): _adapted(schema) for name, schema in components.items()}
    return inline | queries, dict(sorted(public.items()))


def _structs(kinds: Sequence[Any]) -> set[type[Struct]]:
    """The Structs that types lead to."""
    found: set[type[Struct]] = set()
    ahead: list[Type] = [*multi_type_info(kinds)]
    while ahead:
        match ahead.pop():
            case StructType(cls=cls, fields=members) if cls not in found:
                found.add(cls)
                ahead += [each.type for each in members]
            case UnionType(types=types):
                ahead += types
            case ListType(item_type=inner) | Metadata(type=inner) | DictType(value_type=inner):
                ahead.append(inner)
    return found


def _complete(schema: Schema, kind: type[Struct]) -> None:
    """An answer says all of its members, whatever their defaults are, but those that may be unset."""
    schema["required"] = [each.encode_name for each in fields(kind) if each.default is not UNSET]
    for each in schema["properties"].values():
        each.pop("default", None)


def _with_defaults(schema: Schema, kind: type[Body]) -> None:
    """What a body that makes something leaves out is as the thing has it."""
    for each in fields(kind.about) if schema["required"] else ():
        if isinstance(each.default, str | int):
            schema["properties"][each.encode_name]["default"] = each.default


def _adapted(schema: Any) -> Any:
    """JSON Schema as the document has it: patterns of ECMAScript, the names that people know."""
    match schema:
        case {"$ref": str(name)}:
            return schema | {"$ref": _public(name)}
        case {"pattern": str(pattern)}:
            return {name: _adapted(each) for name, each in schema.items()} | {"pattern": _ecmascript(pattern)}
        case {"title": str(title)}:
            return {name: _adapted(each) for name, each in schema.items() if name != "title"} | {
                "title": _public(title)
            }
        case dict():
            return {name: _adapted(each) for name, each in schema.items()}
        case list():
            return [*map(_adapted, schema)]
        case _:
            return schema


def _ecmascript(pattern: str) -> str:
    """A pattern of ours as ECMAScript has it, to which four controls and NEL are no space."""
    return pattern.replace(r"\Z", "$").replace(r"\S", r"[^\s\x1c-\x1f\x85]")


def references(of: Any) -> Iterator[str]:
    """Where the references in a part of a document lead."""
    if isinstance(of, dict):
        if isinstance(of.get("$ref"), str):
            yield of["$ref"]
        of = list(of.values())
    if isinstance(of, list):
        for each in of:
            yield from references(each)


def _public(name: str) -> str:
    """A type's name without what tells it from the thing as it is kept."""
    return name.removesuffix("View")
