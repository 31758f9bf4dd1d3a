from datetime import UTC, datetime

import pytest
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from ota.errors import CustomFieldError, MalformedError
from ota.metadata.models import (
    issued_of,
    parse_metadata,
    parse_target_name,
    parse_utc,
    sha256_of,
    target_name,
    vehicle_of,
    version_key,
)
from ota.publisher.roles import new_targets, new_timestamp, sign
from tests.support.publisher import VEHICLE, ecu_signer

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def director_targets() -> bytes:
    made = new_targets({}, version=1, expires=NOW, vehicle=VEHICLE)
    return sign(made, [ecu_signer()])


def test_the_vehicle_that_was_signed_is_read() -> None:
    assert vehicle_of(parse_metadata(director_targets(), Targets).signed) == VEHICLE


def test_metadata_of_no_vehicle_names_none() -> None:
    made = new_targets({}, version=1, expires=NOW, vehicle=None)
    assert vehicle_of(made) is None


def test_a_vehicle_that_is_no_id_is_malformed() -> None:
    made = new_targets({}, version=1, expires=NOW, vehicle="../car")
    with pytest.raises(MalformedError, match="a vehicle id"):
        vehicle_of(made)


def test_a_timestamp_says_when_it_was_issued() -> None:
    made = new_timestamp(b"{}", 1, version=1, expires=NOW, issued=NOW, vehicle=None)
    assert issued_of(made) == NOW
    with pytest.raises(MalformedError, match="issued"):
        issued_of(Timestamp(expires=NOW))


@pytest.mark.parametrize("kind", [Root, Timestamp, Snapshot])
def test_another_role_in_place_of_the_expected_one_is_malformed(kind: type) -> None:
    with pytest.raises(MalformedError, match="expected role"):
        parse_metadata(director_targets(), kind)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"signed": 1}'])
def test_bytes_that_are_no_metadata_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError, match="signed metadata"):
        parse_metadata(data, Targets)


@pytest.mark.parametrize("text", ["2026-1-1T00:00:00Z", "2026-11-22T12:00:00+00:00", 5, None])
def test_a_time_has_one_spelling(text: object) -> None:
    with pytest.raises(MalformedError, match="YYYY-MM-DDTHH:MM:SSZ"):
        parse_utc(text, subject="x")


def test_a_target_name_goes_there_and_back() -> None:
    assert parse_target_name(target_name("trip-light", "1.10.0")) == ("trip-light", "1.10.0")


@pytest.mark.parametrize(
    "target",
    [
        "app/../1.0.0/a-1.0.0.okp",
        "app/a/1.0.0/b-1.0.0.okp",
        "/app/a/1.0.0/a-1.0.0.okp",
        "app/a/01.0.0/a-01.0.0.okp",
        "app/a/1.0.0/a-1.0.0.okp\n",
        "app/a\0/1.0.0/a\0-1.0.0.okp",
    ],
)
def test_a_name_that_is_not_exactly_built_so_is_refused(target: str) -> None:
    with pytest.raises(CustomFieldError, match="target name"):
        parse_target_name(target)


def test_versions_compare_as_numbers() -> None:
    assert version_key("1.10.0") > version_key("1.9.9")
    with pytest.raises(ValueError, match=r"MAJOR\.MINOR\.PATCH"):
        version_key("1.0")
    with pytest.raises(ValueError, match="app name"):
        target_name("../x", "1.0.0")


def test_a_target_without_sha256_is_malformed() -> None:
    with pytest.raises(MalformedError, match="sha256"):
        sha256_of({"sha512": "0" * 128})
