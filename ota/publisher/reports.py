"""What a command found or did, for machines and for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ota.metadata.custom import Delta, Reuse
from ota.publisher.carried import Carried
from ota.publisher.package import PackageInfo
from ota.publisher.publish import PublishPlan

_NOT_VERIFIED = 3  # docs/reference/exit-codes.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a command found or did: a document for machines, lines for people.

    ``exit_code`` is 0 unless something of it was refused.
    """

    schema: str  # "okdrive-ota.<command>/<version>"; a document only ever grows
    lines: Sequence[str]
    fields: Mapping[str, object] = field(default_factory=dict)
    exit_code: int = 0

    def as_json(self) -> str:
        """Return the document, with its schema first, as indented JSON."""
        data = msgspec.json.encode({"schema": self.schema, **self.fields})
        return msgspec.json.format(data, indent=2).decode()


def package_lines(info: PackageInfo) -> list[str]:
    """Return what a package is, for people."""
    manifest = info.manifest
    return [
        f"{manifest.name} {manifest.version} ({manifest.kind})",
        f"{len(manifest.files)} files, {manifest.unpacked_bytes} bytes unpacked",
        f"sha256 {info.sha256}",
    ]


def package_fields(info: PackageInfo) -> dict[str, object]:
    """Return what a package is, for machines."""
    return {"package": info.manifest, "length": info.length, "sha256": info.sha256}


def publish_report(plans: Sequence[PublishPlan], *, dry_run: bool) -> Report:
    """Return what was published; the document is that of the first, with all in ``bundle``."""
    documents = [_publish_fields(plan) for plan in plans]
    return Report(
        schema="okdrive-ota.publish/1",
        lines=[line for plan in plans for line in _publish_lines(plan, dry_run=dry_run)],
        fields={"dry_run": dry_run, **documents[0], "bundle": documents},
    )


def carried_report(stick: Path, found: Sequence[Carried]) -> Report:
    """Return what became of the reports of ``stick``."""
    refused = [each for each in found if each.code is not None]
    known = sum(each.is_known for each in found)
    taken = len(found) - known - len(refused)
    lines = [f"{stick}: {taken} reports taken, {known} known before, {len(refused)} refused"]
    for each in found:
        if each.code is not None:
            lines.append(f"  {each.file}: {each.message} ({each.code})")
        elif not each.is_known:
            lines.append(f"  {each.vehicle}  report {each.counter}")
    if taken:
        lines.append("next: okdrive-ota vehicle list")
    counts = {"taken": taken, "known": known, "refused": len(refused)}
    fields = {"folder": str(stick), **counts, "reports": found}
    return Report(
        schema="okdrive-ota.bundle-read/1",
        lines=lines,
        fields=fields,
        exit_code=_NOT_VERIFIED if refused else 0,
    )


def _publish_lines(plan: PublishPlan, *, dry_run: bool) -> list[str]:
    custom, verb = plan.custom, "would publish" if dry_run else "published"
    what = verb if plan.is_new else f"{verb} again (it was released before)"
    facts = custom.release.facts["en"]
    return [
        f"{what}: {plan.target}, {plan.package.length} bytes, counter {custom.release_counter}",
        f"sha256 {plan.package.sha256}",
        f"{custom.release.criticality}: {facts.purpose}",
        f"driver: {facts.duration_s} s at worst; not usable meanwhile: {facts.unavailable}",
        *(_delta_line(each, plan.package.length) for each in custom.delta),
        *(_reuse_line(each, plan.package.length) for each in custom.reuse),
        *(f"to {each.vehicle} {each.ecu_id} ({each.hardware_id})" for each in plan.assignments),
    ]


def _publish_fields(plan: PublishPlan) -> dict[str, object]:
    return {
        "target": plan.target,
        "sha256": plan.package.sha256,
        "length": plan.package.length,
        "is_new": plan.is_new,
        "custom": plan.custom,
        "assignments": plan.assignments,
    }


def _reuse_line(reuse: Reuse, whole: int) -> str:
    share = f"{100 * reuse.length / whole:.2f} % of the whole"
    return f"where package {reuse.from_sha256[:12]} is installed: {reuse.length} bytes, {share}"


def _delta_line(delta: Delta, whole: int) -> str:
    begin = "nothing" if delta.from_sha256 is None else f"package {delta.from_sha256[:12]}"
    return f"from {begin}: {delta.length} bytes, {100 * delta.length / whole:.2f} % of the whole"
