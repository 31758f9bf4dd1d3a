"""No bytes of a segment do more than be read, refused or counted; none become a value in silence.

Runs and seed as in ``test_codec``: ``OKDRIVE_FUZZ_RUNS``, ``OKDRIVE_FUZZ_SEED``.
"""

import os
import random
from pathlib import Path

import pytest

from agent.store.segment_records import (
    BLOCK_MARK,
    HEAD_BYTES,
    HEADER_MARK,
    MAX_BLOCK_ROWS,
    SegmentColumn,
    SegmentError,
    record_of,
)
from agent.store.segments import Segment, SegmentWriter, _known_cipher, read_segment
from tests.fuzz.mutate import BYTES, splice

RUNS = int(os.environ.get("OKDRIVE_FUZZ_RUNS", "250"))
SEED = int(os.environ.get("OKDRIVE_FUZZ_SEED", "1"))
COLUMNS = (
    SegmentColumn("Vehicle.Speed", "km/h", 0.01, 0.0),
    SegmentColumn("Vehicle.Exterior.AirTemperature", "celsius", 0.5, -40.0),
)


def written(folder: Path) -> tuple[bytes, Segment]:
    """Return the bytes of a segment of several blocks, and what it holds."""
    path = folder / "whole.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot", anchor=None)
    for second in range(60):
        writer.append(second * 1000, [second * 137 % 9000, None if second % 7 == 0 else second])
        if second % 12 == 11:
            writer.flush()
    writer.close()
    return path.read_bytes(), read_segment(path)


def test_a_damaged_segment_gives_rows_that_were_written_or_is_refused(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    whole, known = written(tmp_path)
    rows = {(time_ms, tuple(row)) for time_ms, row in known.rows}
    path = tmp_path / "whole.seg"  # under its own name it has its key
    read = refused = 0
    for _ in range(RUNS // 2):
        data = whole
        for _ in range(chance.choice((1, 1, 2, 8))):
            data = chance.choice((*BYTES, splice))(chance, data, [whole, bytes(64)])
        path.write_bytes(data)
        try:
            found = read_segment(path)
        except SegmentError as error:
            refused += 1
            assert error.code in ("segment.header", "segment.read", "segment.key")  # noqa: PT017 (an outcome)
            continue
        read += 1
        assert found.columns == known.columns, data.hex()
        assert {(time_ms, tuple(row)) for time_ms, row in found.rows} <= rows, data.hex()
    assert read > RUNS / 8
    assert refused


@pytest.mark.parametrize("mark", [HEADER_MARK, BLOCK_MARK], ids=["header", "block"])
def test_nonsense_with_a_right_checksum_is_bounded_too(mark: bytes, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    whole, _ = written(tmp_path)
    start = whole.index(mark)
    length = int.from_bytes(whole[start + len(mark) : start + len(mark) + 4], "little")
    payload = whole[start + HEAD_BYTES : start + HEAD_BYTES + length]
    assert record_of(mark, payload) == whole[start : start + HEAD_BYTES + length]
    path = tmp_path / "whole.seg"
    cipher = _known_cipher(path)  # a forger with the key: what is behind it holds by itself
    plain = cipher.open(payload)
    for _ in range(RUNS // 5):
        forged = chance.choice(BYTES)(chance, plain, [plain])
        record = record_of(mark, cipher.seal(forged))
        path.write_bytes(whole[:start] + record + whole[start + HEAD_BYTES + length :])
        try:
            found = read_segment(path)
        except SegmentError as error:
            assert error.code == "segment.header"  # noqa: PT017 (one of two outcomes)
            continue
        assert len(found.rows) <= 60 + MAX_BLOCK_ROWS, forged.hex()
        assert all(len(row) == len(found.columns) for _, row in found.rows)
