"""The release record: what is released, for which hardware, by whom, and why.

A person writes ``release.toml`` beside the package; nothing in it has a default, because a fact
that nobody wrote is a fact that nobody thought about. It becomes the signed custom field of the
image and, with what was published, one JSON file in the publisher's ``releases/``.
"""

import tomllib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ota.metadata.chunks import describe
from ota.metadata.custom import Counter, Criticality, Delta, Facts, ImageCustom, Release, Reuse
from ota.metadata.models import format_utc, target_name
from ota.publisher.errors import MissingFactError, NotFoundError
from ota.publisher.package import PackageInfo

RELEASE_NAME = "release.toml"


class ReleaseSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person writes about a release; ``facts`` maps a language to the driver's five."""

    name: str
    version: str
    release_counter: Counter
    hardware_ids: tuple[str, ...]
    by: Annotated[str, Meta(min_length=1, max_length=200)]
    why: Annotated[str, Meta(min_length=1, max_length=2_000)]
    criticality: Criticality
    recall_number: str | None = None  # a recall has one, nothing else has
    facts: dict[str, Facts]
    requires: dict[str, Counter] = {}  # name of an app: lowest release counter beside this one
    conflicts: tuple[str, ...] = ()  # names of apps that must not be beside this one
    needs_technician: bool = False  # not without somebody trained beside the vehicle


class ReleaseRecord(Struct, frozen=True, kw_only=True):
    """What was released: the spec, the exact image, and when (UTC)."""

    schema: str = "okdrive-ota.release/1"
    target: str
    sha256: str
    length: int
    published: str
    release: ReleaseSpec


def sidecar(package: Path) -> Path:
    """Return where a package's release TOML is looked for: ``<name>.release.toml`` beside it."""
    return package.with_suffix(".release.toml")


def load_release(path: Path) -> ReleaseSpec:
    """Read ``path`` (TOML).

    Raises:
        NotFoundError: There is no such file.
        MissingFactError: A fact is missing, empty, unknown or of the wrong shape.
    """
    try:
        plain = tomllib.loads(path.read_text())
        return msgspec.convert(plain, type=ReleaseSpec)
    except FileNotFoundError as error:
        raise NotFoundError(str(path), expected="the release's facts", got="no file") from error
    except (OSError, ValueError) as error:
        raise MissingFactError(
            str(path), expected="every fact of a release", got=str(error)
        ) from error


def image_custom(
    spec: ReleaseSpec,
    package: PackageInfo,
    deltas: Sequence[Delta] = (),
    reuse: Sequence[Reuse] = (),
) -> ImageCustom:
    """Return the signed custom field of ``package`` released as ``spec`` says.

    ``deltas`` lead to it; ``reuse`` is what it costs where earlier releases are installed.

    Raises:
        MissingFactError: The facts are about another package, or not complete.
    """
    manifest = package.manifest
    if (spec.name, spec.version) != (manifest.name, manifest.version):
        raise MissingFactError(
            "release",
            expected=f"facts about {manifest.name} {manifest.version}",
            got=f"facts about {spec.name} {spec.version}",
        )
    try:
        release = Release(
            criticality=spec.criticality, recall_number=spec.recall_number, facts=spec.facts
        )
        return ImageCustom(
            hardware_ids=_some(spec.hardware_ids),
            release_counter=spec.release_counter,
            version=spec.version,
            kind=manifest.kind,
            name=spec.name,
            release=release,
            unpacked_bytes=manifest.unpacked_bytes,
            chunks=describe(package.chunks, size_bytes=package.chunk_bytes),
            requires=spec.requires,
            conflicts=spec.conflicts,
            needs_technician=spec.needs_technician,
            delta=tuple(deltas),
            reuse=tuple(reuse),
        )
    except ValueError as error:
        raise MissingFactError(
            "release", expected="every fact of a release", got=str(error)
        ) from error


def record_of(spec: ReleaseSpec, package: PackageInfo, now: datetime) -> ReleaseRecord:
    """Return the record of publishing ``package`` as ``spec`` at ``now``."""
    return ReleaseRecord(
        target=target_name(spec.name, spec.version, package.manifest.kind),
        sha256=package.sha256,
        length=package.length,
        published=format_utc(now),
        release=spec,
    )


def encode_record(record: ReleaseRecord) -> bytes:
    """Return ``record`` as indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _some(hardware_ids: tuple[str, ...]) -> tuple[str, ...]:
    if not hardware_ids:
        raise ValueError("hardware_ids: expected at least one")
    return hardware_ids
