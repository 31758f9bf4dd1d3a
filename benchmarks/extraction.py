"""What unpacking an app writes, apart from its download: bytes of the disk for bytes of its files.

The real unpacking, from a package that ``okdrive-ota package build`` would make, onto the disk that
``build/`` is on. The files are random bytes, so that the package is as large as what is in it.
"""

import hashlib
import os
import random
import tempfile
from pathlib import Path

from benchmarks.result import Result
from ota.client.installers.archive import unpack
from ota.metadata.package import PackageLimits
from ota.publisher.package import build_package

FILES, MIB = 400, 1_048_576
_SPEC = """\
name = "big"
version = "1.0.0"
kind = "app"
[run]
exec = ["bin/big"]
[health]
exec = ["bin/big"]
"""


def measure(*, quick: bool = False) -> list[Result]:
    """Return bytes written for each byte of the files, of an app of 100 MiB."""
    size = (4 if quick else 100) * MIB
    place = Path("build")
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as name:  # a real disk: /tmp may be memory
        folder = Path(name)
        package = _package(folder / "spec", folder / "big.okp", size)
        content_hash = hashlib.sha256(package.read_bytes()).hexdigest()
        before = _written()
        unpack(
            package,
            folder / "app",
            content_hash=content_hash,
            limits=PackageLimits(),
            before_each=lambda: None,
        )
        written = _written() - before
    return [
        Result(
            name=f"extraction: written / size of the files, {size // MIB} MiB in {FILES} files",
            value=written / size,
            unit="x",
            peer=None,
            ratio=None,
            must=None,
            aim=None,
            ok=None,
        )
    ]


def _package(spec: Path, package: Path, size: int) -> Path:
    chance = random.Random(7)  # noqa: S311 (content, not a secret)
    program = spec / "files" / "bin" / "big"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for number in range(FILES):
        (spec / "files" / f"{number}.bin").write_bytes(chance.randbytes(size // FILES))
    (spec / "package.toml").write_text(_SPEC)
    build_package(spec, package)
    return package


def _written() -> int:
    os.sync()  # pages that wait are ours too
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
