"""Nothing that a server, a stick or a vehicle sends makes a parser of updates do anything but read
or refuse, with a code of ours and within counted work.

``OKDRIVE_FUZZ_RUNS`` and ``OKDRIVE_FUZZ_SEED`` as in ``test_codec``. What stands behind a signature
or a compressor is mutated in front of it: signed and compressed anew, it gets past the door.
"""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from securesystemslib.formats import encode_canonical

from ota.client.early import refuse_early
from ota.errors import OtaError
from ota.metadata.archive import WINDOW_LOG_MAX, PackageReader, zstd
from ota.metadata.chunks import open_list
from ota.metadata.custom import (
    parse_delegation_custom,
    parse_director_custom,
    parse_image_custom,
    to_custom,
)
from ota.metadata.manifest import verify_manifest
from ota.metadata.models import is_identifier, parse_target_name
from ota.metadata.offline import parse_offline_custom
from ota.metadata.package import PackageLimits, check_path, parse_package_manifest
from tests.fuzz.mutate import BYTES, JSON_MUTATIONS, Mutation, Mutator, Trace, splice
from tests.support.attacks import prepare
from tests.support.packages import make_manifest, make_package
from tests.support.publisher import ecu_signer, signed_manifest

RUNS = int(os.environ.get("OKDRIVE_FUZZ_RUNS", "250"))
SEED = int(os.environ.get("OKDRIVE_FUZZ_SEED", "1"))
MAX_LINES = 60_000  # of ours; the longest honest input takes a twentieth
MAX_UNPACKED = 100_000
LIMITS = PackageLimits(manifest_bytes=20_000, files=20, unpacked_bytes=MAX_UNPACKED)


PARSERS = (
    parse_image_custom,
    parse_director_custom,
    parse_delegation_custom,
    parse_offline_custom,
)


def custom_fields(data: bytes) -> None:
    """What is accepted is written again as it was read, and holds no name that could be a path."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    for parse in PARSERS:
        try:
            found = parse(fields)
        except OtaError as error:
            check(error, data)
            continue
        if parse in {parse_image_custom, parse_director_custom}:
            again = to_custom(found)  # type: ignore[arg-type]
            assert parse(again) == found
        for ecu_id in getattr(found, "ecus", {}):
            assert is_identifier(ecu_id)


def package_manifest(data: bytes) -> None:
    found = parse_package_manifest(data, limits=LIMITS)
    assert sum(file.size for file in found.files) <= MAX_UNPACKED
    for file in found.files:
        check_path(file.path)


def signed_by_the_vehicle(data: bytes) -> None:
    """The manifest parser behind a true signature, whatever was signed."""
    try:
        signed = json.loads(data)
        canonical = encode_canonical(signed)
        assert isinstance(canonical, str)
        signature = ecu_signer().sign(canonical.encode())
    except Exception:  # noqa: BLE001 (what cannot be signed cannot come this way)
        return
    document = {"signed": signed, "signatures": [signature.to_dict()]}
    found = verify_manifest(json.dumps(document).encode(), ecu_signer().public_key)
    assert is_identifier(found.vehicle)
    assert all(is_identifier(ecu.ecu_id) for ecu in found.ecus)


def sent_by_the_vehicle(data: bytes) -> None:
    verify_manifest(data, ecu_signer().public_key)


def archive(data: bytes) -> None:
    """What is unpacked is what the manifest announced, and no more than the limits."""
    packed = zstd.compress(data, level=1)
    read_package(packed)


def read_package(data: bytes) -> None:
    reader = PackageReader(io.BytesIO(data), limits=LIMITS)
    unpacked = 0
    for file, content in reader.files():
        check_path(file.path)
        unpacked += sum(len(chunk) for chunk in content)
    assert unpacked <= MAX_UNPACKED


def metadata(data: bytes) -> None:
    for name, vehicle in (("timestamp.json", None), ("2.snapshot.json", "vehicle-a")):
        try:
            refuse_early(name, data, vehicle=vehicle, is_plain=False)
        except OtaError as error:
            check(error, data)


def target_name(data: bytes) -> None:
    name, version = parse_target_name(data.decode(errors="replace"))
    assert data.decode() == f"app/{name}/{version}/{name}-{version}.okp"


def list_of_pieces(data: bytes) -> None:
    signed = parse_image_custom(CUSTOM).chunks
    assert signed is not None
    assert len(open_list(data, signed, length=100_000)) > 0


@dataclass(frozen=True, slots=True)
class Target:
    """A parser with honest inputs, how they are mutated, and which code is watched."""

    run: Callable[[bytes], None]
    corpus: Sequence[bytes]
    code: str = "ota/metadata/"
    mutations: Sequence[Mutation] = (*BYTES, splice)


SIMULATOR = prepare()
CUSTOM = next(iter(SIMULATOR.image.targets.values())).custom
DIRECTOR = next(iter(SIMULATOR.director.targets.values())).custom
OFFLINE = {"hardware_ids": ["board-1"], "release_counter": 1}
DELEGATION = {"hardware_ids": ["board-1"], "agree_with": ["other"]}
PACKAGE = make_package(extra={"data/a": b"abc", "data/b": b""})
TAR = zstd.decompress(PACKAGE, options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX})
TOML = TAR[512 : 512 + TAR[512:].index(b"\0")]
METADATA = [*SIMULATOR.image.files.values(), *SIMULATOR.director.files.values()]
SIGNED = json.dumps(json.loads(signed_manifest())["signed"]).encode()

TARGETS = (
    Target(
        custom_fields,
        [json.dumps(each).encode() for each in (CUSTOM, DIRECTOR, DELEGATION, OFFLINE)],
        mutations=JSON_MUTATIONS,
    ),
    Target(package_manifest, [TOML]),
    Target(signed_by_the_vehicle, [SIGNED], mutations=JSON_MUTATIONS),
    Target(sent_by_the_vehicle, [signed_manifest()], mutations=JSON_MUTATIONS),
    Target(archive, [TAR]),
    Target(read_package, [PACKAGE]),
    Target(metadata, METADATA, code="ota/client/early", mutations=JSON_MUTATIONS),
    Target(target_name, [b"app/trip-light/1.0.0/trip-light-1.0.0.okp"]),
    Target(list_of_pieces, [bytes(32), b""]),
)


def check(error: OtaError, data: bytes) -> None:
    """Fail unless the refusal is one that a person can read and a manifest can carry."""
    assert error.code.startswith(("ota.repository.", "ota.manifest.")), data[:2_000]
    assert len(str(error)) < 1_000, data[:2_000]


def tried(target: Target, data: bytes) -> Trace:
    """Run one input; fail unless it was read or refused within the counted work."""
    trace = Trace(code=target.code)
    try:
        trace.run(target.run, data)
    except OtaError as error:
        check(error, data)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} for {data[:2_000]!r}") from error
    assert trace.lines < MAX_LINES, data[:2_000]
    return trace


@pytest.mark.timeout(60 + RUNS // 5)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.run.__name__)
def test_any_input_is_read_or_refused_by_a_code(target: Target) -> None:
    for data in target.corpus:
        tried(target, data)
    mutator = Mutator([*target.corpus], SEED, mutations=target.mutations, most=40_000)
    for _ in range(RUNS):
        data = mutator.draw()
        mutator.keep_if_new(data, tried(target, data))
    assert mutator.edges


def test_the_honest_inputs_are_read() -> None:
    custom_fields(json.dumps(CUSTOM).encode())
    package_manifest(TOML)
    signed_by_the_vehicle(SIGNED)
    archive(TAR)
    assert make_manifest("a", "1.0.0", {"bin/run": b"", "bin/check": b""}).files
    for data in SIMULATOR.image.files.values():
        refuse_early("timestamp.json", data, vehicle=None, is_plain=False)
