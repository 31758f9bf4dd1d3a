"""The page of figures: every result and every table, and nothing invented."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.book import Book, BookError, read_part
from benchmarks.catalog import CATALOG
from benchmarks.figures import main, number, page, soak_section
from benchmarks.ingest_rate import measure
from benchmarks.result import Part, Result, Table

RESULT = Result(
    name="codec | bytes",
    value=54_648,
    unit="bytes",
    peer=1_333_000.0,
    ratio=0.04098,
    must=0.060,
    aim=0.045,
    ok=True,
)
TABLE = Table(
    title="Trips", note="Of an i3.", head=["file", "bytes"], rows=[["A06", 54_648], ["A07", None]]
)
PART = Part(results=[RESULT], tables=[TABLE])
MEASURED = {"at": "2026-11-22 08:00 UTC", "seconds": 1.0, "machine": "a board, 2 cores"}


def whole_book(folder: Path) -> Book:
    book = Book(folder)
    for bench in CATALOG:
        book.keep(bench.name, PART, measured=MEASURED)
    return book


def test_each_result_is_a_line_of_the_first_table() -> None:
    failed: Result = {**RESULT, "ok": False, "peer": None}
    part = Part(results=[RESULT, failed], tables=[])
    lines = page([("wire_size", part)]).splitlines()
    assert lines[-2] == (
        "| codec \\| bytes | 54,648 | bytes | 1,333,000 | 0.04098 | 0.06 | 0.045 | ok |"
    )
    assert lines[-1].endswith("| **not met** |")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (54_648, "54,648"),
        (3.0, "3"),
        (0.040_981, "0.04098"),
        (12_345.6, "12,346"),
        (1.5e-7, "1.5e-07"),
    ],
)
def test_a_number_has_four_digits_or_all_before_the_point(value: float, text: str) -> None:
    assert number(value) == text


def test_each_table_is_a_section_with_its_own_head() -> None:
    text = page([("wire_size", PART)])
    assert "## Trips\n\nOf an i3.\n\n| file | bytes |\n| --- | ---: |\n| A06 | 54,648 |\n" in text
    assert "| A07 |  |\n" in text


def test_the_page_says_where_each_figure_was_measured() -> None:
    other = {**PART, "measured": {**MEASURED, "machine": "a rack"}}
    text = page([("decode", {**PART, "measured": MEASURED}), ("download", other)])
    assert "* decode: measured on 2026-11-22, a board, 2 cores\n" in text
    assert "* download: measured on 2026-11-22, a rack\n" in text


def test_kill_points_are_counted_as_their_page_counts_them() -> None:
    text = page([], kill_points="# Kill points\n\n## Whole: 129 statements, 258 kill points\n")
    assert "| Whole | 129 statements, 258 kill points |" in text


def test_a_benchmark_that_is_run_alone_leaves_the_others_figures(tmp_path: Path) -> None:
    book = whole_book(tmp_path)
    again = Part(results=[{**RESULT, "value": 7}], tables=[])
    book.keep("decode", again, measured=MEASURED)
    values = [result["value"] for result in json.loads(book.summary.read_text())]
    assert sorted(values) == [7, *[54_648] * (len(CATALOG) - 1)]
    assert set(json.loads(book.summary.read_text())[0]) == set(RESULT)


def test_the_page_is_written_only_when_everything_was_measured(tmp_path: Path) -> None:
    target = tmp_path / "figures.md"
    arguments = ["--from", str(tmp_path), "--page", str(target)]
    Book(tmp_path).keep("decode", PART, measured=MEASURED)
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 1
    assert "run `python -m benchmarks wire_size live_path" in found.output
    assert not target.exists()
    whole_book(tmp_path)
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert target.read_text().count("codec \\| bytes") == len(CATALOG)


def test_the_soaks_section_stays_until_there_is_a_newer_soak(tmp_path: Path) -> None:
    book, target = whole_book(tmp_path), tmp_path / "figures.md"
    arguments = ["--from", str(tmp_path), "--page", str(target)]
    soak = Part(results=[], tables=[{**TABLE, "title": "Batches"}])
    (book.folder / "soak.json").write_text(json.dumps(soak))
    CliRunner().invoke(main, arguments)
    (book.folder / "soak.json").unlink()
    CliRunner().invoke(main, arguments)
    assert target.read_text().endswith(f"\n{soak_section(soak)}")
    assert target.read_text().count("## Soak") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected the results of a benchmark"),
        ("[]", "expected one JSON object"),
        ("{}", "expected lists of results and tables"),
        ('{"results": [{"name": "x"}], "tables": []}', "expected the field 'value'"),
        ('{"results": [], "tables": [{"title": "x"}]}', "expected the field 'note'"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "decode.json"
    path.write_text(text)
    with pytest.raises(BookError, match=message):
        read_part(path)


def test_a_spoilt_result_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    book, target = whole_book(tmp_path), tmp_path / "figures.md"
    target.write_text("as it was")
    (book.folder / "bench" / "decode.json").write_text("{")
    found = CliRunner().invoke(main, ["--from", str(tmp_path), "--page", str(target)])
    assert found.exit_code == 1
    assert "stays as it is" in found.output
    assert target.read_text() == "as it was"


@pytest.mark.recorded
@pytest.mark.timeout(60)
def test_batches_of_real_trips_are_stored_at_a_rate(recordings: Path) -> None:
    results = measure(recordings, batches=2, plain_batches=1)
    assert results[0]["name"].startswith("ingest, plain decoder")
    assert all(result["value"] > 0 for result in results)
