"""What okdrive-ota publishes, as files: the whole folder, with keys and signatures blanked.

A changed format is a visible diff. ``make golden`` rewrites the files.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from ota.publisher.inventory import Inventory
from ota.publisher.orders import Orders
from ota.publisher.package import verify_package
from ota.publisher.publish import publish_image
from tests.support.clock import FakeClock
from tests.support.publisher import VEHICLE, new_package, new_repositories, release

GOLDEN = Path(__file__).parent / "ota"
REWRITE = "OKDRIVE_GOLDEN" in os.environ


def check(name: str, found: bytes) -> None:
    path = GOLDEN / name
    if REWRITE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found)
    assert path.read_bytes() == found


def without_package(text: bytes, package: bytes) -> bytes:
    """Return ``text`` without the hash and length of ``package``: another zstd packs otherwise."""
    sha256 = hashlib.sha256(package).hexdigest().encode()
    length = f'"length": {len(package)}'.encode()
    return text.replace(sha256, b"*").replace(length, b'"length": "*"')


def blanked(metadata: bytes) -> bytes:
    """Return ``metadata`` without what differs between two sets of keys."""
    document: dict[str, Any] = json.loads(metadata)
    signed = document["signed"]
    document["signatures"] = [{"keyid": "*", "sig": "*"} for _ in document["signatures"]]
    for meta in signed.get("meta", {}).values():
        meta["hashes"] = dict.fromkeys(meta["hashes"], "*")
    if "keys" in signed:
        signed["keys"] = sorted(
            ({**key, "keyval": {"public": "*"}} for key in signed["keys"].values()), key=str
        )
        for role in (*signed["roles"].values(), *signed.get("offline_roles", {}).values()):
            role["keyids"] = ["*" for _ in role["keyids"]]
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    repositories = new_repositories(tmp_path / "ota", FakeClock())
    with Inventory(repositories.layout.inventory) as inventory:
        Orders(repositories, inventory).prepare(VEHICLE)
        publish_image(repositories, inventory, new_package(tmp_path), release())
        Orders(repositories, inventory).prepare(VEHICLE)
    return repositories.layout.root


def test_the_published_layout_is_the_golden_one(root: Path) -> None:
    files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    text = ("\n".join(sorted(files)) + "\n").encode()
    check("layout.txt", without_package(text, package_in(root)))


@pytest.mark.parametrize(
    "name",
    [
        "image/metadata/1.root.json",
        "image/metadata/2.targets.json",
        "image/metadata/2.snapshot.json",
        "image/metadata/timestamp.json",
        "director/root/1.root.json",
        f"director/vehicles/{VEHICLE}/2.targets.json",
        f"director/vehicles/{VEHICLE}/2.snapshot.json",
        f"director/vehicles/{VEHICLE}/timestamp.json",
    ],
)
def test_metadata_is_the_golden_one_but_for_its_keys(root: Path, name: str) -> None:
    check(name, without_package(blanked((root / name).read_bytes()), package_in(root)))


def test_the_release_record_is_the_golden_one(root: Path) -> None:
    name = "releases/trip-light-1.0.0.json"
    check(name, without_package((root / name).read_bytes(), package_in(root)))


def test_a_package_holds_the_golden_tar(tmp_path: Path) -> None:
    package = new_package(tmp_path)
    check("trip-light-1.0.0.tar", zstd.decompress(package.read_bytes()))


def test_the_first_package_ever_released_is_still_read() -> None:
    info = verify_package(GOLDEN / "trip-light-1.0.0.okp")  # never rewritten
    assert info.sha256 == "8cdba39eae6b0ca305613729ca46392ab566a80ddbb7880f51f7638690b1a991"
    assert info.manifest.version == "1.0.0"


def package_in(root: Path) -> bytes:
    return (root.parent / "trip-light-1.0.0.okp").read_bytes()
