"""Packages for tests: small ones that behave, and ones that break a rule."""

import hashlib
import io
from collections.abc import Mapping

import msgspec

from ota.metadata.archive import write_package
from ota.metadata.custom import Kind
from ota.metadata.package import Data, Health, PackageFile, PackageManifest, Run

STAYS_UP = b"#!/bin/sh\nexec sleep 1000\n"
ENDS = b"#!/bin/sh\nexit 3\n"
IS_WELL = b"#!/bin/sh\nexit 0\n"
IS_ILL = b"#!/bin/sh\necho the lamp is dark\nexit 1\n"


def make_package(  # noqa: PLR0913 (what a package may differ in)
    name: str = "trip-light",
    version: str = "1.0.0",
    *,
    run: bytes = STAYS_UP,
    check: bytes = IS_WELL,
    timeout_s: int = 5,
    extra: Mapping[str, bytes] | None = None,
    kind: Kind = Kind.APP,
    data: Data | None = None,
    is_stored: bool = False,
) -> bytes:
    files = {"bin/check": check, "bin/run": run} | dict(extra or {})
    manifest = make_manifest(name, version, files, timeout_s=timeout_s)
    manifest = msgspec.structs.replace(manifest, kind=kind, data=data)
    out = io.BytesIO()
    contents = [io.BytesIO(files[file.path]) for file in manifest.files]
    write_package(out, manifest, contents, level=1, is_stored=is_stored)
    return out.getvalue()


def make_manifest(
    name: str, version: str, files: Mapping[str, bytes], *, timeout_s: int = 5
) -> PackageManifest:
    return PackageManifest(
        name=name,
        version=version,
        kind=Kind.APP,
        run=Run(exec=("bin/run",)),
        health=Health(exec=("bin/check",), timeout_s=timeout_s),
        files=tuple(
            PackageFile(
                path=path,
                sha256=hashlib.sha256(content).hexdigest(),
                mode=0o755 if path.startswith("bin/") else 0o644,
                size=len(content),
            )
            for path, content in sorted(files.items())
        ),
    )
