"""The suite's minutes: every test belongs to one share."""

import pytest

from tests.conftest import ROOT
from tests.support.shares import share_of, spent


@pytest.mark.parametrize(
    ("test", "share"),
    [
        ("unit/agent/signals/test_decode.py::test_x", "signals"),
        ("unit/agent/test_uplink.py::test_x", "batches"),
        ("unit/agent/hmi/test_app.py::test_x", "first drive"),
        ("system/test_update_power_cuts.py::test_x", "update"),
    ],
)
def test_the_longest_path_that_fits_says_whose_minutes_they_are(test: str, share: str) -> None:
    assert share_of(test) == share


def test_every_test_file_has_a_share() -> None:
    tests = ROOT / "tests"
    for file in tests.rglob("test_*.py"):
        assert share_of(file.relative_to(tests).as_posix())


def test_two_workers_halve_the_minutes() -> None:
    took = {one.share: one.took_min for one in spent([("tests/privacy/test_attacks.py::t", 240.0)])}
    assert took["consent"] == pytest.approx(2.0)
    assert took["update"] == 0
