"""REST routes of imports."""

from __future__ import annotations

import io
from typing import Annotated, Any

import msgspec
from chalice.app import Response

from chalicelib import clock, http
from chalicelib.aws import s3
from chalicelib.aws.dynamodb import Page
from chalicelib.errors import FieldError, InvalidBody, TooLarge, UnsupportedMediaType
from chalicelib.http import BASE, Request
from chalicelib.imports import importer, store, template, undoing
from chalicelib.imports.model import CONTENT_TYPES, EXTENSIONS, Duplicates, Import
from chalicelib.totals import store as totals
from chalicelib.workbooks import languages

routes = http.Routes(__name__)

DEFAULT_LIMIT = 20
MAX_FILE = 4 * 1024 * 1024
MAX_FORM = MAX_FILE + 64 * 1024
MAX_UPLOAD = 200 * 1024 * 1024


class Upload(msgspec.Struct, frozen=True):
    """A file sent in a form."""

    file_name: str
    content: bytes
    duplicates: Duplicates


class Announcement(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A file that will be sent to the bucket."""

    file_name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    duplicates: Duplicates = Duplicates.UPDATE


@routes.post(f"{BASE}/contacts/upload-excel", max_body=MAX_FORM)
def upload(request: Request) -> Response:
    sent = _upload(request)
    new = _begin(request, sent.file_name, sent.duplicates)
    s3.put(new.key, sent.content)
    return http.ok(new.view(), 202, location=f"/imports/{new.import_id}")


@routes.post(f"{BASE}/imports")
def announce(request: Request) -> Response:
    wanted = request.json(Announcement)
    content_type = CONTENT_TYPES[_extension(wanted.file_name)]
    new = _begin(request, _base_name(wanted.file_name), wanted.duplicates)
    answer = {"import": new.view(), "upload": s3.form(new.key, content_type, MAX_UPLOAD)}
    return http.ok(answer, 201, location=f"/imports/{new.import_id}")


def _begin(request: Request, file_name: str, duplicates: Duplicates) -> Import:
    organization_id, import_id = request.identity.organization_id, request.new_id
    new = Import(
        organization_id=organization_id,
        import_id=import_id,
        key=store.upload_key(organization_id, import_id),
        file_name=file_name,
        duplicates=duplicates,
        language=_language(request),
        created_at=clock.stamp(clock.now()),
    )
    importer.begin(new)
    return new


def _language(request: Request) -> languages.Language:
    return languages.of(request.headers.get("accept-language", ""))


def _extension(file_name: str) -> str:
    """The end of a file's name. Raises UnsupportedMediaType for one that is not imported."""
    extension = next((each for each in EXTENSIONS if file_name.lower().endswith(each)), None)
    if extension is None:
        raise UnsupportedMediaType(f"Send a workbook: {', '.join(EXTENSIONS)}.")
    return extension


def _upload(request: Request) -> Upload:
    """The form's file. Raises UnsupportedMediaType, InvalidBody, TooLarge."""
    import multipart

    kind, options = multipart.parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise UnsupportedMediaType("Send the workbook as multipart/form-data in the field `file`.")
    try:
        parts = multipart.MultipartParser(io.BytesIO(request.body), options["boundary"], spool_limit=MAX_FORM)
        form = {part.name: part for part in parts}
    except (multipart.MultipartError, UnicodeError, LookupError) as error:
        raise InvalidBody(FieldError("", f"the form cannot be read: {error}")) from None
    file = form.get("file")
    if file is None or not file.filename:
        raise InvalidBody(FieldError("file", "required: the workbook"))
    _extension(file.filename)
    if file.size > MAX_FILE:
        raise TooLarge("A workbook sent this way may have 4 MB.")
    return Upload(_base_name(file.filename), file.raw, _duplicates(form))


def _base_name(file_name: str) -> str:
    return file_name.replace("\\", "/").rpartition("/")[2][:255]


def _duplicates(form: dict[str, object]) -> Duplicates:
    given = form.get("duplicates")
    try:
        return Duplicates(given.value) if given else Duplicates.UPDATE  # type: ignore[attr-defined]
    except (ValueError, LookupError):
        raise InvalidBody(FieldError("duplicates", f"expected one of {', '.join(Duplicates)}")) from None


@routes.get(f"{BASE}/imports")
def show_all(request: Request) -> Response:
    paging = request.paging(DEFAULT_LIMIT)
    organization_id = request.identity.organization_id
    page = store.page(organization_id, paging)
    total = totals.total(totals.Kind.IMPORTS, organization_id)
    return http.listing(request, paging, Page([_view(each) for each in page.data], page.next_cursor), total)


@routes.get(f"{BASE}/imports/template")
def show_template(request: Request) -> Response:
    key, file_name = template.of(_language(request))
    return http.ok({"url": s3.link(key, file_name)})


@routes.get(f"{BASE}/imports/{{id}}")
def show(request: Request) -> Response:
    return http.ok(_view(store.find(request.identity.organization_id, request.id())))


@routes.delete(f"{BASE}/imports/{{id}}")
def undo(request: Request) -> Response:
    of = undoing.begin(store.find(request.identity.organization_id, request.id()))
    return http.ok(_view(of), 202)


def _view(of: Import) -> dict[str, Any]:
    name = f"{of.file_name.rpartition('.')[0] or of.file_name}-rejected.xlsx"
    return of.view(error_report_url=s3.link(of.report, name) if of.report else None)
