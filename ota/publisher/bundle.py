"""Write a stick: releases for many vehicles, signed to be installed without a network (PURE-2)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import MetaFile, Role, Root, Snapshot, TargetFile, Targets

from ota.errors import MalformedError
from ota.metadata.custom import ImageCustom, parse_image_custom
from ota.metadata.models import is_document, parse_metadata, version_key
from ota.metadata.offline import SNAPSHOT, TARGETS, offline_delegator, offline_roles
from ota.publisher.errors import BrokenRepositoryError, ConflictError, NotFoundError
from ota.publisher.keys import load_signer, public_keys, write_key
from ota.publisher.layout import OFFLINE_ROLES, Repositories
from ota.publisher.ports import locked
from ota.publisher.repository import Published
from ota.publisher.roles import add_offline_roles, sign


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePlan:
    """What a stick will hold: target names, the version of its list, and its size in bytes."""

    targets: tuple[str, ...]
    version: int
    size_bytes: int


def write_bundle(
    repositories: Repositories, folder: Path, wanted: Iterable[str] = (), *, dry_run: bool = False
) -> BundlePlan:
    """Write a stick to ``folder`` that offers ``wanted`` (none: the newest release of each app).

    It revokes every stick before it: whoever has seen this list believes no older one.

    Raises:
        NotFoundError: A target was never released, or nothing was published yet.
        ConflictError: ``folder`` holds something else, two targets are for the same app and
            hardware, or this Director's root has no roles for sticks (``enable_bundles``).
        KeyMissingError: The offline keys are not at hand.
        BrokenRepositoryError: What was published is not whole.
        OSError: The disk or the stick refused.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConflictError(str(folder), expected="an empty folder", got="one with files")
    image = repositories.image()
    published = image.published()
    if published is None:
        raise NotFoundError(str(image.folder), expected="a published repository", got="none")
    chosen = _chosen(published, tuple(wanted))
    root = repositories.director_base().root().signed
    signers = _signers(repositories, root)
    before = _read_before(repositories, root)
    version = 1 if before is None else before.version + 1
    names = tuple(file.path for file in chosen)
    size = sum(file.length for file in chosen)
    plan = BundlePlan(targets=names, version=version, size_bytes=size)
    if not dry_run:
        with locked(repositories.layout.director_offline):
            _sign(repositories, chosen, version, signers)
        _copy(repositories, folder, published, chosen)
    return plan


def enable_bundles(repositories: Repositories, *, dry_run: bool = False) -> int | None:
    """Let a Director that is older than sticks write them; return its new root's version.

    None: it can already. Makes the two offline keys (those of an attempt that was interrupted are
    used again) and a next root that names them; vehicles follow it at their next check.

    Raises:
        NotFoundError, BrokenRepositoryError: There is no Director's root.
        KeyMissingError: The Director's root keys are not at hand; nothing was made.
        OSError: The disk refused.
    """
    director = repositories.director_base()
    root = director.root().signed
    if offline_roles(root):
        return None
    repositories.director_ring().signers_for(Root.type, root.roles[Root.type])
    if not dry_run:
        folder = repositories.layout.offline_keys / "director"
        for_sticks = {role: public_keys([_key(folder, role)]) for role in OFFLINE_ROLES}
        add_offline_roles(root, for_sticks)
        root.version += 1
        root.expires = repositories.lifetimes.expires(Root.type, repositories.clock.utc_now())
        director.next_root(root)
        return root.version
    return root.version + 1


def _key(folder: Path, role: str) -> CryptoSigner:
    path = folder / f"{role}-1.pem"
    return load_signer(path) if path.exists() else write_key(path)


def _chosen(published: Published, wanted: tuple[str, ...]) -> list[TargetFile]:
    released = published.targets.signed.targets
    if unknown := [name for name in wanted if name not in released]:
        raise NotFoundError(unknown[0], expected="a released target", got="none")
    newest: dict[tuple[str, str], TargetFile] = {}
    for name, file in released.items():
        if is_document(name):
            continue  # for vehicles that are online
        custom = parse_image_custom(file.custom)
        for hardware_id in custom.hardware_ids:
            if not wanted:
                key = (custom.name, hardware_id)
                if key not in newest or _order(custom) > _order(_custom(newest[key])):
                    newest[key] = file
            elif name in wanted and newest.setdefault((custom.name, hardware_id), file) != file:
                raise ConflictError(name, expected="one release of an app", got="two")
    if not newest:
        raise NotFoundError("releases", expected="at least one", got="none")
    return list({file.path: file for file in newest.values()}.values())


def _custom(file: TargetFile) -> ImageCustom:
    return parse_image_custom(file.custom)


def _order(custom: ImageCustom) -> tuple[int, tuple[int, ...]]:
    return custom.release_counter, version_key(custom.version)


def _signers(repositories: Repositories, root: Root) -> dict[str, list[Signer]]:
    roles = offline_roles(root)
    if not roles:
        expected = "roles for sticks (make them with `okdrive-ota bundle enable`)"
        raise ConflictError("director root", expected=expected, got="none")
    ring = repositories.director_ring()
    return {
        name: ring.signers_for(name, Role(list(role.keyids), role.threshold))
        for name, role in roles.items()
    }


def _read_before(repositories: Repositories, root: Root) -> Snapshot | None:
    path = repositories.layout.director_offline / f"{SNAPSHOT}.json"
    if not path.exists():
        return None
    try:
        metadata = parse_metadata(path.read_bytes(), Snapshot)
        delegator = offline_delegator(root)
        delegator.verify_delegate(SNAPSHOT, metadata.signed_bytes, metadata.signatures)
    except (OSError, MalformedError, TufRepositoryError) as error:
        raise BrokenRepositoryError(
            str(path), expected="a file signed by the root's keys", got=str(error)
        ) from error
    return metadata.signed


def _sign(
    repositories: Repositories,
    chosen: Iterable[TargetFile],
    version: int,
    signers: dict[str, list[Signer]],
) -> None:
    """Write the two roles; the Snapshot last, because it leads to the other."""
    folder = repositories.layout.director_offline
    now = repositories.clock.utc_now()
    expires = repositories.lifetimes.expires("offline", now)
    listed = {file.path: _offline_target(file) for file in chosen}
    targets = sign(Targets(version=version, expires=expires, targets=listed), signers[TARGETS])
    meta = {f"{TARGETS}.json": MetaFile.from_data(version, targets, ["sha256"])}
    snapshot = sign(Snapshot(version=version, expires=expires, meta=meta), signers[SNAPSHOT])
    repositories.files.write(folder / f"{TARGETS}.json", targets)
    repositories.files.write(folder / f"{SNAPSHOT}.json", snapshot)


def _offline_target(file: TargetFile) -> TargetFile:
    custom = _custom(file)
    fields = {"hardware_ids": list(custom.hardware_ids), "release_counter": custom.release_counter}
    return TargetFile(file.length, dict(file.hashes), file.path, {"custom": fields})


def _copy(
    repositories: Repositories, folder: Path, published: Published, chosen: Iterable[TargetFile]
) -> None:
    layout, files = repositories.layout, repositories.files
    version = published.targets.signed.version
    metadata = {
        layout.image_metadata / f"{version}.targets.json": f"{version}.targets.json",
        layout.image_metadata
        / f"{published.snapshot.signed.version}.snapshot.json": "snapshot.json",
    }
    for source, name in metadata.items():
        files.write(folder / "image" / "metadata" / name, source.read_bytes())
    for source in layout.image_metadata.glob("*.root.json"):
        files.write(folder / "image" / "metadata" / source.name, source.read_bytes())
    for source in (
        *layout.director_root.glob("*.root.json"),
        layout.director_offline / f"{SNAPSHOT}.json",
        layout.director_offline / f"{TARGETS}.json",
    ):
        files.write(folder / "director" / source.name, source.read_bytes())
    for file in chosen:
        _copy_image(repositories, folder / "image" / "targets", file)


def _copy_image(repositories: Repositories, targets: Path, file: TargetFile) -> None:
    """Copy the image, its list of pieces, and whatever leads to it from an older one."""
    image = repositories.layout.target_path(file.path, file.hashes["sha256"])
    name = image.name.partition(".")[2]
    for source in sorted(image.parent.glob(f"*.{name}")):
        place = targets / source.relative_to(repositories.layout.image_targets)
        repositories.files.copy(source, place)
