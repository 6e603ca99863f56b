"""Bodies of requests: JSON → a type, and the types that requests share with what is kept.

What people may say of a thing is written once, in the Struct that its row and its answers come from too; `creation`
and `change` make of it what a request may send. What a thing shows beside that may be sent back as it is.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar, cast, get_args

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType, inspect
from msgspec.structs import FieldInfo, fields

from chalicelib.errors import FieldError, InvalidBody, InvalidParameter

T = TypeVar("T")

WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}
"""What people call JSON's types."""


FLAGS = {"true": True, "false": False}

EXACT_FLOAT = 2**53
"""Below it every whole number is a float of its own."""

CLEARABLE = Meta(extra={"clearable": True})
"""Of a field that is never None: a request may send null for its default."""


READ_ONLY = "cannot be changed: leave it out, or send it as it is now"


class Body(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's body that names some of a thing's fields; null stands for the default of one that can be cleared."""

    about: ClassVar[type[Struct]]

    def given(self) -> dict[str, Any]:
        """The fields the request names, with their values."""
        absent = defaults(self.about)
        named = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        return {name: absent.get(name) if value is None else value for name, value in named.items()}


def creation(name: str, about: type[Struct], **more: Any) -> type[Body]:
    """What a request may say of a thing to be made: its fields, those without a default required, and `more`."""
    return _body(name, about, {each.name for each in fields(about) if each.required}, more)


def change(name: str, about: type[Struct]) -> type[Body]:
    """What a request may change of a thing: any of its fields."""
    return _body(name, about, set(), {})


def _body(name: str, about: type[Struct], required: set[str], more: dict[str, Any]) -> type[Body]:
    kinds = {each.name: each.type | None if _clearable(each) else each.type for each in fields(about)} | more
    members: list[Any] = [
        (each, kind) if each in required else (each, kind | UnsetType, UNSET) for each, kind in kinds.items()
    ]
    made: Any = msgspec.defstruct(
        name,
        members,
        bases=(Body,),
        module=about.__module__,
        namespace={"about": about, "__doc__": about.__doc__},
        kw_only=True,
        rename="camel",
        forbid_unknown_fields=True,
    )
    return cast("type[Body]", made)


def _clearable(field: FieldInfo) -> bool:
    return CLEARABLE in get_args(field.type)


@functools.cache
def defaults(of: type[Struct]) -> dict[str, Any]:
    """The defaults of a Struct's fields, by name; a field without one is left out."""
    return {
        each.name: each.default if each.default_factory is NODEFAULT else each.default_factory()
        for each in fields(of)
        if not each.required
    }


def tag(about: type[Struct], shown: Struct) -> str:
    """The entity tag (RFC 9110) of what a thing shows of its fields that people write: another when one of them is.

    It does not change with what only the server writes, such as counters.
    """
    written = {each.encode_name: getattr(shown, each.name) for each in fields(about)}
    digest = hashlib.sha256(msgspec.json.encode(written, order="sorted"))
    return f'"{digest.hexdigest()[:32]}"'


def decode(body: bytes, kind: type[T]) -> T:
    """JSON bytes as a value of `kind`. Raises InvalidBody naming the field."""
    return _read(lambda: _decode(body or b"{}", kind), kind)


def _read(read: Callable[[], T], kind: Any) -> T:
    """What is read of a body. Raises InvalidBody for whatever keeps it from being read."""
    try:
        return read()
    except msgspec.ValidationError as error:
        raise InvalidBody(_field_error(str(error), kind)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidBody(FieldError("", "the body is not valid JSON")) from None
    except RecursionError:
        raise InvalidBody(FieldError("", "the body is nested too deeply")) from None


def changes(body: bytes, kind: type[Body], shown: Mapping[str, Any], *, merges: bool) -> dict[str, Any]:
    """What a request changes of a thing that is shown as the JSON object `shown`, by the names of its fields.

    What is sent as it is shown is no change, whether it may be changed or not. With `merges` the body is a JSON Merge
    Patch (RFC 7396): objects inside it name what changes in them, null removes. Raises InvalidBody naming the field.
    """
    named = _read(lambda: msgspec.json.decode(body or b"{}"), kind)
    if not isinstance(named, dict):
        return decode(body, kind).given()
    return decode(_read(lambda: msgspec.json.encode(_changed(named, kind, shown, merges)), kind), kind).given()


def _changed(named: dict[str, Any], kind: type[Body], shown: Mapping[str, Any], merges: bool) -> dict[str, Any]:
    if merges:
        named = {name: merged(shown.get(name), value) for name, value in named.items()}
    changed = {name: value for name, value in named.items() if name not in shown or not _same(value, shown[name])}
    writable = {each.encode_name for each in fields(kind)}
    if errors := [FieldError(name, READ_ONLY) for name in changed if name in shown and name not in writable]:
        raise InvalidBody(*errors)
    return changed


def merged(old: Any, patch: Any) -> Any:
    """A JSON value after a JSON Merge Patch, as https://www.rfc-editor.org/rfc/rfc7396#section-2 has it."""
    if not isinstance(patch, dict):
        return patch
    before = old if isinstance(old, dict) else {}
    stays = {name: value for name, value in before.items() if name not in patch}
    return stays | {name: merged(before.get(name), value) for name, value in patch.items() if value is not None}


def _same(one: Any, other: Any) -> bool:
    one, other = (msgspec.json.encode(_whole(each), order="sorted") for each in (one, other))
    return bool(one == other)


def parameters(given: Mapping[str, str], kind: type[T]) -> T:
    """A query's parameters as a value of `kind`, a Struct. Raises InvalidParameter naming the parameter."""
    flags = {each.encode_name for each in fields(cast("type[Struct]", kind)) if each.type is bool}
    values = {name: FLAGS.get(text, text) if name in flags else text for name, text in given.items()}
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        fault = _field_error(str(error), kind)
        said = str(fault).replace("unknown field", "unknown parameter")
        raise InvalidParameter(FieldError(fault.field, said)) from None


def _decode(body: bytes, kind: type[T]) -> T:
    """The value; a whole number may be written as 5.0, as programs write it that know only one kind of number."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        if "got `float`" not in str(error):
            raise
        return msgspec.convert(_whole(msgspec.json.decode(body)), kind)


def _whole(value: Any) -> Any:
    """JSON with its whole numbers as integers, as far as a float tells them exactly."""
    match value:
        case dict():
            return {name: _whole(each) for name, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case float() if value.is_integer() and abs(value) < EXACT_FLOAT:
            return int(value)
        case _:
            return value


def _field_error(message: str, kind: Any) -> FieldError:
    """What msgspec says as `… - at `$.a.b`` and names a missing or unknown field in backticks, in people's words.

    Of a name that is not acceptable it says `at `key` in `$.a.b``.
    """
    text, _, where = message.partition(" - at ")
    path = where.removeprefix("`key` in ").strip("`").removeprefix("$").removeprefix(".")
    if named := re.search(r"(?:unknown|required) field `([^`]+)`", text):
        path = f"{path}.{named[1]}" if path else named[1]
        return FieldError(path, "unknown field" if "unknown" in text else "required")
    if text.startswith("Invalid enum value") or "matching regex" in text:
        steps = re.findall(r"\[\d+\]|[^.\[\]]+", path)
        return FieldError(path, f"expected {next(_wanted(inspect.type_info(kind), steps), 'another value')}")
    text = re.sub("`([^`]+)`", lambda types: " or ".join(WORDS.get(each, each) for each in types[1].split(" | ")), text)
    return FieldError(path, text[:1].lower() + text[1:])


def _wanted(at: inspect.Type, steps: list[str]) -> Iterator[str]:
    """What a type, or the one that many steps below it, takes: an enumeration's members, or a pattern's description."""
    match at, steps:
        case inspect.UnionType(types=types), _:
            for each in types:
                yield from _wanted(each, steps)
        case inspect.ListType(item_type=item), [_, *rest]:
            yield from _wanted(item, rest)
        case inspect.StructType(fields=members), [name, *rest]:
            for field in members:
                if field.encode_name == name:
                    yield from _wanted(field.type, rest)
        case inspect.EnumType(cls=choices) | inspect.LiteralType(values=choices), []:
            yield f"one of {', '.join(map(str, choices))}"
        case inspect.Metadata(extra_json_schema={"description": description}), []:
            yield description
        case (inspect.Metadata(type=inner), _) | (inspect.DictType(key_type=inner), []):
            yield from _wanted(inner, steps)
