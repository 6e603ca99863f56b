"""Whether the deployment answers as its OpenAPI document says it does."""

from __future__ import annotations

import functools
import re
from collections.abc import ItemsView, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from msgspec.structs import force_setattr

from chalicelib import http, openapi

BODYS = {"content-type"}
"""What is described with a body."""

OF_CORS = re.compile(r"access-control-.*|vary")
"""Headers that only another origin's pages are told."""


@functools.cache
def document() -> dict[str, Any]:
    return openapi.document(http.Routes.operations, "tests")


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    """The literal ones first: /imports/template is no import."""
    by_names = sorted(document()["paths"].items(), key=lambda each: each[0].count("{"))
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), those) for path, those in by_names]


@functools.cache
def _validator(path: int, method: str, status: str) -> Draft202012Validator | None:
    """What checks an answer's body; None for one that has none."""
    response = _response(path, method, status)
    [schema] = [each["schema"] for each in response.get("content", {}).values()] or [None]
    if schema is None:
        return None
    return Draft202012Validator({**schema, "components": document()["components"]}, format_checker=FormatChecker())


def _response(path: int, method: str, status: str) -> dict[str, Any]:
    described = _paths()[path][1][method]["responses"]
    assert status in described, f"{method} {_paths()[path][0].pattern} answered {status}, which is not described"
    response: dict[str, Any] = described[status]
    reference: str = response.get("$ref", "")
    return document()["components"]["responses"][reference.rpartition("/")[2]] if reference else response


class Declared(Mapping[str, str]):
    """Headers or parameters, of which only those are read that an operation has in the document."""

    def __init__(self, given: Mapping[str, str], place: str, operation_id: str) -> None:
        self.given, self.place, self.operation_id = given, place, operation_id

    def __getitem__(self, name: str) -> str:
        known = _parameters(self.operation_id, self.place)
        assert name.lower() in known, f"{self.operation_id} reads the {self.place} {name}, which is not described"
        return self.given[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.given)

    def __len__(self) -> int:
        return len(self.given)

    def items(self) -> ItemsView[str, str]:
        """All of them, which is to read none."""
        return self.given.items()


@functools.cache
def _parameters(operation_id: str, place: str) -> set[str]:
    those = [of for _, methods in _paths() for of in methods.values() if of["operationId"] == operation_id]
    return {each["name"].lower() for of in those for each in of["parameters"] if each["in"] == place} | BODYS


class Request(http.Request, frozen=True):
    """A request whose view reads what is described; what reports of agents are signed with is their providers'."""

    def __post_init__(self) -> None:
        if not self.operation.public:
            force_setattr(self, "headers", Declared(self.headers, "header", self.operation.name))
            force_setattr(self, "query", Declared(self.query, "query", self.operation.name))

    def parameters(self, kind: Any) -> Any:
        """As it is, for the type that the document has."""
        assert kind is self.operation.query
        return super().parameters(kind)

    def json(self, kind: Any) -> Any:
        """As it is, for the type that the document has."""
        assert kind is self.operation.typed().body
        return super().json(kind)

    def changes(self, kind: Any, shown: Any) -> dict[str, Any]:
        """As it is, for the type that the document has."""
        assert kind is self.operation.typed().body
        return super().changes(kind, shown)


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    """Raises AssertionError for an answer that is not described."""
    which = [n for n, (pattern, _) in enumerate(_paths()) if pattern.fullmatch(path.partition("?")[0])]
    verb = "get" if method == "HEAD" else method.lower()
    if not which or verb not in _paths()[which[0]][1]:
        assert status in (204, 404, 405), f"{method} {path} is not described"
        return
    response = _response(which[0], verb, str(status))
    told = {name.lower() for name in headers} - {"content-type"}
    undescribed = {name for name in told if not OF_CORS.fullmatch(name)} - {
        name.lower() for name in response["headers"]
    }
    assert not undescribed, f"{method} {path}: headers that are not described: {undescribed}"
    if method == "HEAD":
        return
    validator = _validator(which[0], verb, str(status))
    if validator is None:
        assert body is None, f"{method} {path}: a body that is not described"
        return
    assert headers["Content-Type"] in response["content"], f"{method} {path}: {headers['Content-Type']}"
    faults = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not faults, f"{method} {path} answered {status} with {faults}"
