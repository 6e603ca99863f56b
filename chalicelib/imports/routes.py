"""REST routes of imports."""

from __future__ import annotations

import io
from typing import Annotated

import msgspec
from chalice.app import Response
from msgspec import Meta, Struct

from chalicelib import clock, http
from chalicelib.activity.model import Action
from chalicelib.auth import Role
from chalicelib.aws import s3
from chalicelib.aws.dynamodb import Page
from chalicelib.errors import FieldError, ImportRunning, InvalidBody, TooLarge, UnsupportedMediaType
from chalicelib.http import BASE, Request
from chalicelib.imports import importer, store, template, undoing
from chalicelib.imports.model import CONTENT_TYPES, EXTENSIONS, Duplicates, Import, ImportView
from chalicelib.totals import store as totals
from chalicelib.workbooks import languages

routes = http.Routes(__name__)

MAX_FILE = 4 * 1024 * 1024
MAX_FORM = MAX_FILE + 64 * 1024
MAX_UPLOAD = 200 * 1024 * 1024


class Upload(Struct, frozen=True):
    """A file sent in a form."""

    file_name: str
    content: bytes
    duplicates: Duplicates


class UploadForm(Struct, frozen=True):
    """A workbook, and what happens to a row whose phone is a contact's already."""

    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
    duplicates: Duplicates = Duplicates.UPDATE


class Announcement(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A file that will be sent to the bucket, and what happens to a row whose phone is a contact's already."""

    file_name: Annotated[str, Meta(min_length=1, max_length=255)]
    duplicates: Duplicates = Duplicates.UPDATE


class PresignedForm(Struct, frozen=True):
    """Where a browser sends a file within an hour, and the fields it sends before it."""

    url: str
    fields: dict[str, str]


class Announced(Struct, frozen=True):
    """An import whose file is waited for."""

    import_: ImportView = msgspec.field(name="import")
    upload: PresignedForm


class Template(Struct, frozen=True):
    """Where the empty workbook can be downloaded, for an hour."""

    url: str


LANGUAGE = {"Accept-Language": "The language of people's workbooks: uz, ru or en."}


@routes.post(
    f"{BASE}/contacts/upload-excel",
    "uploadContacts",
    role=Role.OPERATOR,
    does=Action.IMPORT_CREATED,
    form=UploadForm,
    headers=LANGUAGE,
    answers={202: ImportView},
    locates=True,
    max_body=MAX_FORM,
)
def upload(request: Request) -> Response:
    """Import a workbook of up to 4 MB: .xlsx, .xls, .ods, .csv or .vcf."""
    sent = _upload(request)
    new = _begin(request, sent.file_name, sent.duplicates)
    s3.put(new.key, sent.content)
    return http.ok(new.view(), 202, location=f"/imports/{new.import_id}")


@routes.post(
    f"{BASE}/imports",
    "createImport",
    role=Role.OPERATOR,
    does=Action.IMPORT_CREATED,
    body=Announcement,
    example={"fileName": "contacts.xlsx"},
    headers=LANGUAGE,
    answers={201: Announced},
    locates=True,
)
def announce(request: Request) -> Response:
    """Announce a file of up to 200 MB; it is imported when it has been sent to the address in the answer."""
    wanted = request.json(Announcement)
    content_type = CONTENT_TYPES[_extension(wanted.file_name)]
    new = _begin(request, _base_name(wanted.file_name), wanted.duplicates)
    answer = Announced(new.view(), PresignedForm(**s3.form(new.key, content_type, MAX_UPLOAD)))
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


@routes.get(f"{BASE}/imports", "listImports", role=Role.VIEWER, lists=ImportView, limit=20, sorts=True)
def show_all(request: Request) -> Response:
    """List imports, the newest first."""
    paging = request.paging()
    organization_id = request.identity.organization_id
    page = store.page(organization_id, paging)
    total = totals.total(totals.Kind.IMPORTS, organization_id)
    return http.listing(request, paging, Page([_view(each) for each in page.data], page.next_cursor), total)


@routes.get(
    f"{BASE}/imports/template", "getImportTemplate", role=Role.VIEWER, headers=LANGUAGE, answers={200: Template}
)
def show_template(request: Request) -> Response:
    """Download the empty workbook, ready to fill in."""
    key, file_name = template.of(_language(request))
    return http.ok(Template(s3.link(key, file_name)))


@routes.get(f"{BASE}/imports/{{id}}", "getImport", role=Role.VIEWER, answers={200: ImportView})
def show(request: Request) -> Response:
    """Look at an import."""
    return http.ok(_view(store.find(request.identity.organization_id, request.id())))


@routes.delete(
    f"{BASE}/imports/{{id}}",
    "undoImport",
    role=Role.OPERATOR,
    does=Action.IMPORT_UNDONE,
    answers={202: ImportView},
    raises=[ImportRunning],
)
def undo(request: Request) -> Response:
    """Remove the contacts an import created, unless somebody called or changed them since."""
    of = undoing.begin(store.find(request.identity.organization_id, request.id()), now=clock.now())
    return http.ok(_view(of), 202)


def _view(of: Import) -> ImportView:
    name = f"{of.file_name.rpartition('.')[0] or of.file_name}-rejected.xlsx"
    return of.view(error_report_url=s3.link(of.report, name) if of.report else None)
