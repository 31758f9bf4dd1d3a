"""A recorder killed at any moment leaves a segment with everything it had flushed."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.store.segments import SegmentWriter, read_segment

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

WRITER = """
import sys
from pathlib import Path
from agent.store.segment_records import SegmentColumn
from agent.store.segments import SegmentWriter
columns = [SegmentColumn("Vehicle.Speed", "km/h", 0.01, 0.0)]
writer = SegmentWriter.create(Path(sys.argv[1]), columns, boot_id="boot-1")
for second in range(10**9):
    writer.append(second * 1000, [second])
    if second % 10 == 9:
        writer.flush()
        print(second + 1, flush=True)
"""


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_writer_loses_nothing_it_had_flushed(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "trip.seg"
    wanted = random.Random(seed).randrange(1, 400)
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        flushed = 0
        for line in process.stdout:
            flushed = int(line)
            if flushed >= wanted:
                process.send_signal(signal.SIGKILL)
                break
    rows = read_segment(path).rows
    assert len(rows) >= flushed >= wanted
    assert rows == [(second * 1000, [second]) for second in range(len(rows))]
    writer = SegmentWriter.reopen(path)
    writer.append(len(rows) * 1000, [len(rows)])
    writer.close()
    assert len(read_segment(path).rows) == len(rows) + 1
