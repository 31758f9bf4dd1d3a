"""Publish a signed document: a small JSON file that every vehicle may have, such as ingest's keys.

Order as for a release: the file, then the Image metadata, timestamp last. A crash leaves at most a
file that nothing leads to; running the same command again finishes the work.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tuf.api.metadata import TargetFile

from ota.errors import DocumentError
from ota.metadata.models import MAX_DOCUMENT_BYTES, document_name
from ota.publisher.errors import NotFoundError, NotNewerError
from ota.publisher.layout import Repositories

INGEST_KEYS = "ingest-keys"


class _Serial(msgspec.Struct, frozen=True):
    """The one field that every document has; its other fields are its readers' business."""

    serial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPlan:
    """What publishing would do; ``is_new`` is false for what is published already."""

    target: str
    content: bytes
    sha256: str
    serial: int
    is_new: bool


def publish_document(
    repositories: Repositories, name: str, path: Path, *, dry_run: bool = False
) -> DocumentPlan:
    """Publish the file ``path`` as the document ``name``; return what was done.

    With ``dry_run`` nothing changes.

    Raises:
        NotFoundError: There is no such file.
        DocumentError: It is no document: not JSON, without a serial, or too large.
        NotNewerError: Its serial is not above that of what is published.
        KeyMissingError: The offline keys are not at hand.
    """
    plan = _plan(repositories, name, path)
    if dry_run or not plan.is_new:
        return plan
    image, layout = repositories.image(), repositories.layout
    image.check_keys()  # before the first file is written
    repositories.files.write(layout.target_path(plan.target, plan.sha256), plan.content)
    custom = {"document": {"serial": plan.serial}}
    hashes = {"sha256": plan.sha256}
    image.replace_target(
        plan.target, TargetFile(len(plan.content), hashes, plan.target, {"custom": custom})
    )
    return plan


def _plan(repositories: Repositories, name: str, path: Path) -> DocumentPlan:
    content = _read(path)
    serial = _serial(path, content)
    target = document_name(name)
    sha256 = hashlib.sha256(content).hexdigest()
    listed = repositories.image().targets().get(target)
    is_new = listed is None or listed.hashes != {"sha256": sha256}
    if listed is not None and is_new:
        published = msgspec.convert(listed.custom["document"], _Serial).serial
        if serial <= published:
            raise NotNewerError(str(path), expected=f"a serial above {published}", got=str(serial))
    return DocumentPlan(target=target, content=content, sha256=sha256, serial=serial, is_new=is_new)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise NotFoundError(str(path), expected="a document", got=str(error.strerror)) from error
    if len(content) > MAX_DOCUMENT_BYTES:
        raise DocumentError(
            str(path), expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=str(len(content))
        )
    return content


def _serial(path: Path, content: bytes) -> int:
    try:
        return msgspec.json.decode(content, type=_Serial).serial
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise DocumentError(
            str(path), expected="a JSON object with a serial", got=str(error)
        ) from error
