"""The page of figures: every result, and nothing invented."""

import json
from pathlib import Path

import pytest

from benchmarks.figures import FiguresError, main, page, read
from benchmarks.ingest_rate import measure
from benchmarks.result import Result

RESULT = Result(
    name="codec | bytes",
    value=54_648,
    unit="bytes",
    peer=1_333_000.0,
    ratio=0.04098,
    must="<= 0.060",
    aim="<= 0.045",
    ok=True,
)


def test_each_result_is_a_line_of_the_table() -> None:
    lines = page([RESULT, RESULT | {"ok": False, "peer": None}]).splitlines()
    assert lines[-2] == (
        "| codec \\| bytes | 54,648 | bytes | 1.333e+06 | 0.04098 | <= 0.060 | <= 0.045 | ok |"
    )
    assert lines[-1].endswith("| **not met** |")


def test_the_page_is_written_from_the_results_of_a_run(tmp_path: Path) -> None:
    source, target = tmp_path / "bench.json", tmp_path / "figures.md"
    source.write_text(json.dumps([RESULT]))
    main([str(source), str(target)])
    assert target.read_text() == page([RESULT])


@pytest.mark.parametrize(
    ("text", "message"), [("{", "expected the results"), ('{"a": 1}', "expected a list")]
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(FiguresError, match=message):
        read(path)


def test_a_result_without_a_field_is_refused() -> None:
    with pytest.raises(FiguresError, match="expected the field 'unit'"):
        page([{"name": "x", "value": 1}])


@pytest.mark.recorded
@pytest.mark.timeout(60)
def test_batches_of_real_trips_are_stored_at_a_rate(recordings: Path) -> None:
    results = measure(recordings, batches=2, plain_batches=1)
    assert results[0]["name"].startswith("ingest, plain decoder")
    assert all(result["value"] > 0 for result in results)
