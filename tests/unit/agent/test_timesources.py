"""Who knows the time: chrony's own words, the receiver's, the kernel's, a marker's."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.signals.gnss import parse_time
from agent.timesources import ChronyNtsTime, GnssTime, KernelTime, MarkerTime, nts_offset
from tests.support.clock import FakeClock

CHRONY = Path(__file__).parent.parent.parent / "data" / "chrony"
NTS, PLAIN = (
    ((CHRONY / f"tracking-{kind}.csv").read_text(), (CHRONY / f"authdata-{kind}.csv").read_text())
    for kind in ("nts", "plain")
)


def test_chrony_served_by_nts_alone_knows_the_time() -> None:
    assert nts_offset(*NTS) == timedelta(seconds=-0.000002247)


@pytest.mark.parametrize(
    ("tracking", "authdata"),
    [
        PLAIN,
        (NTS[0], NTS[1] + PLAIN[1]),  # weighed together with one that proves nothing
        (NTS[0], NTS[1].replace("256", "0")),  # the keys have not come yet
        (NTS[0].replace("Normal", "Not synchronised"), NTS[1]),
        (NTS[0].replace("-0.000002247", "soon"), NTS[1]),
        (NTS[0].replace("-0.000002247", "1e300"), NTS[1]),
        (NTS[0], ""),
        ("", NTS[1]),
        ("506 Cannot talk to daemon", "506 Cannot talk to daemon"),
    ],
)
def test_anything_less_than_nts_alone_is_no_word(tracking: str, authdata: str) -> None:
    assert nts_offset(tracking, authdata) is None


def script(folder: Path, body: str) -> list[str]:
    (folder / "chronyc.py").write_text(body)
    return [sys.executable, str(folder / "chronyc.py")]


def test_chrony_is_asked_and_its_word_holds_for_half_a_minute(tmp_path: Path) -> None:
    says = (
        f"import sys; print({dict(zip(('tracking', 'authdata'), NTS, strict=True))}[sys.argv[1]])"
    )
    clock, command = FakeClock(), script(tmp_path, says)
    source = ChronyNtsTime(clock, command)
    expected = clock.utc_now() - timedelta(seconds=0.000002)
    assert source.read() == expected
    script(tmp_path, "raise SystemExit(1)")
    clock.advance_s(29)
    assert source.read() == expected + timedelta(seconds=29)
    clock.advance_s(1)
    assert source.read() is None


def test_a_chrony_that_is_not_there_is_no_word(tmp_path: Path) -> None:
    assert ChronyNtsTime(FakeClock(), [str(tmp_path / "none")]).read() is None


def test_the_kernel_and_a_marker_vouch_for_the_wall_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    assert KernelTime(clock).read() == clock.utc_now()
    clock.proven = False
    assert KernelTime(clock).read() is None
    marker = tmp_path / "synchronized"
    assert MarkerTime(marker, clock).read() is None
    marker.touch()
    assert MarkerTime(marker, clock).read() == clock.utc_now()


def test_the_receiver_says_what_it_said_last() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert GnssTime(lambda: now).read() == now
    assert GnssTime(lambda: None).read() is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            b'{"class":"TPV","mode":3,"time":"2026-11-22T12:00:00.500Z"}',
            datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC),
        ),
        (b'{"class":"TPV","mode":1,"time":"2026-11-22T12:00:00.500Z"}', None),
        (b'{"class":"TPV","mode":3,"time":"2026-11-22T12:00:00"}', None),
        (b'{"class":"TPV","mode":3,"time":"yesterday"}', None),
        (b'{"class":"TPV","mode":3}', None),
        (b'{"class":"SKY","mode":3,"time":"2026-11-22T12:00:00.500Z"}', None),
    ],
)
def test_a_receiver_knows_the_time_only_with_a_fix(line: bytes, said: datetime | None) -> None:
    assert parse_time(line) == said
