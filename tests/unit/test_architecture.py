"""How the house is built: which module may import which, who may touch AWS, and that nothing works at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS = [
    ("app",),
    ("worker",),
    ("privacy",),
    ("realtime",),
    ("dialing",),
    ("campaigns",),
    ("imports",),
    ("agents",),
    ("calls",),
    ("workbooks",),
    ("contacts",),
    ("organizations",),
    ("openapi",),
    ("http",),
    ("auth",),
    ("activity", "idempotency"),
    ("totals",),
    ("aws",),
    ("log",),
    ("settings",),
    ("bodies",),
    ("errors", "clock", "holidays", "ids", "money", "records"),
]
"""The house from the top floor down: rooms, and modules that are a room by themselves. Each imports lower floors."""

SWITCHBOARDS = ("app", "worker")
"""They hand what comes in to any module of any room."""

TOOLS = ("workbooks", "http", "auth", "totals", "aws", "log", "settings", "bodies", *FLOORS[-1])
"""Rooms all of whose modules are for everybody above."""

MODEL, STORE, SERVICE, ROUTES = range(4)

RANKS = {
    **dict.fromkeys(
        (
            "model",
            "recovery",
            "settings",
            "phone",
            "bulk_phones",
            "hours",
            "schedule",
            "health",
            "failover",
            "limits",
            "contract",
        ),
        MODEL,
    ),
    **dict.fromkeys(("store", "sessions", "messages"), STORE),
    **dict.fromkeys(("routes", "webhooks"), ROUTES),
}
"""How high in its room a module is, by its name. Values and pure decisions count as models; the rest is a service."""

PERFORMING = ("http", "auth", "idempotency", "totals", "aws", "log", "settings")
"""Rooms that read the environment or reach out of the process: nothing for a model."""

OPEN = (MODEL, STORE)
"""What of a room those above it may import: values, decisions, the store's verbs, messages; and the room's package."""

LIBRARIES = {
    "pynamodb": ("store", "aws.dynamodb", "realtime.sessions"),
    "boto3": ("aws.clients", "realtime.poster"),
    "botocore": ("aws.clients", "aws.dynamodb", "realtime.poster"),
    "chalice": ("app", "http", "openapi", "routes", "webhooks", "sockets"),
    "aws_lambda_powertools": ("log", "aws.ssm"),
    "requests": ("agents.wire",),
}
"""Libraries and where they may be imported: modules by name, or by last name in any room."""

HEAVY = {
    "boto3",
    "openpyxl",
    "python_calamine",
    "phonenumbers",
    "requests",
    "jwt",
    "multipart",
    "aws_lambda_powertools",
}
"""Loaded by the functions that need them: what `app.py` imports is paid at every cold start."""

OWN_PROCESS = {"workbooks.child"}
"""Not imported by `app.py`: a program of its own."""

WORK = {"settings", "secret", "logger", "connection", "open", "getenv", "client", "resource", "Session", "get_session"}
"""Calls that would read the environment or make a client."""


def project() -> dict[str, str]:
    """Module → source, without the package's name in front: `dialing.pacer`; a room's `__init__` is the room."""
    sources = {"app": (ROOT / "app.py").read_text()}
    for path in (ROOT / "chalicelib").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT / "chalicelib").with_suffix("").parts).removesuffix(".__init__")
        sources[name] = path.read_text()
    del sources["__init__"]
    return sources


def violations(sources: dict[str, str], known: set[str] | None = None) -> list[str]:
    """What is against the rules, one line each."""
    known = known or set(sources)
    return sorted(
        f"{module}: {wrong}"
        for module, source in sources.items()
        for tree in [ast.parse(source)]
        for wrong in (*_forms(tree), *_directions(module, tree, known), *_libraries(module, tree), *_work(module, tree))
    )


def _forms(tree: ast.Module) -> Iterator[str]:
    """The project's modules are imported in one form, which `imported` knows."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield "imports relatively"
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "chalicelib" for alias in node.names):
            yield "imports a module of the project by its whole name"


def _directions(module: str, tree: ast.Module, known: set[str]) -> Iterator[str]:
    for other in sorted(imported(tree, known)):
        if _room(other) == _room(module):
            if _rank(other) > _rank(module):
                yield f"{other} is above it in its room"
        elif floor(other) >= floor(module) or (_is_model(module) and _room(other) in PERFORMING):
            yield f"{other} is above it"
        elif not _is_open(other) and module not in SWITCHBOARDS:
            yield f"{other} is another room's own"


def imported(tree: ast.Module, known: set[str]) -> set[str]:
    """The project's modules that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] != "chalicelib":
            continue
        package = (node.module or "").removeprefix("chalicelib").lstrip(".")
        for alias in node.names:
            inside = f"{package}.{alias.name}".lstrip(".")
            found.add(inside if inside in known else package)
    return found


def floor(module: str) -> int:
    """How high a module's room is."""
    return next(n for n, rooms in enumerate(reversed(FLOORS)) if _room(module) in rooms)


def _room(module: str) -> str:
    return module.partition(".")[0]


def _rank(module: str) -> int:
    return RANKS.get(module.rpartition(".")[2], SERVICE)


def _is_model(module: str) -> bool:
    return "." in module and _room(module) not in TOOLS and _rank(module) == MODEL


def _is_open(other: str) -> bool:
    return _room(other) in TOOLS or "." not in other or _rank(other) in OPEN


def _libraries(module: str, tree: ast.Module) -> Iterator[str]:
    for library in sorted(_external(ast.walk(tree))):
        places = LIBRARIES.get(library)
        if places and module not in places and module.rpartition(".")[2] not in places:
            yield f"imports {library}"
    if module not in OWN_PROCESS:
        for library in sorted(_external(at_import(tree)) & HEAVY):
            yield f"loads {library} at import"


def _external(nodes: Iterator[ast.AST]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: all but the bodies of functions."""
    for name, value in ast.iter_fields(node):
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from at_import(child)


def _work(module: str, tree: ast.Module) -> Iterator[str]:
    if module in OWN_PROCESS:
        return
    for node in at_import(tree):
        if isinstance(node, ast.Call) and _name(node.func) in WORK:
            yield f"calls {_name(node.func)} at import"
        if isinstance(node, ast.Attribute) and node.attr == "environ":
            yield "reads the environment at import"


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_house_is_built_as_planned() -> None:
    assert violations(project()) == []


def test_every_room_has_its_floor() -> None:
    print("\n".join(" · ".join(rooms) for rooms in FLOORS))  # noqa: T201
    assert {_room(module) for module in project()} == {room for rooms in FLOORS for room in rooms}


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("contacts.model", "from chalicelib.contacts import store", "contacts.store is above it in its room"),
        ("contacts.model", "from chalicelib.settings import settings", "settings is above it"),
        ("errors", "from chalicelib.settings import settings", "settings is above it"),
        ("contacts.store", "from chalicelib.contacts.routes import routes", "contacts.routes is above it in its room"),
        ("contacts.store", "from chalicelib.campaigns.messages import Wake", "campaigns.messages is above it"),
        ("campaigns.enrolment", "from chalicelib.dialing import policy", "dialing.policy is above it"),
        ("errors", "def f():\n    from chalicelib.contacts.model import Contact", "contacts.model is above it"),
        ("dialing.pacer", "from chalicelib.imports import importer", "imports.importer is another room's own"),
        ("imports.store", "import pynamodb.models\nfrom chalicelib.realtime.poster import post", "realtime.poster is"),
        ("dialing.pacer", "from . import store", "imports relatively"),
        ("dialing.pacer", "import chalicelib.imports.importer", "imports a module of the project by its whole name"),
        ("dialing.pacer", "from pynamodb.attributes import UnicodeAttribute", "imports pynamodb"),
        ("dialing.pacer", "def f():\n    import boto3", "imports boto3"),
        ("dialing.pacer", "from chalice import Response", "imports chalice"),
        ("imports.reading", "import openpyxl", "loads openpyxl at import"),
        ("aws.sqs", "def f():\n    import boto3", "imports boto3"),
        ("aws.clients", "import boto3", "loads boto3 at import"),
        ("aws.clients", "CLIENT = boto3.client('sqs')", "calls client at import"),
        ("aws.sqs", "class A:\n    url = settings().dial_queue", "calls settings at import"),
        ("aws.sqs", "def f(log=logger()): ...", "calls logger at import"),
        ("aws.sqs", "import os\nURL = os.environ['DIAL_QUEUE']", "reads the environment at import"),
    ],
)
def test_breach_is_caught(module: str, source: str, wrong: str) -> None:
    [found] = violations({module: source}, known=set(project()))
    assert found.startswith(f"{module}: {wrong}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("dialing.pacer", "from chalicelib.contacts import store\nfrom chalicelib.contacts.model import Contact"),
        ("contacts.store", "from pynamodb.models import Model"),
        ("aws.clients", "def client():\n    import boto3\n    return boto3.client('sqs')"),
        ("imports.reading", "def read():\n    with open(place):\n        return settings().bucket"),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, source: str) -> None:
    assert violations({module: source}, known=set(project())) == []
