"""Whatever stands in a role's bytes, it is refused by a code, in words that can be printed."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ota.errors import OtaError
from tests.support.attacks import prepare
from tests.support.repository_simulator import RepositorySimulator
from tests.support.update_client import make_verifier

pytestmark = pytest.mark.slow

MOST_WORDS = 2_000  # of a complaint: what somebody else sent fills no log
ROLES = ("root", "timestamp", "snapshot", "targets")


def signed(**fields: object) -> Callable[[bytes], bytes]:
    """Return what changes fields of the signed part."""

    def change(body: bytes) -> bytes:
        document = json.loads(body)
        document["signed"] |= fields
        return json.dumps(document).encode()

    return change


def signatures(found: object) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        document = copy.deepcopy(json.loads(body))
        document["signatures"] = found
        return json.dumps(document).encode()

    return change


def spliced(text: bytes) -> Callable[[bytes], bytes]:
    """Return what writes ``text`` in front of the version: JSON that no encoder makes."""
    return lambda body: body.replace(b'"version":', text + b' "x":', 1)


HOSTILE: Mapping[str, Callable[[bytes], bytes]] = {
    "arrays in arrays without end": lambda _: b"[" * 100_000,
    "objects in objects without end": lambda _: b'{"signed":' * 5_000,
    "a version of five thousand digits": spliced(b'"version":' + b"9" * 5_000 + b","),
    "a version that is infinite": spliced(b'"version": Infinity,'),
    "a version that is true": signed(version=True),
    "a version that is a fraction": signed(version=1.0),
    "a version that is a text": signed(version="1"),
    "a version below one": signed(version=0),
    "no number": spliced(b'"nan": NaN,'),
    "half a letter": signed(vehicle="\ud800", issued="\ud800"),
    "what moves a terminal's cursor": signed(vehicle="\x1b[2J\x07" * 10, zz="\x1b[2J"),
    "a name as long as a book": signed(vehicle="x" * 30_000, zz=1.5),
    "a time that never was": signed(expires="9999-99-99T00:00:00Z"),
    "a time long ago": signed(expires="0001-01-01T00:00:00Z"),
    "a time that is a number": signed(expires=5),
    "a specification of tomorrow": signed(spec_version="999.0"),
    "a specification that is an object": signed(spec_version={}),
    "a type that is a list": signed(_type=[]),
    "lists that are none": signed(meta=[1], targets=[1], roles=[1]),
    "a file of negative length": signed(targets={"a": {"length": -1, "hashes": {"sha256": "x"}}}),
    "nothing at all": lambda _: b"",
    "null": lambda _: b"null",
    "a list": lambda _: b"[]",
    "null as the signed part": lambda _: b'{"signed": null, "signatures": []}',
    "letters of two bytes": lambda body: body.decode().encode("utf-16"),
    "a mark of byte order": lambda body: b"\xef\xbb\xbf" + body,
    "more after the end": lambda body: body + b"x",
    "null as signatures": signatures(None),
    "signatures that are numbers": signatures([{"keyid": 5, "sig": 7}]),
    "a signature that is no hex": signatures([{"keyid": "a" * 64, "sig": "zz"}]),
}


def newest(simulator: RepositorySimulator, repository: str, role: str) -> str:
    """Return the name under which the role is served that a vehicle asks for next."""
    files = getattr(simulator, repository).files
    if role == "timestamp":
        return "timestamp.json"
    served = [int(name.split(".")[0]) for name in files if name.endswith(f".{role}.json")]
    return f"{max(served)}.{role}.json"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("repository", ["director", "image"])
def test_hostile_bytes_are_refused_in_words(repository: str, role: str, tmp_path: Path) -> None:
    simulator = prepare()
    files: dict[str, Any] = getattr(simulator, repository).files
    name = newest(simulator, repository, role)
    honest = files[name]
    served = "2.root.json" if role == "root" else name
    for number, (what, change) in enumerate(HOSTILE.items()):
        files[served] = change(honest)
        with pytest.raises(OtaError, match="expected") as refusal:
            make_verifier(simulator, tmp_path / str(number)).check()
        told = str(refusal.value)
        assert told.isprintable(), what
        assert len(told) <= MOST_WORDS, what
        assert refusal.value.code.startswith("ota.repository."), what
