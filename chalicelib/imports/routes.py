"""REST routes of imports."""

from __future__ import annotations

import io

import msgspec
from chalice.app import Response

from chalicelib import clock, http, ids
from chalicelib.errors import FieldError, InvalidBody, TooLarge, UnsupportedMediaType
from chalicelib.http import BASE, Request
from chalicelib.imports import store
from chalicelib.imports.model import EXTENSIONS, Duplicates, Import
from chalicelib.totals import store as totals

routes = http.Routes(__name__)

DEFAULT_LIMIT = 20
MAX_FILE = 4 * 1024 * 1024
MAX_FORM = MAX_FILE + 64 * 1024


class Upload(msgspec.Struct, frozen=True):
    """A file sent in a form."""

    file_name: str
    content: bytes
    duplicates: Duplicates


@routes.post(f"{BASE}/contacts/upload-excel", max_body=MAX_FORM)
def upload(request: Request) -> Response:
    sent = _upload(request)
    organization_id, import_id = request.identity.organization_id, ids.new_id()
    new = Import(
        organization_id=organization_id,
        import_id=import_id,
        key=store.upload_key(organization_id, import_id),
        file_name=sent.file_name,
        duplicates=sent.duplicates,
        created_at=clock.stamp(clock.now()),
    )
    store.add(new)
    store.put_file(new.key, sent.content)
    return http.ok(new.view(), 202, location=f"/imports/{import_id}")


def _upload(request: Request) -> Upload:
    """The form's file. Raises UnsupportedMediaType, InvalidBody, TooLarge."""
    import multipart

    kind, options = multipart.parse_options_header(request.headers.get("content-type", ""))
    if kind != "multipart/form-data" or not options.get("boundary"):
        raise UnsupportedMediaType("Send the workbook as multipart/form-data in the field `file`.")
    try:
        parts = multipart.MultipartParser(io.BytesIO(request.body), options["boundary"], spool_limit=MAX_FORM)
        form = {part.name: part for part in parts}
    except multipart.MultipartError as error:
        raise InvalidBody(FieldError("", f"the form cannot be read: {error}")) from None
    file = form.get("file")
    if file is None or not file.filename:
        raise InvalidBody(FieldError("file", "required: the workbook"))
    if not file.filename.lower().endswith(EXTENSIONS):
        raise UnsupportedMediaType(f"Send a workbook: {', '.join(EXTENSIONS)}.")
    if file.size > MAX_FILE:
        raise TooLarge("A workbook sent this way may have 4 MB.")
    return Upload(_base_name(file.filename), file.raw, _duplicates(form))


def _base_name(file_name: str) -> str:
    return file_name.replace("\\", "/").rpartition("/")[2][:255]


def _duplicates(form: dict[str, object]) -> Duplicates:
    given = form.get("duplicates")
    try:
        return Duplicates(given.value) if given else Duplicates.UPDATE  # type: ignore[attr-defined]
    except ValueError:
        raise InvalidBody(FieldError("duplicates", f"expected one of {', '.join(Duplicates)}")) from None


@routes.get(f"{BASE}/imports")
def show_all(request: Request) -> Response:
    paging = request.paging(DEFAULT_LIMIT)
    organization_id = request.identity.organization_id
    return http.listing(
        request, paging, store.page(organization_id, paging), totals.total(totals.Kind.IMPORTS, organization_id)
    )


@routes.get(f"{BASE}/imports/{{id}}")
def show(request: Request) -> Response:
    return http.ok(store.find(request.identity.organization_id, request.id()).view())
