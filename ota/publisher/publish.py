"""Publish a release: check it, show the plan, then make it real in an order that survives a crash.

Order: image, release record, Image metadata (timestamp last), assignments. A crash leaves at most
files that nothing leads to, or a published image that no vehicle is told of; running the same
command again finishes the work.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from tuf.api.metadata import TargetFile

from ota.errors import HashMismatchError, PatchError
from ota.metadata.custom import Delta, ImageCustom, Reuse, parse_image_custom, to_custom
from ota.metadata.models import target_name, version_key
from ota.publisher.delta import read_delta
from ota.publisher.errors import NoMatchError, NotNewerError, UnmetNeedError
from ota.publisher.inventory import Assignment, Inventory
from ota.publisher.layout import Layout, Repositories
from ota.publisher.needs import NO_NEEDS, Needs, why_not
from ota.publisher.orders import installed_counters, takes
from ota.publisher.package import PackageInfo, verify_package
from ota.publisher.release import ReleaseSpec, encode_record, image_custom, record_of
from ota.publisher.reuse import plan_reuse

_MOST_EARLIER = 4  # releases that a cost is signed for: who runs an older one takes the whole
ALL = "all"
NOBODY = "nobody"  # released, for whoever wishes for it


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPlan:
    """What publishing would do; ``is_new`` is false for a release that only gets more vehicles.

    ``deltas`` are the files of the differences that ``custom`` names, in the same order.
    """

    target: str
    package: PackageInfo
    custom: ImageCustom
    is_new: bool
    assignments: tuple[Assignment, ...]
    deltas: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """To whom a release is offered, and how.

    ``to`` is a vehicle, ALL or NOBODY. Releases of one ``campaign`` are installed all or none.
    ``deadline`` (``YYYY-MM-DDTHH:MM:SSZ``): past it a recall needs no driver's OK.
    """

    to: str = ALL
    campaign: str | None = None
    deadline: str | None = None


TO_ALL = Offer()


def plan_publish(  # noqa: PLR0913 (what a release is made of)
    repositories: Repositories,
    inventory: Inventory,
    package: Path,
    release: ReleaseSpec,
    *,
    offer: Offer = TO_ALL,
    deltas: Sequence[Path] = (),
) -> PublishPlan:
    """Check everything about releasing ``package`` as ``offer`` says, with ``deltas`` to it.

    Raises:
        NotFoundError, UnsafePackageError: The package is missing or breaks a rule.
        MissingFactError: The release facts are incomplete or about another package.
        NotNewerError: The version exists with other content, or version or counter is not above
            the newest release of that app, or a vehicle is assigned a newer one.
        NoMatchError: No ECU of the chosen vehicles takes this image.
        PatchError: A difference leads to another package.
        UnknownVehicleError: ``offer.to`` is not registered.
        KeyMissingError: The offline keys are not at hand.
    """
    info = verify_package(package)
    custom = image_custom(release, info, [_delta(path, info) for path in deltas])
    target = target_name(custom.name, custom.version, custom.kind)
    image = repositories.image()
    listed = image.images()
    reuse = _reuse(repositories.layout, listed, package, info, custom)
    custom = msgspec.structs.replace(custom, reuse=reuse)
    is_new = _check_newer(listed, target, info, custom)
    if is_new:
        image.check_keys()
    vehicles = {ALL: inventory.vehicles, NOBODY: list}.get(offer.to, lambda: [offer.to])()
    found = _match(inventory, vehicles, target, info, custom)
    assignments = tuple(
        replace(each, campaign=offer.campaign, deadline=offer.deadline) for each in found
    )
    if not assignments and offer.to != NOBODY:
        raise NoMatchError(
            offer.to,
            expected=f"an ECU {custom.kind}/{custom.name} with {' or '.join(custom.hardware_ids)}",
            got="none",
        )
    return PublishPlan(
        target=target,
        package=info,
        custom=custom,
        is_new=is_new,
        assignments=assignments,
        deltas=tuple(deltas),
    )


def publish_image(  # noqa: PLR0913 (what the command line offers)
    repositories: Repositories,
    inventory: Inventory,
    package: Path,
    release: ReleaseSpec,
    *,
    offer: Offer = TO_ALL,
    deltas: Sequence[Path] = (),
    dry_run: bool = False,
) -> PublishPlan:
    """Publish ``package`` as ``release``; see ``publish_images``."""
    (plan,) = publish_images(
        repositories,
        inventory,
        [(package, release)],
        offer=offer,
        deltas=deltas,
        dry_run=dry_run,
    )
    return plan


def publish_images(  # noqa: PLR0913 (what the command line offers)
    repositories: Repositories,
    inventory: Inventory,
    releases: Sequence[tuple[Path, ReleaseSpec]],
    *,
    offer: Offer = TO_ALL,
    deltas: Sequence[Path] = (),
    dry_run: bool = False,
) -> list[PublishPlan]:
    """Publish packages as ``offer`` says, and assign all of them in one step; return what was done.

    What is required stands before what requires it. With ``dry_run`` nothing changes. Raises what
    ``plan_publish`` raises, UnmetNeedError for a vehicle in which an image could not be beside the
    rest, and OSError when the disk refuses: then vehicles see what they saw
    before.
    """
    plans: list[PublishPlan] = []
    for package, release in releases:
        plan = plan_publish(repositories, inventory, package, release, offer=offer, deltas=deltas)
        plans.append(plan)
    assignments = [each for plan in plans for each in plan.assignments]
    _check_needs(inventory, assignments)
    if dry_run:
        return plans
    for plan, (package, release) in zip(plans, releases, strict=True):
        if plan.is_new:
            _publish_new(repositories, package, release, plan)
    inventory.assign(assignments, repositories.clock.utc_now())
    return plans


def _publish_new(
    repositories: Repositories, package: Path, release: ReleaseSpec, plan: PublishPlan
) -> None:
    layout, files = repositories.layout, repositories.files
    stored = layout.target_path(plan.target, plan.package.sha256)
    files.copy(package, stored)
    _check_stored(stored, plan.package.sha256)
    chunks = plan.package.chunks
    files.write(layout.target_path(plan.target, hashlib.sha256(chunks).hexdigest()), chunks)
    for path, delta in zip(plan.deltas, plan.custom.delta, strict=True):
        place = layout.target_path(plan.target, delta.sha256)
        files.copy(path, place)
        _check_stored(place, delta.sha256)
    record = record_of(release, plan.package, repositories.clock.utc_now())
    name = f"{plan.custom.name}-{plan.custom.version}.json"
    files.write(layout.releases / name, encode_record(record))
    repositories.image().add_target(plan.target, _image_target(plan))


def _reuse(
    layout: Layout,
    listed: Mapping[str, TargetFile],
    package: Path,
    info: PackageInfo,
    custom: ImageCustom,
) -> tuple[Reuse, ...]:
    """Return what ``package`` costs where one of the newest earlier releases is installed."""
    target = target_name(custom.name, custom.version, custom.kind)
    if target in listed:  # computed when it was published
        return parse_image_custom(listed[target].custom).reuse
    app = f"{custom.kind}/{custom.name}/"
    counters = {
        path: counter
        for path, file in listed.items()
        if path.startswith(app)
        and (counter := parse_image_custom(file.custom).release_counter) < custom.release_counter
    }
    newest = sorted(counters, key=counters.__getitem__, reverse=True)[:_MOST_EARLIER]
    hashes = {path: listed[path].hashes["sha256"] for path in newest}
    images = [(sha256, layout.target_path(path, sha256)) for path, sha256 in hashes.items()]
    there = [(sha256, image) for sha256, image in images if image.is_file()]
    return plan_reuse(package, info, there, work=layout.root)


def _check_stored(stored: Path, sha256: str) -> None:
    with stored.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:  # the file changed between the check and the copy
        stored.unlink()
        raise HashMismatchError(
            stored.name, expected=sha256, got=found, intact="nothing was published"
        )


def _image_target(plan: PublishPlan) -> TargetFile:
    hashes = {"sha256": plan.package.sha256}
    custom = to_custom(plan.custom)
    return TargetFile(plan.package.length, hashes, plan.target, {"custom": custom})


def _check_newer(
    listed: Mapping[str, TargetFile], target: str, package: PackageInfo, custom: ImageCustom
) -> bool:
    if target in listed:
        _check_same(listed[target], package, custom)
        return False
    earlier = [parse_image_custom(each.custom) for each in listed.values()]
    for each in earlier:
        if each.name != custom.name:
            continue
        if version_key(each.version) >= version_key(custom.version):
            raise _not_newer(custom, "version", f"above {each.version}", custom.version)
        if each.release_counter >= custom.release_counter:
            offered = str(custom.release_counter)
            raise _not_newer(custom, "release counter", f"above {each.release_counter}", offered)
    return True


def _check_same(listed: TargetFile, package: PackageInfo, custom: ImageCustom) -> None:
    if listed.hashes != {"sha256": package.sha256}:
        raise _not_newer(custom, "version", "a version not yet released", "one with other content")
    if parse_image_custom(listed.custom) != custom:
        raise _not_newer(custom, "release", "the facts it was released with", "other facts")


def _match(
    inventory: Inventory,
    vehicles: Iterable[str],
    target: str,
    package: PackageInfo,
    custom: ImageCustom,
) -> Iterable[Assignment]:
    for vehicle in vehicles:
        record = inventory.vehicle(vehicle)
        current = {each.ecu_id: each for each in inventory.assignments(vehicle, withdrawn=True)}
        for ecu in record.ecus:
            if takes(ecu, custom) and ecu.wanted is not False:
                _check_not_older(current.get(ecu.ecu_id), custom)
                yield Assignment(
                    vehicle=vehicle,
                    ecu_id=ecu.ecu_id,
                    hardware_id=ecu.hardware_id,
                    target=target,
                    sha256=package.sha256,
                    length=package.length,
                    release_counter=custom.release_counter,
                    name=custom.name,
                    needs=Needs(requires=dict(custom.requires), conflicts=custom.conflicts),
                )


def _delta(path: Path, package: PackageInfo) -> Delta:
    found = read_delta(path)
    if found.result_sha256 != package.sha256:
        raise PatchError(
            str(path), expected=f"a difference to {package.sha256}", got=found.result_sha256
        )
    return Delta(sha256=found.sha256, length=found.length, from_sha256=found.from_sha256)


def _check_needs(inventory: Inventory, assignments: Sequence[Assignment]) -> None:
    for each in assignments:
        if each.needs == NO_NEEDS:
            continue
        standing = inventory.assignments(each.vehicle)
        together = [other for other in assignments if other.vehicle == each.vehicle]
        beside = installed_counters(inventory, each.vehicle)
        beside |= {other.name: other.release_counter for other in (*standing, *together)}
        reason = why_not(each, beside)
        if reason is not None:
            raise UnmetNeedError(
                f"{each.target} for {each.vehicle}", expected="what it needs beside it", got=reason
            )


def _check_not_older(current: Assignment | None, custom: ImageCustom) -> None:
    if current is not None and current.release_counter > custom.release_counter:
        raise _not_newer(
            custom,
            f"release counter for {current.vehicle}",
            f"at least {current.release_counter}, which it was assigned",
            str(custom.release_counter),
        )


def _not_newer(custom: ImageCustom, what: str, expected: str, got: str) -> NotNewerError:
    return NotNewerError(f"{custom.name} {custom.version}: {what}", expected=expected, got=got)
