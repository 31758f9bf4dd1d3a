import gc
import gzip
import importlib
import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.signals.batches import BATCH_FRAMES, BATCH_S, in_batches
from agent.signals.candump import format_line, parse_line
from agent.signals.errors import SourceError
from agent.signals.model import Frame
from agent.signals.pythoncan import can
from agent.signals.replay import MAX_PAUSE_S, ReplaySource
from tests.support.clock import FakeClock

FRAMES = [Frame(100 + tick / 100, "can0", 0x1DB, bytes((tick % 256,) * 8)) for tick in range(500)]


def write(path: Path, frames: Sequence[Frame] = FRAMES) -> Path:
    path.write_text("".join(format_line(frame) + "\n" for frame in frames))
    return path


def as_fast_as_possible(path: Path) -> ReplaySource:
    return ReplaySource(path, speed=None, clock=FakeClock())


async def taken(source: ReplaySource) -> list[Frame]:
    return [frame async for batch in source.batches() for frame in batch]


class Sleeper:
    """Sleeps on a fake clock, and remembers for how long."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance_s(seconds)


async def test_a_recording_is_replayed_in_bounded_batches(tmp_path: Path) -> None:
    source = as_fast_as_possible(write(tmp_path / "drive.log"))
    batches = [batch async for batch in source.batches()]
    assert [frame for batch in batches for frame in batch] == FRAMES
    assert max(batch[-1].time_s - batch[0].time_s for batch in batches) == pytest.approx(BATCH_S)
    assert (source.frames, source.skipped, source.is_truncated) == (500, 0, False)


async def test_a_compressed_recording_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "drive.log.gz"
    path.write_bytes(gzip.compress(write(tmp_path / "drive.log").read_bytes()))
    assert await taken(as_fast_as_possible(path)) == FRAMES


def test_a_command_reads_a_recording_without_a_loop(tmp_path: Path) -> None:
    source = as_fast_as_possible(write(tmp_path / "drive.log"))
    assert list(source.read_all()) == FRAMES
    (tmp_path / "empty.log").touch()
    with pytest.raises(SourceError, match="found nothing"):
        list(as_fast_as_possible(tmp_path / "empty.log").read_all())


@pytest.mark.parametrize("suffix", ["asc", "blf", "csv", "trc"])
async def test_any_format_of_python_can_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"drive.{suffix}"
    with can.Logger(path) as logger:
        for frame in FRAMES[:20]:
            logger.on_message_received(
                can.Message(
                    timestamp=frame.time_s,
                    arbitration_id=frame.can_id,
                    data=frame.data,
                    channel=0,
                    is_extended_id=False,
                )
            )
    frames = await taken(as_fast_as_possible(path))
    assert [(frame.can_id, frame.data) for frame in frames] == [
        (frame.can_id, frame.data) for frame in FRAMES[:20]
    ]
    assert {frame.bus for frame in frames} <= {"can0", "can1"}


async def test_pacing_follows_the_recording_at_its_speed(tmp_path: Path) -> None:
    clock = FakeClock()
    sleeper = Sleeper(clock)
    path = write(tmp_path / "drive.log")
    source = ReplaySource(path, speed=2.0, clock=clock, sleep=sleeper)
    start_s = clock.monotonic_s()
    await taken(source)
    assert clock.monotonic_s() - start_s == pytest.approx(4.99 / 2)


@pytest.mark.parametrize("step_s", [0.0, 1e-5, 0.001, 0.5, -0.001, -9.0])
def test_no_batch_is_empty_or_too_long_whatever_the_instants_do(step_s: float) -> None:
    frames = [Frame(1e4 + place * step_s, "can0", 1, b"") for place in range(1200)]
    batches = list(in_batches(frames))
    assert [frame for batch in batches for frame in batch] == frames
    assert all(1 <= len(batch) <= BATCH_FRAMES for batch in batches)


async def test_pacing_survives_a_wall_clock_that_jumps(tmp_path: Path) -> None:
    clock = FakeClock()
    sleeper = Sleeper(clock)
    source = ReplaySource(write(tmp_path / "drive.log"), speed=1.0, clock=clock, sleep=sleeper)
    async for _batch in source.batches():
        clock.jump_wall_s(-3600)
    assert sum(sleeper.slept) == pytest.approx(4.99)


async def test_a_jump_of_a_recording_is_not_waited_for(tmp_path: Path) -> None:
    clock = FakeClock()
    sleeper = Sleeper(clock)
    late = [Frame(9_000_000.0, "can0", 1, b"")]
    path = write(tmp_path / "drive.log", [*FRAMES[:128], *late])
    source = ReplaySource(path, speed=1.0, clock=clock, sleep=sleeper)
    await taken(source)
    assert source.jumps == 1
    assert sum(sleeper.slept) <= MAX_PAUSE_S + 1.28


async def test_the_tail_is_repeated_as_long_as_somebody_listens(tmp_path: Path) -> None:
    clock = FakeClock()
    path = write(tmp_path / "drive.log")
    source = ReplaySource(path, speed=None, clock=clock, repeat_tail_s=1.0, sleep=Sleeper(clock))
    times: list[float] = []
    async for batch in source.batches():
        times += [frame.time_s for frame in batch]
        if len(times) > 900:
            break
    assert len(times) > 900
    assert all(0 < after - before < 0.02 for before, after in itertools.pairwise(times))


GOOD = format_line(FRAMES[0])
BAD_LINES = {
    "a negative instant": "(-5.000000) can0 1DB#00",
    "an instant that is no number": "(nan) can0 1DB#00",
    "an endless instant": "(inf) can0 1DB#00",
    "half a line": "(100.1) can0",
    "an odd digit": "(100.1) can0 1DB#000",
    "a letter": "(100.1) can0 1DB#ZZ",
    "nine bytes": "(100.1) can0 1DB#" + "00" * 9,
    "an id too large": "(100.1) can0 FFF#00",
    "no id": "(100.1) can0 #00",
    "no brackets": "100.1 can0 1DB#00",
    "a line without end": "x" * 5000,
    "binary": "\x00\x01\x7f\x02 \x03 \x04",
}


@pytest.mark.parametrize("bad", BAD_LINES)
async def test_a_bad_line_is_skipped_and_counted_with_its_number(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "drive.log"
    path.write_text(f"{GOOD}\n{BAD_LINES[bad]}\n{GOOD}\n")
    source = as_fast_as_possible(path)
    assert await taken(source) == [FRAMES[0], FRAMES[0]]
    assert source.skipped >= 1
    assert source.first_skipped == 2


async def test_remote_and_fd_frames_are_counted_apart(tmp_path: Path) -> None:
    path = tmp_path / "drive.log"
    path.write_text(f"{GOOD}\n(1.0) can0 1DB#R8\n(1.1) can0 1DB##1001122\n")
    source = as_fast_as_possible(path)
    assert len(await taken(source)) == 1
    assert (source.other_frames, source.skipped) == (2, 0)


async def test_instants_that_go_back_are_kept_and_counted(tmp_path: Path) -> None:
    frames = [FRAMES[5], FRAMES[1], FRAMES[2], FRAMES[0]]
    source = as_fast_as_possible(write(tmp_path / "drive.log", frames))
    assert await taken(source) == frames
    assert source.backwards == 2


async def test_a_truncated_file_gives_what_is_whole(tmp_path: Path) -> None:
    whole = gzip.compress(write(tmp_path / "drive.log").read_bytes(), compresslevel=0)
    path = tmp_path / "cut.log.gz"
    path.write_bytes(whole[: len(whole) // 2])
    source = as_fast_as_possible(path)
    frames = await taken(source)
    assert 100 < len(frames) < 500
    assert frames == FRAMES[: len(frames)]
    assert source.is_truncated


async def test_a_flipped_bit_in_a_compressed_file_is_survived(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(write(tmp_path / "drive.log").read_bytes()))
    data[len(data) // 2] ^= 0x10
    path = tmp_path / "flipped.log.gz"
    path.write_bytes(data)
    source = as_fast_as_possible(path)
    await taken(source)
    assert source.is_truncated or source.skipped


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x1f\x8b\x08garbage", b"\x00\xff\xfe" * 900])
@pytest.mark.parametrize("name", ["drive.log", "drive.asc", "drive.blf", "drive.xyz", "drive.trc"])
async def test_a_file_without_a_frame_is_one_sentence(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError, match=rf"{name}: expected a recording with CAN frames"):
        await taken(as_fast_as_possible(path))


@pytest.fixture
def mf4(tmp_path: Path) -> Path:
    """The frames as python-can writes them to MF4."""
    writer = importlib.reload(can.io.mf4).MF4Writer  # it may have been loaded without its package
    path = tmp_path / "drive.mf4"
    with writer(path) as log:
        for frame in FRAMES:
            log.on_message_received(
                can.Message(
                    frame.time_s, frame.can_id, is_extended_id=False, channel=0, data=frame.data
                )
            )
    return path


def test_an_mf4_recording_tells_the_same_frames(mf4: Path) -> None:
    source = as_fast_as_possible(mf4)
    read = list(source.read_all())
    assert [(f.bus, f.can_id, f.data) for f in read] == [(f.bus, f.can_id, f.data) for f in FRAMES]
    gone_s = [later.time_s - earlier.time_s for earlier, later in itertools.pairwise(read)]
    assert gone_s == pytest.approx([0.01] * (len(FRAMES) - 1), abs=1e-6)
    assert (source.skipped, source.is_truncated) == (0, False)


@pytest.mark.parametrize("kept", [0, 10, 100, 2000, -10])
def test_a_truncated_mf4_recording_is_one_sentence_and_nothing_else(
    kept: int, mf4: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mf4.write_bytes(mf4.read_bytes()[:kept])
    with pytest.raises(
        SourceError, match=r"expected a recording with CAN frames, found none that can be read: "
    ):
        list(as_fast_as_possible(mf4).read_all())
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_mf4_without_its_package_says_which_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "drive.mf4"
    path.write_bytes(b"MDF     4.10    ")
    monkeypatch.setitem(sys.modules, "asammdf", None)  # how Python marks a package as absent
    with pytest.raises(SourceError, match=r"expected the package asammdf.*its extra `mf4`"):
        list(as_fast_as_possible(path).read_all())


def test_what_only_mf4_needs_is_not_loaded_for_anything_else() -> None:
    code = "import agent.signals.can, agent.signals.replay, sys; print('asammdf' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout == "False\n"


async def test_a_file_of_other_frames_says_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "fd.log"
    path.write_text("(1.0) can0 1DB##1001122\n(1.0) can0 1DB#R8\nnoise\n")
    with pytest.raises(SourceError, match="1 unreadable line and 2 remote, error or CAN FD frames"):
        await taken(as_fast_as_possible(path))


async def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.log: expected a readable recording.*No such"):
        await taken(as_fast_as_possible(tmp_path / "none.log"))
    with pytest.raises(SourceError, match="Is a directory"):
        await taken(as_fast_as_possible(tmp_path))


@pytest.mark.parametrize("can_id", [0, 0x7FF, 0x800, 0x1FFFFFFF])
def test_a_line_reads_back_as_it_was_written(can_id: int) -> None:
    frame = Frame(12.000345, "vcan12", can_id, b"\x01\xfe")
    assert parse_line(format_line(frame).encode()) == frame
