"""The routes' common ground: token check, body → type, paging, problem+json.

Routes are registered on `Routes`, which wraps a Chalice blueprint: a view takes a Request (and its path parameters
through it) and returns a chalice Response. Whatever goes wrong becomes an RFC 9457 problem here and nowhere else.
"""

from __future__ import annotations

import json
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, ClassVar, Literal, TypeVar, cast

import msgspec
from chalice.app import Blueprint, Response
from chalice.app import Request as ChaliceRequest
from msgspec import Struct, structs

from chalicelib import auth, bodies, clock, errors, idempotency, ids
from chalicelib.activity import store as activities
from chalicelib.activity.model import Action, Activity
from chalicelib.auth import Identity, Role
from chalicelib.aws import dynamodb
from chalicelib.errors import FieldError, InvalidParameter
from chalicelib.idempotency.model import Answer, Asked, Hold, asked
from chalicelib.ids import is_id
from chalicelib.log import correlated, logger
from chalicelib.settings import settings

T = TypeVar("T")
View = Callable[["Request"], Response]

BASE = "/auto-calling"
PAGING = ("page", "limit", "cursor")
NEWEST_FIRST, OLDEST_FIRST = SORTS = ("-createdAt", "createdAt")
MAX_LIMIT = 100
"""Values of a page."""

MAX_LISTED = 10_000
"""`page` × `limit`."""

MAX_BODY = 256 * 1024
"""Bytes of a JSON body: 10,000 contact ids are 390 KB, see `Routes.post`'s `max_body`."""

ANSWER_BYTES = 6_000_000
"""Of a list's rows as they are sent. Lambda takes 6,291,556 bytes with all that is around them:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

SENT_PER_BYTE = 6
"""Bytes at most that a byte of JSON is sent as. Lambda's runtime puts a body into JSON in ASCII (from Python 3.12 on in
UTF-8, which is less): a letter outside it and DEL are six bytes there, quotation marks and backslashes two."""

MERGE_PATCH = "application/merge-patch+json"
JSON_TYPES = ("application/json", MERGE_PATCH)

PROTECTION = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000",
}
"""Headers of every answer: it is kept nowhere, it is what it says it is, and the next request is encrypted."""

REPLAYED = {"Idempotent-Replayed": "true"}
"""Header of an answer that was given before."""

MAX_KEY = 255
"""Characters of an Idempotency-Key."""

PROBLEMS: dict[type[errors.Failure], tuple[int, str, str]] = {
    errors.InvalidBody: (400, "invalid-body", "The body is not acceptable"),
    errors.InvalidParameter: (400, "invalid-parameter", "A parameter is not acceptable"),
    errors.Unauthorized: (401, "unauthorized", "Not authenticated"),
    errors.Forbidden: (403, "forbidden", "Not allowed"),
    errors.NotFound: (404, "not-found", "Not found"),
    errors.PhoneTaken: (409, "phone-taken", "The phone belongs to another contact"),
    errors.CampaignEmpty: (409, "campaign-empty", "The campaign is empty"),
    errors.CampaignRunning: (409, "campaign-running", "The campaign is running"),
    errors.CampaignNotRunning: (409, "campaign-not-running", "The campaign is not running"),
    errors.CampaignFinished: (409, "campaign-finished", "The campaign has finished"),
    errors.ImportRunning: (409, "import-running", "The import is running"),
    errors.CallUnderWay: (409, "call-under-way", "A call is under way"),
    errors.IdempotencyConflict: (409, "idempotency-conflict", "The Idempotency-Key is taken"),
    errors.PreconditionFailed: (412, "precondition-failed", "Changed since"),
    errors.TooLarge: (413, "too-large", "Too large"),
    errors.UnsupportedMediaType: (415, "unsupported-media-type", "Unsupported media type"),
    errors.Conflict: (429, "throttled", "Too much at once"),
    errors.Unavailable: (503, "unavailable", "Unavailable"),
    dynamodb.Busy: (429, "throttled", "Too much at once"),
}


ANYBODY = None
"""In place of the role of a route that is not behind a token."""

IF_MATCH = {"If-Match": "The ETag that it was last seen with: it is changed only if it still has that, or else 412."}


class Later(Struct, frozen=True):
    """A type that is made when the document is: what it takes is not loaded whenever a process starts."""

    make: Callable[[], Any]


class NoFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Of a list that is not filtered."""


class Operation(Struct, frozen=True, kw_only=True):
    """A route as it is described, and as it is served: `openapi` makes the document of it."""

    name: str
    """Its id in the document: the verb's name in a client."""

    method: str
    path: str
    view: View
    role: Role | None
    """The least that may do this, though a view may want more for some of it; ANYBODY needs no token."""

    does: Action | Callable[[Request], Action] | None = None
    """What is kept of who asked for it; nothing of who only looks."""

    body: Any = None
    """The type of its JSON body; like those of answers maybe `Later`."""

    form: type[Struct] | None = None
    """The fields of its multipart form."""

    example: Any = None
    """A body or form that would be taken."""

    query: type[Struct] = NoFilter
    """Its parameters besides those of paging."""

    headers: Mapping[str, str] = {}
    """Headers it heeds that not every route does, each with what it is for."""

    lists: Any = None
    """The type of the values it lists, `limit` a page unless it is asked for another number."""

    limit: int = 50
    sorts: bool = False
    """Whether what it lists can be sorted by when it was made."""

    is_counted: bool = True
    """Whether a list says how many values there are, and has pages by number."""

    answers: Mapping[int, Any] = {}
    """Its answers by status; None is one without a body."""

    locates: bool = False
    """Whether its answer says where what was made can be looked at."""

    tags: bool = False
    """Whether its answer has an ETag."""

    raises: Sequence[type[errors.Failure]] = ()
    """What goes wrong here besides what may go wrong everywhere."""

    max_body: int = MAX_BODY

    @property
    def public(self) -> bool:
        """Whether it is not behind a token."""
        return self.role is ANYBODY

    def typed(self) -> Operation:
        """This one with the types that were left for later."""
        made = {status: _made(kind) for status, kind in self.answers.items()}
        return structs.replace(self, body=_made(self.body), answers=made)

    @property
    def is_kept(self) -> bool:
        """Whether its answer is given again to who repeats an Idempotency-Key."""
        return self.method == "POST" and not self.public


def _made(kind: Any) -> Any:
    return kind.make() if isinstance(kind, Later) else kind


class Request(Struct, frozen=True):
    """What a view needs to know of a request."""

    operation: Operation
    identity: Identity
    route: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    new_id: str = msgspec.field(default_factory=ids.new_id)
    """The id of what the request makes: the same whenever it is made with one Idempotency-Key."""
    at: datetime = msgspec.field(default_factory=clock.now)
    """When the request was made; with an Idempotency-Key, when it was made first."""
    request_id: str = ""
    answer_key: str | None = None
    """Where its answer will be kept, when it has an Idempotency-Key."""

    def require(self, role: Role) -> None:
        """Raises Forbidden unless who asks has a role that may do what this one may."""
        if not self.identity.role.may(role):
            raise errors.Forbidden(f"This takes the role {role}; the token's is {self.identity.role}.")

    def asked(self, key: str) -> Asked:
        """The request with its Idempotency-Key, which belongs to the organization and person who ask."""
        owner = (self.identity.organization_id, self.identity.subject)
        target = (self.route, sorted(self.path.items()), sorted(self.query.items()))
        return asked(owner, key, target, self.body, self.headers.get("content-type", ""))

    def id(self, name: str = "id") -> str:
        """A path parameter that is an id, as ids are kept. Raises NotFound when it cannot be one."""
        given = self.path[name].lower()
        if not is_id(given):
            raise errors.NotFound
        return given

    def json(self, kind: type[T]) -> T:
        """The body as a value of `kind`. Raises InvalidBody naming the field, UnsupportedMediaType, TooLarge."""
        self._check_type()
        return bodies.decode(self.body, kind)

    def changes(self, kind: type[bodies.Body], shown: Any) -> dict[str, Any]:
        """What a PATCH changes of what GET shows, see `bodies.changes`. Raises as `json` does."""
        self._check_type()
        return bodies.changes(self.body, kind, msgspec.to_builtins(shown), merges=self.merges)

    def expects(self, about: type[Struct], shown: Struct) -> None:
        """Raises PreconditionFailed when the request has an If-Match and what is shown has no such `bodies.tag`.

        Weak ones are taken for what they were: whoever compresses answers on their way weakens them.
        """
        wanted = {each.strip().removeprefix("W/") for each in self.headers.get("if-match", "*").split(",")}
        if not wanted & {"*", bodies.tag(about, shown)}:
            raise errors.PreconditionFailed

    @property
    def merges(self) -> bool:
        """Whether the body is a JSON Merge Patch."""
        return self._content_type() == MERGE_PATCH

    def _check_type(self) -> None:
        if self._content_type() not in JSON_TYPES:
            raise errors.UnsupportedMediaType(f"Send application/json, not {self._content_type()}.")

    def _content_type(self) -> str:
        return self.headers.get("content-type", "application/json").partition(";")[0].strip().lower()

    def parameters(self, kind: type[T]) -> T:
        """The query without what is of any list. Raises InvalidParameter naming what is at fault."""
        of = self.operation
        of_lists = {*PAGING, *(("sort",) if of.sorts else ())} - (set() if of.is_counted else {"page"})
        return bodies.parameters({name: text for name, text in self.query.items() if name not in of_lists}, kind)

    def named(self) -> Mapping[str, Any]:
        """The members of a JSON body, whatever they are; none of another."""
        try:
            found = msgspec.json.decode(self.body or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def paging(self) -> dynamodb.Paging:
        """`page`, `limit`, `cursor`, `sort` of a list. Raises InvalidParameter, also for one the list does not have."""
        self.parameters(self.operation.query)
        oldest_first = self.operation.sorts and self._oldest_first()
        limit = self._integer("limit", self.operation.limit, 1, MAX_LIMIT)
        if (cursor := self.query.get("cursor")) is not None:
            return dynamodb.Paging(limit, None, self._after(cursor), oldest_first)
        if not self.operation.is_counted:
            return dynamodb.Paging(limit, None, None, oldest_first)
        page = self._integer("page", 1, 1, MAX_LISTED)
        if page * limit > MAX_LISTED:
            raise InvalidParameter(FieldError("page", f"page × limit goes to {MAX_LISTED}; beyond that, use cursor"))
        return dynamodb.Paging(limit, page, oldest_first=oldest_first)

    def _oldest_first(self) -> bool:
        if (sort := self.query.get("sort", NEWEST_FIRST)) not in SORTS:
            raise InvalidParameter(FieldError("sort", f"expected one of {', '.join(SORTS)}"))
        return sort == OLDEST_FIRST

    def cursor(self, after: str) -> str:
        """The cursor that goes on after an id in this list: the id, and a checksum that tells the list from others."""
        filters = sorted(each for each in self.query.items() if each[0] not in PAGING)
        listed = (self.route, sorted(self.path.items()), filters)
        return f"{after}.{zlib.crc32(repr(listed).encode()):08x}"

    def _after(self, cursor: str) -> str:
        after = cursor.partition(".")[0]
        if not is_id(after) or cursor != self.cursor(after):
            raise InvalidParameter(FieldError("cursor", "expected the nextCursor of an earlier page of this list"))
        return after

    def _integer(self, name: str, default: int, low: int, high: int) -> int:
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise InvalidParameter(FieldError(name, f"expected a whole number from {low} to {high}"))
        return int(text)


class Routes:
    """REST routes of a room. Every route says whose role it is for."""

    operations: ClassVar[list[Operation]] = []
    """Those of all rooms."""

    def __init__(self, name: str) -> None:
        self.blueprint = Blueprint(name)

    def get(self, path: str, name: str, **more: Any) -> Callable[[View], View]:
        return self.route("GET", path, name, **more)

    def post(self, path: str, name: str, **more: Any) -> Callable[[View], View]:
        return self.route("POST", path, name, **more)

    def patch(self, path: str, name: str, **more: Any) -> Callable[[View], View]:
        return self.route("PATCH", path, name, **more)

    def delete(self, path: str, name: str, **more: Any) -> Callable[[View], View]:
        return self.route("DELETE", path, name, **more)

    def route(self, method: str, path: str, name: str, **more: Any) -> Callable[[View], View]:
        """Register a view as an `Operation`, of which there is `more` to say; its CORS preflight comes with it."""

        def register(view: View) -> View:
            operation = Operation(name=name, method=method, path=path, view=view, **more)

            def handle(**path_parameters: str) -> Response:
                request = self.blueprint.current_request
                with correlated(request.context.get("requestId", "")):
                    return perform(operation, request, path_parameters)

            handle.__name__ = f"{view.__module__.replace('.', '_')}_{view.__name__}"
            methods = ["GET", "HEAD"] if method == "GET" else [method]
            self.blueprint.route(path, methods=methods, content_types=["*/*"])(handle)
            if path not in {each.path for each in self.operations}:
                self.allow(path, handle.__name__)
            self.operations.append(operation)
            return view

        return register

    def allow(self, path: str, name: str) -> None:
        """Answer the CORS preflight of a path."""
        self.blueprint.route(path, methods=["OPTIONS"], content_types=["*/*"])(self._preflight(name))

    def _preflight(self, name: str) -> Callable[..., Response]:
        def preflight(**_: str) -> Response:
            request = self.blueprint.current_request
            return Response(
                body="",
                status_code=204,
                headers=preflight_headers(
                    request.headers.get("origin"),
                    methods="GET,HEAD,POST,PATCH,DELETE,OPTIONS",
                    headers="Authorization,Content-Type,Idempotency-Key,If-Match,Accept-Language",
                ),
            )

        preflight.__name__ = f"{name}_preflight"
        return preflight


def perform(operation: Operation, given: ChaliceRequest, path_parameters: dict[str, str]) -> Response:
    """Authenticate, call the view, and turn what goes wrong into a problem."""
    request_id = given.context.get("requestId", "")
    try:
        identity = Identity("") if operation.public else auth.identify(_bearer(given.headers))
        body = cast("bytes", given.raw_body or b"")
        if len(body) > operation.max_body:
            raise errors.TooLarge(f"The body is {len(body)} bytes; at most {operation.max_body} are taken.")
        query = _query(given)
        _check_text(*given.headers.values(), *path_parameters.values(), *query, *query.values())
        _check_encoding(given.headers)
        request = Request(
            operation, identity, given.path, path_parameters, query, given.headers, body, request_id=request_id
        )
        if operation.role:
            request.require(operation.role)
        response = _once(request) if operation.is_kept else _done(request)
    except tuple(PROBLEMS) as failure:
        response = problem(failure, request_id)
        logger().info("request refused", requestId=request_id, status=response.status_code, why=type(failure).__name__)
    except Exception:  # noqa: BLE001 (the client learns nothing of it, the log everything)
        logger().exception("request failed", requestId=request_id, method=given.method, path=given.path)
        response = _problem(500, "internal", "Internal error", "Something went wrong on our side.", request_id)
    response.headers.update(PROTECTION | cors(given.headers.get("origin")))
    if given.method == "HEAD":
        response.body = ""
    return response


def _query(given: ChaliceRequest) -> dict[str, str]:
    """Each parameter's one value. Raises InvalidParameter for one without a value or with several."""
    named = given.query_params
    values = {name: named.getlist(name) for name in named} if named else {}
    faults = [FieldError(name, "given more than once") for name, each in values.items() if len(each) > 1]
    faults += [
        FieldError(name, "empty: leave it out or give it a value") for name, each in values.items() if each == [""]
    ]
    if faults:
        _check_text(*values)
        raise InvalidParameter(*faults)
    return {name: each[0] for name, each in values.items()}


def _check_text(*texts: str) -> None:
    """Raises InvalidParameter for half of a character, which no row, message or answer can hold."""
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise InvalidParameter(FieldError("", "a parameter or header has half of a character")) from None


def _check_encoding(headers: Mapping[str, str]) -> None:
    """Bodies arrive as text, which a compressed one does not survive. Raises UnsupportedMediaType."""
    encoding = headers.get("content-encoding", "").strip()
    if encoding.lower() not in ("", "identity"):
        raise errors.UnsupportedMediaType(f"Send the body as it is, without Content-Encoding: {encoding[:50]}.")


def _once(request: Request) -> Response:
    """The answer to a POST: the first one again, when it carries the Idempotency-Key of an earlier one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return _done(request)
    if not key.strip() or len(key) > MAX_KEY:
        raise InvalidParameter(FieldError("Idempotency-Key", f"expected 1 to {MAX_KEY} characters"))

    def answer(hold: Hold) -> Answer:
        named = structs.replace(request, new_id=hold.new_id, at=clock.moment(hold.began_at), answer_key=hold.key)
        response = _done(named)
        return Answer(response.status_code, cast("str", response.body), cast("dict[str, str]", response.headers))

    given, again = idempotency.once(request.asked(key), answer, now=clock.now)
    return Response(given.body, status_code=given.status, headers={**given.headers, **(REPLAYED if again else {})})


def _done(request: Request) -> Response:
    """The view's answer. Who asks for a change is kept before it is made, who reads before the answer is given.

    So nothing is done without a trace, whenever the process dies. What was refused is taken back.
    """
    activity = _activity(request)
    organization_id = request.identity.organization_id
    if activity is None:
        return request.operation.view(request)
    if request.operation.method == "GET":
        response = request.operation.view(request)
        if response.status_code == 200:
            activities.keep(organization_id, activity)
        return response
    activities.keep(organization_id, activity)
    try:
        return request.operation.view(request)
    except tuple(PROBLEMS) as failure:
        if _kind(failure)[0] < 429:
            activities.take_back(organization_id, activity)
        raise


def _activity(request: Request) -> Activity | None:
    """What is kept of a request; None of one that only looks, or is about what cannot be."""
    of = request.operation
    path = {name: text.lower() for name, text in request.path.items()}
    if of.does is None or not all(map(is_id, path.values())):
        return None
    action = of.does if isinstance(of.does, Action) else of.does(request)
    about = f"{action.partition('.')[0]}_id"
    whom = {about: path.get("id", request.new_id)} if about in Activity.__struct_fields__ else {}
    if "contactId" in path:
        whom["contact_id"] = path["contactId"]
    return Activity(
        **whom,
        activity_id=request.new_id,
        at=clock.stamp(request.at),
        actor=request.identity.subject,
        action=action,
        operation=of.name,
        fields=_fields(request),
        request_id=request.request_id,
    )


def _fields(request: Request) -> list[str]:
    """Which of the fields that its body may have a request names."""
    kind = _made(request.operation.body)
    known = {each.encode_name for each in structs.fields(kind)} if isinstance(kind, type(Struct)) else set()
    return sorted(known & request.named().keys()) if known else []


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.Unauthorized
    return token.strip()


def cors(origin: str | None) -> dict[str, str]:
    """The CORS headers for a request's Origin under `CORS_ORIGINS`."""
    allowed = [each.strip() for each in settings().cors_origins.split(",") if each.strip()]
    if not origin or ("*" not in allowed and origin not in allowed):
        return {}
    return {
        "Access-Control-Allow-Origin": "*" if "*" in allowed else origin,
        "Access-Control-Expose-Headers": "Location,Retry-After,ETag,Idempotent-Replayed",
        "Vary": "Origin",
    }


def preflight_headers(origin: str | None, *, methods: str, headers: str) -> dict[str, Any]:
    """What a browser is told that asks first what a page of an origin may send."""
    allowed = {"Access-Control-Allow-Methods": methods, "Access-Control-Allow-Headers": headers}
    return PROTECTION | cors(origin) | allowed | {"Access-Control-Max-Age": "600"}


def problem(failure: errors.Failure, request_id: str) -> Response:
    """The RFC 9457 problem of a failure."""
    status, code, title = _kind(failure)
    more = dict(failure.extra)
    if isinstance(failure, errors.Invalid):
        more["errors"] = [{"field": error.field, "message": str(error)} for error in failure.errors]
    response = _problem(status, code, title, str(failure), request_id, more)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503) or isinstance(failure, errors.RequestUnderWay):
        response.headers["Retry-After"] = str(getattr(failure, "again_seconds", 1))
    return response


def _kind(failure: errors.Failure) -> tuple[int, str, str]:
    """The status, code and title of a failure's problem."""
    return next(PROBLEMS[kind] for kind in type(failure).__mro__ if kind in PROBLEMS)


def _problem(
    status: int, code: str, title: str, detail: str, request_id: str, more: dict[str, object] | None = None
) -> Response:
    body = {
        "type": f"urn:autocall:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": request_id,
        **(more or {}),
    }
    return Response(_json(body), status_code=status, headers={"Content-Type": "application/problem+json"})


def ok(value: Any, status: int = 200, *, location: str | None = None, about: type[Struct] | None = None) -> Response:
    """A JSON answer; `location` is the path of what was made, below the base path, `about` what its ETag is over."""
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json"}
    if location:
        headers["Location"] = BASE + location
    if about:
        headers["ETag"] = bodies.tag(about, value)
    return Response(_json(value), status_code=status, headers=headers)


routes = Routes(__name__)
routes.allow("/{proxy+}", "elsewhere")
"""Of paths that nothing is at: without it a browser would not ask, and never see the 404 that says so."""


class Health(Struct):
    """The API answers; which version of it."""

    status: Literal["ok"]
    version: str


@routes.get("/health", "getHealth", role=ANYBODY, answers={200: Health})
def health(_: Request) -> Response:
    """Whether the API answers."""
    return ok(Health("ok", settings().version))


def no_content() -> Response:
    """204."""
    return Response(body="", status_code=204)


def listing(
    request: Request, paging: dynamodb.Paging, page: dynamodb.Page, total: int | None, *, by: str = "id"
) -> Response:
    """A list's answer: the page's values, as many as an answer holds, and its meta. `by` is the member they go by.

    `total` is None of a list that is not counted.
    """
    rows = list(map(msgspec.json.encode, page.data))
    shown = rows[: _fitting(rows)]
    after = page.next_cursor if len(shown) == len(rows) else msgspec.json.decode(shown[-1])[by]
    meta: dict[str, Any] = {"page": paging.page} if paging.page is not None else {}
    counted = {} if total is None else {"total": total, "totalPages": -(-total // paging.limit)}
    meta |= {"limit": paging.limit, **counted, "nextCursor": after and request.cursor(after)}
    if len(shown) < len(rows):
        meta["truncated"] = True
    return ok({"data": list(map(msgspec.Raw, shown)), "meta": meta})


def _fitting(rows: Sequence[bytes]) -> int:
    """How many of a list's rows an answer holds: one at least, which no row is too large for."""
    if sum(map(len, rows)) * SENT_PER_BYTE <= ANSWER_BYTES:
        return len(rows)
    ends = accumulate(len(json.dumps(row.decode())) for row in rows)
    return max(1, bisect_right(list(ends), ANSWER_BYTES))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
