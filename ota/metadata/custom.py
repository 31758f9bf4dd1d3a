"""okdrive's custom fields of TUF targets: typed, and checked on both sides.

The publisher builds them from these Structs, the vehicle reads them back through the same ones,
so neither can hold what the other refuses. Fields a later version adds are ignored by an older
vehicle: they are signed by the same keys, and refusing them would lock old vehicles out.
"""

import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ota.errors import CustomFieldError
from ota.metadata.models import TIME_FORMAT, is_app_name, is_identifier, is_version

MAX_COUNTER = 2**31 - 1  # fits every store; 68 years of one release a second
MAX_LANGUAGES = 32
MAX_DELTAS = 16  # to one image; older vehicles take the whole one
MAX_REUSES = 16  # installed versions that a cost is signed for
MAX_CHUNK_LIST_BYTES = 2_097_152  # 65,536 chunks

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Utc = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")]
Counter = Annotated[int, Meta(ge=1, le=MAX_COUNTER)]
S = TypeVar("S", bound=Struct)


class Kind(StrEnum):
    """What an image is; further kinds enter with the installer that installs them."""

    APP = "app"  # downloadable: the driver chose it and may remove it
    EMBEDDED = "embedded"  # a system app: part of the vehicle, never removed


class Criticality(StrEnum):
    """Why a release exists, in the word the driver is told."""

    FEATURE = "feature"
    SECURITY = "security"
    RECALL = "recall"


class Facts(Struct, frozen=True, kw_only=True):
    """The five things a driver is told before an update, in one language."""

    purpose: Text
    changes: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=20)]
    duration_s: Annotated[int, Meta(ge=1, le=86_400)]  # at worst
    unavailable: Text
    instructions: Text

    def __post_init__(self) -> None:
        for text in (self.purpose, *self.changes, self.unavailable, self.instructions):
            _check_text(text)


class Release(Struct, frozen=True, kw_only=True):
    """What a release is about; ``facts`` maps a language tag to what drivers read."""

    criticality: Criticality
    recall_number: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    facts: Annotated[dict[str, Facts], Meta(min_length=1, max_length=MAX_LANGUAGES)]

    def __post_init__(self) -> None:
        if "en" not in self.facts:
            raise ValueError("facts: expected English (en) among the languages")
        if (self.criticality is Criticality.RECALL) != (self.recall_number is not None):
            raise ValueError("recall_number: expected for a recall, and only then")
        for language in self.facts:
            _check_identifier(language)
        if self.recall_number is not None:
            _check_text(self.recall_number)


class Chunks(Struct, frozen=True, kw_only=True):
    """Where an image's list of chunks is, and how it is checked; see ``ota.metadata.chunks``.

    ``size_bytes`` of every chunk but the last; ``sha256`` (hex) and ``length`` of the list.
    """

    size_bytes: Annotated[int, Meta(ge=4_096, le=16_777_216)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    length: Annotated[int, Meta(ge=32, le=MAX_CHUNK_LIST_BYTES)]


class Delta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A difference that gives this image; see ``ota.metadata.delta``.

    ``from_sha256``: the package that must be installed, None for a difference from nothing (the
    whole image, compressed). ``sha256`` and ``length`` of the difference; the result is the image.
    """

    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    length: Annotated[int, Meta(ge=1, le=2**40)]
    from_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None


class Reuse(Struct, frozen=True, kw_only=True):
    """What the whole image costs where ``from_sha256`` is installed: ``length`` bytes.

    The pieces that can be made of what is installed are not fetched; see ``ota.metadata.reuse``.
    """

    from_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    length: Annotated[int, Meta(ge=1, le=2**40)]


class ImageCustom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the Image repository's offline keys say about one image.

    ``unpacked_bytes`` and ``chunks`` are absent from releases older than these fields: such an
    image needs room as for its own length, and is fetched anew from the start if it is wrong.
    ``requires`` maps names of apps to the lowest release counter that must be there with it;
    ``conflicts`` names apps that must not be. ``needs_technician``: not without somebody trained.
    """

    hardware_ids: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    release_counter: Counter
    version: str
    kind: Kind
    name: str
    release: Release
    unpacked_bytes: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    chunks: Chunks | None = None
    requires: Annotated[dict[str, Counter], Meta(max_length=32)] = {}
    conflicts: Annotated[tuple[str, ...], Meta(max_length=32)] = ()
    needs_technician: bool = False
    delta: Annotated[tuple[Delta, ...], Meta(max_length=MAX_DELTAS)] = ()
    reuse: Annotated[tuple[Reuse, ...], Meta(max_length=MAX_REUSES)] = ()

    def __post_init__(self) -> None:
        for hardware_id in self.hardware_ids:
            _check_identifier(hardware_id)
        if not is_app_name(self.name):
            raise ValueError(f"name: expected a-z, 0-9 and -, got {self.name[:80]!r}")
        if not is_version(self.version):
            raise ValueError(f"version: expected MAJOR.MINOR.PATCH, got {self.version[:80]!r}")
        for other in (*self.requires, *self.conflicts):
            if not is_app_name(other) or other == self.name:
                raise ValueError(f"requires, conflicts: expected other apps, got {other[:80]!r}")


class EcuAssignment(Struct, frozen=True, kw_only=True):
    """The Director's word on one ECU: this hardware, this release."""

    hardware_id: str
    release_counter: Counter

    def __post_init__(self) -> None:
        _check_identifier(self.hardware_id)


class DirectorCustom(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which ECUs of the vehicle get the image; ``ecus`` maps an ECU id to its assignment.

    Images of one ``campaign`` are installed together, all or none. Past ``deadline`` a recall needs
    no driver's OK.
    """

    ecus: Annotated[dict[str, EcuAssignment], Meta(min_length=1, max_length=256)]
    campaign: str | None = None
    deadline: Utc | None = None

    def __post_init__(self) -> None:
        for identifier in (*self.ecus, *([] if self.campaign is None else [self.campaign])):
            _check_identifier(identifier)
        if self.deadline is not None:
            datetime.strptime(self.deadline, TIME_FORMAT).replace(tzinfo=UTC)


class DelegationCustom(Struct, frozen=True, kw_only=True):
    """okdrive's fields of one delegation; None and empty: no such limit.

    ``hardware_ids``: it speaks about images for such hardware only. ``agree_with``: names of roles
    of the same delegator that must list the very same image.
    """

    hardware_ids: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)] | None = None
    agree_with: Annotated[tuple[str, ...], Meta(max_length=8)] = ()

    def __post_init__(self) -> None:
        for hardware_id in self.hardware_ids or ():
            _check_identifier(hardware_id)


def parse_delegation_custom(fields: object) -> DelegationCustom:
    """Return the typed fields of a delegation, from those TUF does not know.

    Shape: ``{"hardware_ids": [id, ...], "agree_with": [role name, ...]}``; both may be absent.

    Raises:
        CustomFieldError: A field is empty, too long, or not of that shape.
    """
    return _parse(fields, DelegationCustom, "delegation")


def parse_image_custom(custom: object) -> ImageCustom:
    """Return the typed custom field of an Image target.

    Shape: ``{"hardware_ids": [id, ...], "release_counter": int, "version": "1.2.3", "kind": "app",
    "name": str, "release": {"criticality": "feature|security|recall", "recall_number": str|null,
    "facts": {language: {"purpose", "changes": [str], "duration_s": int, "unavailable",
    "instructions"}}}}``, and from releases that have them ``"unpacked_bytes": int`` and
    ``"chunks": {"size_bytes": int, "sha256": hex, "length": int}``; where there is a need also
    ``"requires": {name: int}``, ``"conflicts": [name]``, ``"needs_technician": bool``,
    ``"delta": [{"sha256": hex, "length": int, "from_sha256": hex}]`` and
    ``"reuse": [{"from_sha256": hex, "length": int}]``.

    Raises:
        CustomFieldError: A field is missing, too long, or not of that shape.
    """
    return _parse(custom, ImageCustom, "image custom")


def parse_director_custom(custom: object) -> DirectorCustom:
    """Return the typed custom field of a Director target.

    Shape: ``{"ecus": {ecu_id: {"hardware_id": id, "release_counter": int}}, "campaign": id,
    "deadline": "YYYY-MM-DDTHH:MM:SSZ"}``; the last two may be absent.

    Raises:
        CustomFieldError: A field is missing, too long, or not of that shape.
    """
    return _parse(custom, DirectorCustom, "director custom")


def to_custom(fields: ImageCustom | DirectorCustom) -> dict[str, object]:
    """Return ``fields`` as the plain object that goes into signed metadata."""
    plain: dict[str, object] = msgspec.to_builtins(fields)
    return plain


def _parse(custom: object, kind: type[S], subject: str) -> S:
    try:
        return msgspec.convert(custom, type=kind)
    except (ValueError, RecursionError, TypeError) as error:
        raise CustomFieldError(subject, expected=f"a {kind.__name__}", got=str(error)) from error


def _check_identifier(text: str) -> None:
    if not is_identifier(text):
        raise ValueError(f"expected an id of A-Z, a-z, 0-9, '.', '_' and '-', got {text[:80]!r}")


def _check_text(text: str) -> None:
    if not text.strip() or unicodedata.normalize("NFC", text) != text:
        raise ValueError("text for a person: expected words in Unicode NFC")
    if any(unicodedata.category(char).startswith("C") for char in text):
        raise ValueError("text for a person: expected no control characters")
