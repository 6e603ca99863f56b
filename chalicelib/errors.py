"""What can go wrong, in the product's terms. An error's docstring is its default message; nothing here knows HTTP."""

from __future__ import annotations


class Failure(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "", **extra: object) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.extra = extra
        """Members a caller may act on, such as the contact that already has the phone."""


class FieldError(Failure):
    """One value of the input is not acceptable."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Invalid(Failure):
    """The input is not acceptable."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.field}: {e}" if e.field else str(e) for e in errors))
        self.errors = errors


class InvalidBody(Invalid):
    """The request's body is not acceptable."""


class InvalidParameter(Invalid):
    """A parameter of the request is not acceptable."""


class Unauthorized(Failure):
    """A bearer token is required."""


class Forbidden(Unauthorized):
    """The token's role does not allow this."""


class NotFound(Failure):
    """There is no such thing in this organization."""


class PhoneTaken(Failure):
    """Another contact of the organization has this phone."""


class CampaignEmpty(Failure):
    """The campaign has nobody to call: add contacts first."""


class CampaignRunning(Failure):
    """The campaign is running or still has calls under way: stop it and wait for its last call to end."""


class CampaignNotRunning(Failure):
    """The campaign is not running."""


class CampaignFinished(Failure):
    """The campaign has finished: everybody in it was called."""


class ImportRunning(Failure):
    """The import is still running: wait until it has ended."""


class CallUnderWay(Failure):
    """The contact is being called right now: try again when the call has ended."""


class IdempotencyConflict(Failure):
    """Something else was asked with this Idempotency-Key before: send a new key with a new request."""


class RequestUnderWay(IdempotencyConflict):
    """The request with this Idempotency-Key is still under way: ask again in a moment."""


class PreconditionFailed(Failure):
    """It was changed since you looked at it: look again, and change it with the ETag that it has then."""


class TooLarge(Failure):
    """The file or body is too large."""


class UnsupportedMediaType(Failure):
    """The body's content type is not supported here."""


class Conflict(Failure):
    """A conditional write lost: the row is no longer as it was read."""


class TooMany(Conflict):
    """More than somebody may ask for; in `again_seconds` some more."""

    def __init__(self, message: str, again_seconds: int) -> None:
        super().__init__(message)
        self.again_seconds = again_seconds


class Unavailable(Failure):
    """Something behind us does not answer: try again in a moment."""
