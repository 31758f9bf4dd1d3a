"""What each command of okdrive-ota does: arguments in, a Report out; it prints nothing."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from ota.publisher.arguments import (
    parse_address,
    parse_ecu,
    parse_expires,
    parse_threshold,
    read_public_key,
)
from ota.publisher.bundle import enable_bundles, write_bundle
from ota.publisher.carried import read_reports
from ota.publisher.config import (
    PublisherConfig,
    default_config,
    load_config,
    parse_config,
)
from ota.publisher.delta import make_delta
from ota.publisher.director import run_server
from ota.publisher.documents import INGEST_KEYS, publish_document
from ota.publisher.errors import KeyMissingError, NotFoundError, SettingsError
from ota.publisher.inventory import Inventory, VehicleRecord
from ota.publisher.layout import Repositories, check_thresholds, init_repositories
from ota.publisher.orders import Orders
from ota.publisher.package import (
    build_package,
    inspect_package,
    plan_package,
    verify_package,
)
from ota.publisher.ports import DurableFiles, WallClock
from ota.publisher.publish import Offer, publish_images
from ota.publisher.release import RELEASE_NAME, load_release, sidecar
from ota.publisher.reports import (
    Report,
    carried_report,
    package_fields,
    package_lines,
    publish_report,
)
from ota.publisher.repository import Published
from ota.publisher.status import read_status, vehicle_status, verify_all


class Commands:
    """The commands over the file ``config_path``, which may be missing.

    ``default_root`` is where the repositories stand if the file does not say.
    """

    def __init__(self, config_path: Path, default_root: Path) -> None:
        self._path, self._default_root = config_path, default_root

    def init(
        self,
        root: Path | None,
        thresholds: Iterable[str],
        expires: str | None,
        *,
        dry_run: bool,
    ) -> Report:
        """Make keys and both repositories, and publisher.toml if there is none."""
        wanted = dict(map(parse_threshold, thresholds))
        check_thresholds(wanted)
        text = self._new_config(root, expires)
        config = (
            parse_config(text.encode(), self._path, self._default_root) if text else self._config()
        )
        if not dry_run:
            init_repositories(_repositories(config), wanted)
            Inventory(config.layout.inventory).close()
            if text:
                DurableFiles().write(self._path, text.encode())
        return _init_report(config, wrote=self._path if text else None, dry_run=dry_run)

    def package_build(
        self, spec_dir: Path, out: Path, *, is_stored: bool = False, dry_run: bool
    ) -> Report:
        """Build a package, and put its release facts beside it."""
        if dry_run:
            manifest = plan_package(spec_dir)
            fields = {"dry_run": True, "package": manifest}
            line = f"would pack {len(manifest.files)} files, {manifest.unpacked_bytes} bytes"
            return Report(schema="okdrive-ota.package.build/1", lines=[line], fields=fields)
        info = build_package(spec_dir, out, is_stored=is_stored)
        facts = spec_dir / RELEASE_NAME
        if facts.is_file():
            shutil.copyfile(facts, sidecar(out))
        lines = [f"{out}: {info.length} bytes", *package_lines(info)]
        lines.append(f"next: okdrive-ota publish {out} --to all --dry-run")
        return Report(
            schema="okdrive-ota.package.build/1",
            lines=lines,
            fields={"dry_run": False, "file": str(out), **package_fields(info)},
        )

    def package_delta(self, new: Path, old: Path | None, out: Path) -> Report:
        """Make the difference that leads from one package to another."""
        found = make_delta(new, out, old=old)
        whole = new.stat().st_size
        begin = "nothing" if old is None else str(old)
        return Report(
            schema="okdrive-ota.package.delta/1",
            lines=[
                f"{out}: {found.length} bytes, {100 * found.length / whole:.2f} % of {whole}",
                f"from {begin} to {new}, tried: the result is the same byte by byte",
                f"next: okdrive-ota publish {new} --delta {out} --to all --dry-run",
            ],
            fields={"file": str(out), "whole": whole, "delta": found},
        )

    def package_inspect(self, path: Path) -> Report:
        """Show what a package says it is."""
        manifest = inspect_package(path)
        lines = [
            f"{manifest.name} {manifest.version} ({manifest.kind})",
            f"run          {' '.join(manifest.run.exec)}",
            f"health       {' '.join(manifest.health.exec)}, {manifest.health.timeout_s} s",
            f"permissions  {', '.join(manifest.permissions) or 'none'}",
            *(f"{file.mode:o} {file.size:>10} {file.path}" for file in manifest.files),
        ]
        return Report(
            schema="okdrive-ota.package.inspect/1", lines=lines, fields={"package": manifest}
        )

    def package_verify(self, path: Path) -> Report:
        """Read a whole package and check every rule and hash."""
        info = verify_package(path)
        return Report(
            schema="okdrive-ota.package.verify/1",
            lines=[f"{path}: every rule and hash holds", *package_lines(info)],
            fields=package_fields(info),
        )

    def vehicle_add(
        self, vehicle: str, primary: str, key: Path, ecus: Iterable[str], *, dry_run: bool
    ) -> Report:
        """Register a vehicle with its ECUs and the public key of its primary ECU."""
        record = VehicleRecord(
            vehicle=vehicle,
            primary_ecu=primary,
            public_key=read_public_key(key),
            ecus=tuple(map(parse_ecu, ecus)),
        )
        if not dry_run:
            with self._inventory() as inventory:
                inventory.add_vehicle(record, WallClock().utc_now())
        verb = "would register" if dry_run else "registered"
        return Report(
            schema="okdrive-ota.vehicle.add/1",
            lines=[f"{verb} {vehicle} with {len(record.ecus)} ECUs"],
            fields={"dry_run": dry_run, "vehicle": vehicle, "ecus": record.ecus},
        )

    def vehicle_list(self) -> Report:
        """List the vehicles and what they run."""
        with self._inventory() as inventory:
            found = [vehicle_status(inventory, vehicle) for vehicle in inventory.vehicles()]
        lines = [
            f"{each.vehicle}  last report {each.reported or 'never'}\n{_ecu_lines(each.ecus)}"
            for each in found
        ]
        return Report(
            schema="okdrive-ota.vehicle.list/1",
            lines=lines or ["no vehicle is registered"],
            fields={"vehicles": found},
        )

    def vehicle_manifest(self, vehicle: str) -> Report:
        """Show the last manifest of a vehicle, as it signed it."""
        with self._inventory() as inventory:
            inventory.vehicle(vehicle)
            found = inventory.last_manifest(vehicle)
        if found is None:
            raise NotFoundError(vehicle, expected="a manifest", got="none; it never reported")
        body = msgspec.json.decode(found.body)
        return Report(
            schema="okdrive-ota.vehicle.manifest/1",
            lines=[msgspec.json.format(found.body, indent=2).decode()],
            fields={"vehicle": vehicle, "received": found.received_utc, "manifest": body},
        )

    def publish(
        self,
        packages: Sequence[Path],
        release: Path | None,
        offer: Offer,
        deltas: Sequence[Path] = (),
        *,
        dry_run: bool,
    ) -> Report:
        """Release packages to one vehicle or to all that take them, in one step."""
        facts = [(package, load_release(release or sidecar(package))) for package in packages]
        with self._inventory() as inventory:
            plans = publish_images(
                self._repositories(), inventory, facts, offer=offer, deltas=deltas, dry_run=dry_run
            )
        return publish_report(plans, dry_run=dry_run)

    def keys_publish(self, path: Path, *, dry_run: bool) -> Report:
        """Publish ingest's public keys as a signed document."""
        plan = publish_document(self._repositories(), INGEST_KEYS, path, dry_run=dry_run)
        verb = "would publish" if dry_run else "published"
        what = verb if plan.is_new else "published already"
        size = len(plan.content)
        return Report(
            schema="okdrive-ota.keys.publish/1",
            lines=[
                f"{what}: {plan.target}, serial {plan.serial}, {size} bytes",
                "every vehicle learns of it at its next update check",
            ],
            fields={
                "dry_run": dry_run,
                "target": plan.target,
                "sha256": plan.sha256,
                "serial": plan.serial,
                "is_new": plan.is_new,
            },
        )

    def bundle_write(self, folder: Path, wanted: Sequence[str], *, dry_run: bool) -> Report:
        """Write a stick that vehicles install from without a network."""
        plan = write_bundle(self._repositories(), folder, wanted, dry_run=dry_run)
        done = "would hold" if dry_run else "holds"
        size = f"{plan.size_bytes / 1e6:.1f} MB"
        lines = [f"{folder} {done} {len(plan.targets)} images, {size}, list {plan.version}"]
        lines += [f"  {name}" for name in plan.targets]
        lines.append("Sticks written before are revoked where this one, or the Director, was seen.")
        fields = {
            "folder": str(folder),
            "targets": plan.targets,
            "version": plan.version,
            "size_bytes": plan.size_bytes,
            "dry_run": dry_run,
        }
        return Report(schema="okdrive-ota.bundle-write/1", lines=lines, fields=fields)

    def bundle_enable(self, *, dry_run: bool) -> Report:
        """Let a Director that is older than sticks write them."""
        repositories = self._repositories()
        version = enable_bundles(repositories, dry_run=dry_run)
        verb = "would sign" if dry_run else "signed"
        lines = ["this Director can write sticks already; nothing was changed"]
        if version is not None:
            keys = repositories.layout.offline_keys / "director"
            lines = [
                f"{verb} root {version} of the Director, which names two keys for sticks",
                f"keys: {keys}/offline-{{snapshot,targets}}-1.pem; keep them offline",
                "vehicles follow at their next check over the network; a vehicle that has none",
                "follows through the roots on the stick. next: okdrive-ota bundle write FOLDER",
            ]
        fields = {"dry_run": dry_run, "root_version": version}
        return Report(schema="okdrive-ota.bundle-enable/1", lines=lines, fields=fields)

    def bundle_read(self, stick: Path) -> Report:
        """Take the reports that a stick brought back."""
        with self._inventory() as inventory:
            found = read_reports(Orders(self._repositories(), inventory), inventory, stick)
        return carried_report(stick, found)

    def refresh(self, *, dry_run: bool) -> Report:
        """Sign the Image repository's online roles again; say which offline role needs a person."""
        repositories = self._repositories()
        image = repositories.image()
        roles = ["timestamp"] if dry_run else image.renew()
        published = image.published()
        if published is not None:
            _check_offline(published, repositories)
        verb = "would sign" if dry_run else "signed"
        return Report(
            schema="okdrive-ota.refresh/1",
            lines=[f"{verb} {', '.join(roles)} of the Image repository again"],
            fields={"dry_run": dry_run, "roles": roles},
        )

    def status(self) -> Report:
        """Show roles, releases and vehicles."""
        with self._inventory() as inventory:
            found = read_status(self._repositories(), inventory)
        roles = [
            f"{'FAIL' if role.left_s < 0 else 'ok  '}  {role.repository:<9}{role.role:<10}"
            f"v{role.version:<5}expires {role.expires}  {role.threshold} of {role.keys} keys"
            for role in found.roles
        ]
        releases = [
            f"      {each.name} {each.version}  counter {each.release_counter}  "
            f"{each.criticality}  {each.length} bytes  {each.sha256[:12]}"
            for each in found.releases
        ]
        vehicles = [
            f"      {each.vehicle}  last report {each.reported or 'never'}\n{_ecu_lines(each.ecus)}"
            for each in found.vehicles
        ]
        return Report(
            schema="okdrive-ota.status/1",
            lines=[
                *("ROLES", *roles),
                *("RELEASES", *(releases or ["      none"])),
                *("VEHICLES", *(vehicles or ["      none"])),
            ],
            fields=msgspec.to_builtins(found),
        )

    def verify(self, vehicle: str | None) -> Report:
        """Check the published folders as a client would."""
        images = verify_all(self._repositories(), vehicle)
        whom = "" if vehicle is None else f", and what {vehicle} is told"
        return Report(
            schema="okdrive-ota.verify/1",
            lines=[f"every role is signed and in date; {images} images are what was signed{whom}"],
            fields={"images": images, "vehicle": vehicle},
        )

    def serve(self, listen: str | None, say: Callable[[str, int], None]) -> None:
        """Serve until a signal; ``say`` is told host and port once it listens."""
        config = self._config()
        settings = config.serve
        if listen is not None:
            host, port = parse_address(listen)
            settings = replace(settings, host=host, port=port)
        run_server(_repositories(config), settings, on_listening=say)

    def _config(self) -> PublisherConfig:
        if self._path.exists():
            return load_config(self._path, self._default_root)
        return default_config(self._path, self._default_root)

    def _repositories(self) -> Repositories:
        return _repositories(self._config())

    def _inventory(self) -> Inventory:
        layout = self._config().layout
        if not layout.inventory.exists():
            raise NotFoundError(
                str(layout.root), expected="what okdrive-ota init makes", got="none"
            )
        return Inventory(layout.inventory)

    def _new_config(self, root: Path | None, expires: str | None) -> str:
        if not self._path.exists():
            return _config_text(root, parse_expires(expires or ""))
        if root is not None or expires is not None:
            raise SettingsError(
                str(self._path),
                expected="root_dir and [expires] in the file that exists",
                got="other ones on the command line",
                intact="nothing was made",
            )
        return ""


def _repositories(config: PublisherConfig) -> Repositories:
    return Repositories(layout=config.layout, clock=WallClock(), lifetimes=config.lifetimes)


def _config_text(root: Path | None, expires: Mapping[str, int]) -> str:
    lines = [] if root is None else [f"root_dir = {_toml(str(root.absolute()))}"]
    lines += ["[expires]", *(f"{key} = {value}" for key, value in expires.items())]
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _init_report(config: PublisherConfig, *, wrote: Path | None, dry_run: bool) -> Report:
    verb = "would make" if dry_run else "made"
    layout = config.layout
    lines = [
        f"{verb} both repositories in {layout.root}",
        f"offline keys {layout.offline_keys}: take them away; `serve` never needs them",
        *([] if wrote is None else [f"configuration {wrote}"]),
        "next: okdrive-ota vehicle add ID --primary ECU --key FILE --ecu ID=HARDWARE:APP",
    ]
    fields = {
        "dry_run": dry_run,
        "root": str(layout.root),
        "offline_keys": str(layout.offline_keys),
        "config": None if wrote is None else str(wrote),
    }
    return Report(schema="okdrive-ota.init/1", lines=lines, fields=fields)


def _ecu_lines(ecus: Iterable[object]) -> str:
    rows = [msgspec.to_builtins(ecu) for ecu in ecus]
    return "\n".join(
        f"        {row['ecu_id']} {row['kind']}/{row['name']}  "
        f"runs {row['running'] or 'nothing known'}  "
        f"assigned {row['assigned'] or 'nothing'}"
        + (f"  withdrawn: {row['withdrawn']}" if row["withdrawn"] else "")
        for row in rows
    )


def _check_offline(published: Published, repositories: Repositories) -> None:
    now = repositories.clock.utc_now()
    for signed in (repositories.image().root().signed, published.targets.signed):
        if signed.is_expired(now):
            raise KeyMissingError(
                f"Image {signed.type}",
                expected="a role in date",
                got=f"expired {signed.expires}",
                intact="the online roles were signed again",
            )
