"""What a person or a client may answer: typed, bounded, as form or as JSON; pure."""

from typing import Annotated, Literal, TypeVar, get_origin
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

MAX_BODY_BYTES = 8 * 1024  # 64 batch ids as a form need 5 kB
_MAX_FIELDS = 80
_HEX = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]  # SHA-256


class AnswerError(Exception):
    """The answer is not one; nothing was done. ``status`` is the HTTP status."""

    code = "screen.bad_answer"

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class TripAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Share or not, and exactly which batches were on the screen."""

    share: bool
    batch_ids: Annotated[list[_HEX], Meta(min_length=1, max_length=64)]


class PurposeAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Grant or withdraw; granting names the notice that was read (SHA-256, hex)."""

    granted: bool
    notice_hash: Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")] = ""


class UpdateAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to install."""

    decision: Literal["now", "tonight", "later"]


class StandingAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Share without asking from now on, or ask again."""

    always: bool


class DriverAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who drives: a profile id, or ``guest``."""

    profile: Annotated[str, Meta(pattern="^([0-9a-f]{16}|guest)$")]


class NewDriverAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The name of another driver; it never leaves the vehicle."""

    name: Annotated[str, Meta(min_length=1, max_length=24)]


class PauseAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long nothing is recorded; ``off`` ends it."""

    pause: Literal["hour", "today", "always", "off"]


class WorkshopAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to show the workshop, and how it answers; it is shown before it is sent."""

    show: Literal["battery", "alert", "both"]
    contact: Annotated[str, Meta(min_length=1, max_length=200)]
    name: Annotated[str, Meta(max_length=80)] = ""
    message: Annotated[str, Meta(max_length=1_000)] = ""
    keep: bool = False


class PlaceAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place that nobody may see: degrees north and east, or neither for where the vehicle is."""

    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    radius_m: Annotated[float, Meta(ge=100, le=5_000)] = 500.0
    name: Annotated[str, Meta(max_length=24)] = ""


class LanguageAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The language of this screen."""

    language: Annotated[str, Meta(max_length=8)]


AnswerT = TypeVar("AnswerT", bound=Struct)


def decode(body: bytes, content_type: str, kind: type[AnswerT]) -> AnswerT:
    """Return ``body`` as ``kind``.

    Args:
        body: At most MAX_BODY_BYTES; the caller sees to that.
        content_type: ``application/json`` or ``application/x-www-form-urlencoded``.
        kind: One of the Structs above.

    Raises:
        AnswerError: 415 for another content type, 400 for anything that is not a ``kind``.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    try:
        if media_type == "application/json":
            return msgspec.json.decode(body, type=kind)
        if media_type == "application/x-www-form-urlencoded":
            return _decode_form(body, kind)
    except ValueError as error:  # msgspec's and urllib's errors are ValueErrors
        raise AnswerError(f"the answer was not understood, nothing was done: {error}") from error
    raise AnswerError(f"expected JSON or a form, got {media_type[:80]!r}; nothing was done", 415)


def _decode_form(body: bytes, kind: type[AnswerT]) -> AnswerT:
    fields = parse_qs(body.decode(), max_num_fields=_MAX_FIELDS, keep_blank_values=True)
    lists = {one.name for one in msgspec.structs.fields(kind) if _is_list(one.type)}
    plain = {name: values if name in lists else values[-1] for name, values in fields.items()}
    return msgspec.convert(plain, type=kind, strict=False)


def _is_list(kind: object) -> bool:
    return get_origin(getattr(kind, "__origin__", kind)) is list or get_origin(kind) is list
