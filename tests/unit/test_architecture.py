"""How the house is built: which module may import which, who may touch AWS, and that nothing works at import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ERRORS, MODEL, STORE, SERVICE, ROUTES, APP = range(6)

COMMON = {
    **dict.fromkeys(("errors", "clock", "ids", "records"), ERRORS),
    **dict.fromkeys(("settings", "secrets", "log", "store", "bulk"), STORE),
    **dict.fromkeys(("queues", "bucket", "auth", "spreadsheet"), SERVICE),
    "http": ROUTES,
}
"""Modules of no room, by the rank they have: a module imports nothing of a higher rank than its own."""

VALUES = {
    "contacts.phone": "what a phone is: pure text",
    "dialing.health": "the agent's health is a value in the campaign's row",
    "imports.languages": "what people read, in three languages: texts",
    "agents.contract": "the room's model, under a name that says more",
}
"""Modules that count as a model, and why."""

DOORS = {
    ("app", "dialing.routes"): "the switchboard registers all routes",
    ("campaigns.enrolment", "dialing.policy"): "a redial is a decision about a call",
    ("campaigns.worker", "realtime.sockets"): "one worker does the jobs of all rooms",
    ("dialing.dialer", "campaigns.hours"): "hours are looked at again before a call is placed",
    ("dialing.pacer", "campaigns.hours"): "hours decide what is claimed",
    ("dialing.pacer", "campaigns.schedule"): "the pacer decides when a campaign looks around again",
    ("dialing.routes", "agents.http"): "a provider's webhook is read by that provider",
}
"""Doors between rooms besides another's model, store and package, and why they are there."""

LIBRARIES = {
    "pynamodb": ("store",),
    "boto3": ("store", "queues", "schedule", "realtime.poster", "bucket"),
    "botocore": ("store", "queues", "schedule", "realtime.poster", "bucket"),
    "chalice": ("app", "http", "routes", "sockets"),
    "aws_lambda_powertools": ("log", "secrets"),
    "requests": ("agents.http",),
}
"""Libraries and where they may be imported: modules by name, or by last name in any room. The bucket is S3's queue."""

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

OWN_PROCESS = {"imports.child"}
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
        if rank(other) > rank(module):
            yield f"{other} is above it"
        elif _foreign(module, other) and not _open(other) and (module, other) not in DOORS:
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


def rank(module: str) -> int:
    """How high in the house a module is."""
    if module == "app":
        return APP
    if module in COMMON:
        return COMMON[module]
    last = module.rpartition(".")[2]
    if module in VALUES or last == "model":
        return MODEL
    return {"store": STORE, "routes": ROUTES}.get(last, SERVICE)


def _foreign(module: str, other: str) -> bool:
    room = module.partition(".")[0]
    return module != "app" and other not in COMMON and other.partition(".")[0] != room


def _open(other: str) -> bool:
    return "." not in other or other in VALUES or other.rpartition(".")[2] in ("model", "store")


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


def test_every_door_is_used() -> None:
    sources = project()
    used = {(module, other) for module in sources for other in imported(ast.parse(sources[module]), set(sources))}
    assert set(DOORS) <= used
    assert set(VALUES) <= {other for _, other in used}


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("contacts.model", "from chalicelib.contacts import store", "contacts.store is above it"),
        ("contacts.model", "from chalicelib.settings import settings", "settings is above it"),
        ("contacts.store", "from chalicelib.contacts.routes import routes", "contacts.routes is above it"),
        ("contacts.store", "from chalicelib import queues", "queues is above it"),
        ("dialing.pacer", "from chalicelib.http import ok", "http is above it"),
        ("errors", "def f():\n    from chalicelib.contacts.model import Contact", "contacts.model is above it"),
        ("dialing.pacer", "from chalicelib.imports import importer", "imports.importer is another room's own"),
        ("imports.store", "import pynamodb.models\nfrom chalicelib.realtime.poster import post", "realtime.poster is"),
        ("dialing.pacer", "from . import store", "imports relatively"),
        ("dialing.pacer", "import chalicelib.imports.importer", "imports a module of the project by its whole name"),
        ("dialing.pacer", "from pynamodb.attributes import UnicodeAttribute", "imports pynamodb"),
        ("dialing.pacer", "def f():\n    import boto3", "imports boto3"),
        ("dialing.pacer", "from chalice import Response", "imports chalice"),
        ("imports.reading", "import openpyxl", "loads openpyxl at import"),
        ("queues", "import boto3", "loads boto3 at import"),
        ("queues", "CLIENT = boto3.client('sqs')", "calls client at import"),
        ("queues", "class A:\n    url = settings().dial_queue", "calls settings at import"),
        ("queues", "def f(log=logger()): ...", "calls logger at import"),
        ("queues", "import os\nURL = os.environ['DIAL_QUEUE']", "reads the environment at import"),
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
        ("queues", "def client():\n    import boto3\n    return boto3.client('sqs')"),
        ("imports.reading", "def read():\n    with open(place):\n        return settings().bucket"),
    ],
)
def test_what_is_allowed_is_no_breach(module: str, source: str) -> None:
    assert violations({module: source}, known=set(project())) == []
