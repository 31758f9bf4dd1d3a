"""The 86 legacy Uptane vectors, each with the code that refuses it."""

from pathlib import Path

import pytest

from ota.errors import MissingTargetError, OtaError
from tests.support.attacks import DIGEST, PACKAGE, prepare
from tests.support.legacy_vectors import LEGACY_VECTORS, WAIVED
from tests.support.update_client import floors_of, verify_and_download


def test_there_are_86_and_one_is_waived() -> None:
    assert len(LEGACY_VECTORS) == 86
    assert WAIVED in LEGACY_VECTORS


@pytest.mark.parametrize("name", [n for n, vector in LEGACY_VECTORS.items() if vector.code])
def test_what_a_vector_refuses_is_refused_by_its_code(name: str, tmp_path: Path) -> None:
    vector, simulator = LEGACY_VECTORS[name], prepare()
    verify_and_download(simulator, tmp_path)
    before = floors_of(tmp_path)
    (tmp_path / "images" / DIGEST).unlink()
    vector.run(simulator)
    with pytest.raises(OtaError, match="expected") as refusal:
        verify_and_download(simulator, tmp_path)
    assert refusal.value.code == vector.code
    after = floors_of(tmp_path)
    assert all(after[role] >= version for role, version in before.items())


@pytest.mark.parametrize("name", [n for n, vector in LEGACY_VECTORS.items() if not vector.code])
def test_what_a_vector_accepts_is_downloaded(name: str, tmp_path: Path) -> None:
    simulator = prepare()
    verify_and_download(simulator, tmp_path / "shipped")
    LEGACY_VECTORS[name].run(simulator)
    (image,) = verify_and_download(simulator, tmp_path / "shipped")
    assert image.read_bytes() == PACKAGE


def test_what_the_waived_vector_wants_would_break_tuf(tmp_path: Path) -> None:
    """Other content under the same timestamp version is not taken (TUF 1.0.34, 5.4.3); newer is.

    A client that took it would follow whoever holds an old timestamp key wherever he likes,
    without a version that gives him away.
    """
    simulator = prepare()
    verify_and_download(simulator, tmp_path)
    kept = tmp_path / "metadata" / "image" / "timestamp.json"
    before = kept.read_bytes()
    LEGACY_VECTORS[WAIVED].run(simulator)
    assert simulator.image.files["timestamp.json"] != before
    verify_and_download(simulator, tmp_path)
    assert kept.read_bytes() == before
    simulator.image.publish()
    with pytest.raises(MissingTargetError, match="expected an entry in the Image repository"):
        verify_and_download(simulator, tmp_path)
