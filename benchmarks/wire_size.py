"""How many bytes a trip costs on the wire, beside what others need for the same rows.

Run ``python -m benchmarks.wire_size FILE... --rate 1 --window 60 --json``. The trips and the
forms are fixed in the recordings' README; the models were trained on trips A01 to A05 and B02
only, so figures are to be read on the others.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

import click

from agent.privacy.battery import battery_slices, sources
from agent.signals.errors import SourceError
from agent.store.segment_records import SegmentColumn
from benchmarks import trained_i3
from benchmarks.catalog import RECORDINGS
from benchmarks.i3 import SIGNALS, Table, read_i3
from benchmarks.leaf import read_candump
from benchmarks.models import I3
from benchmarks.peers import fleetwise_snappy, json_gzip, parquet, pcodec_columns
from benchmarks.result import Part, Result
from benchmarks.result import Table as ResultTable
from telemetry.codec.batch import encode_batch
from telemetry.codec.cbor import dump, load
from telemetry.codec.cells import Cell
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.models import Model, trained_model
from telemetry.seal import sealed_bytes

REPORTED = ("A06", "A07", "A08", "A09", "A10", "A11", "A12", "B03", "B05", "B06")
LONG_TRIP = "A06"  # 53 minutes, 37,980 values
SIXTY_S_MS = 60_000
MODEL = trained_model(I3.order, trained_i3.COLUMNS, trained_i3.ODDS)
_MODELS: dict[str, Model | None] = {"bench.i3": MODEL, "bench.any": None}
_MONTH = "2019-07"
_BATTERY_PATHS = {
    "voltage": sources("pack_voltage_v")[0],
    "current": sources("pack_current_a")[0],
    "soc": sources("soc_percent")[0],
    "temp": sources("cell_temp_c")[0],
}
_MAX_BYTES = 64 << 20
_MAX_ROWS = 10_000_000
_MAX_COLUMNS = 256  # of a candump recording; an i3 has 13
_PEERS: dict[str, Callable[[Table], bytes]] = {
    "fleetwise_snappy_bytes": fleetwise_snappy,
    "json_gzip_bytes": json_gzip,
    "parquet_bytes": parquet,
    "pcodec_bytes": pcodec_columns,
}
_PEER_NAMES = {
    "fleetwise_snappy_bytes": "FleetWise + snappy",
    "json_gzip_bytes": "JSON + gzip",
    "parquet_bytes": "Parquet",
    "pcodec_bytes": "pcodec",
}
_I3_NOTE = (
    "Twelve signals at 1 Hz, the CBOR batch before sealing and padding, schema `bench.i3`. Beside "
    "it\nthe same trip as the vehicle's own `battery` batches (five columns, slices with gaps), "
    "sealed and padded."
)
_LEAF_NOTE = (
    "The columns that the vehicle records, at 1 Hz, without a trained model; half a minute each, "
    "so\nthat the container is most of it."
)


def encode(table: Table, *, seed: str) -> bytes:
    """Return ``table`` as one batch, before sealing and padding.

    Shape: as a batch of the vehicle, with the column block alone as its body; its schema is
    ``bench.i3`` for the twelve signals of an i3 and ``bench.any`` for other columns. ``seed``
    stands in for the random pseudonym and nonce, so that a run can be repeated.
    """
    random = hashlib.sha256(seed.encode()).digest()
    schema = "bench.i3" if is_i3(table) else "bench.any"
    columns = encode_columns([table.times_ms, *table.columns], model=_MODELS[schema])
    rows = len(table.times_ms)
    fields = {0: 1, 1: "bench", 2: schema, 3: random[:16], 4: columns, 5: [rows, 0]}
    return dump(fields | {6: random[16:]})


def decode(payload: bytes) -> list[list[Cell]]:
    """Return the columns of a batch of ``encode``, the times first."""
    fields = load(payload, max_bytes=_MAX_BYTES, what="bench batch")
    if not isinstance(fields, dict):
        raise ValueError("expected a batch of this benchmark")  # noqa: TRY004 (content, not type)
    return decode_columns(
        fields[4],
        max_rows=_MAX_ROWS,
        max_columns=_MAX_COLUMNS,
        model=_MODELS[fields[2]],
    )


def is_i3(table: Table) -> bool:
    """Tell whether ``table`` holds exactly the twelve signals of an i3."""
    return table.names == tuple(signal.name for signal in SIGNALS)


def battery_payloads(table: Table, *, seed: str) -> list[bytes]:
    """Return what the purpose ``battery`` may hold of a trip, as the vehicle would send it.

    Shape: slices of five minutes at most with gaps between them, a batch each; ``seed`` stands in
    for chance. The columns of an i3 take the paths that a Leaf's have.
    """

    def fraction(*labels: object) -> float:
        drawn = hashlib.sha256(repr((seed, labels)).encode()).digest()
        return int.from_bytes(drawn[:8], "big") / 2**64

    columns = [
        SegmentColumn(_BATTERY_PATHS.get(name, name), "", step, offset)
        for name, step, offset in zip(table.names, table.steps, table.offsets, strict=True)
    ]
    rows = list(zip(table.times_ms, zip(*table.columns, strict=True), strict=True))
    random = hashlib.sha256(seed.encode()).digest()
    return [
        encode_batch(batch, pseudonym=random[:16], nonce=random[16:])
        for batch in battery_slices(columns, rows, month=_MONTH, fraction=fraction)
    ]


@dataclass(slots=True)
class Sizes:
    """What one file, or all of them, came to."""

    file: str
    values: int = 0
    okdrive_bytes: int = 0
    peers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PEERS, 0))
    battery_wire_bytes: int = 0
    encode_s: float = 0.0
    decode_s: float = 0.0
    round_trip: bool = True

    def add(self, other: "Sizes") -> None:
        """Add the figures of another file."""
        self.values += other.values
        self.okdrive_bytes += other.okdrive_bytes
        self.battery_wire_bytes += other.battery_wire_bytes
        self.encode_s += other.encode_s
        self.decode_s += other.decode_s
        self.round_trip &= other.round_trip
        for peer, size in other.peers.items():
            self.peers[peer] += size

    @property
    def ratio(self) -> float:
        """Our bytes for each byte of FleetWise with snappy."""
        return self.okdrive_bytes / self.peers["fleetwise_snappy_bytes"]

    @property
    def bits_per_value(self) -> float:
        """Our bits for each value, all of the batch counted."""
        return 8 * self.okdrive_bytes / self.values

    def row(self) -> dict[str, Any]:
        """Return the figures as one JSON object."""
        return {
            "file": self.file,
            "okdrive_bytes": self.okdrive_bytes,
            **self.peers,
            "values": self.values,
            "bits_per_value": round(self.bits_per_value, 4),
            "encode_ms": round(self.encode_s * 1000, 1),
            "decode_ms": round(self.decode_s * 1000, 1),
            "round_trip": self.round_trip,
            "ratio_fleetwise_snappy": round(self.ratio, 5),
            "battery_wire_bytes": self.battery_wire_bytes,
        }


def measure_table(
    name: str, table: Table, length_ms: int | None, *, write: Path | None = None
) -> Sizes:
    """Encode, decode and compare each window of ``length_ms``; None is the whole trip.

    ``battery_wire_bytes`` is of the whole trip in either case: the vehicle cuts it as it does.
    The batches are written to files whose names begin with ``write``, if it is given.
    """
    sizes = Sizes(name)
    for batch in battery_payloads(table, seed=name):
        sizes.battery_wire_bytes += sealed_bytes(len(batch))
    for number, window in enumerate(table.windows(length_ms)):
        payload = _measure_window(sizes, window, f"{name} {number}")
        for peer, form in _PEERS.items():
            sizes.peers[peer] += len(form(window))
        if write is not None:
            write.with_name(f"{write.name}-{number:04}.cbor").write_bytes(payload)
    return sizes


def _measure_window(sizes: Sizes, window: Table, seed: str) -> bytes:
    start_s = time.process_time()
    payload = encode(window, seed=seed)
    encoded_s = time.process_time()
    columns = decode(payload)
    sizes.decode_s += time.process_time() - encoded_s
    sizes.encode_s += encoded_s - start_s
    sizes.values += window.values
    sizes.okdrive_bytes += len(payload)
    sizes.round_trip &= columns == [window.times_ms, *window.columns]
    return payload


def measure(recordings: Path = RECORDINGS, *, quick: bool = False) -> Part:
    """Return the figures of the budget table, and every file beside its peers.

    ``recordings`` is the folder that holds ``trips/`` and ``leaf/``.
    """
    names = REPORTED[5:6] if quick else REPORTED
    trips = {name: read_i3(_trip(recordings, name), rate_hz=1) for name in names}
    leaf = {
        path.name.split(".")[0]: read_candump(path, rate_hz=1)
        for path in sorted((recordings / "leaf").glob("*.log.gz"))[: 1 if quick else None]
    }
    whole, minute = _sizes(trips, None), _sizes(trips, SIXTY_S_MS)
    tables = [
        _size_table("Trips of an i3, one batch a trip", _I3_NOTE, whole),
        _size_table("Trips of an i3, a batch every 60 s", _I3_NOTE, minute),
        _size_table("Recordings of a Leaf, one batch each", _LEAF_NOTE, _sizes(leaf, None)),
    ]
    results = [
        _size_entry(whole[-1], "codec bytes, whole trip", must=0.060, aim=0.045),
        _size_entry(minute[-1], "codec bytes, 60 s batches", must=0.066, aim=0.046),
        _battery_entry(whole[-1]),
        _speed_entry(read_i3(_trip(recordings, LONG_TRIP), rate_hz=1)),
    ]
    return Part(results=results, tables=tables if leaf else tables[:2])


def _trip(recordings: Path, name: str) -> Path:
    return recordings / "trips" / f"Trip{name}.csv.gz"


def _sizes(tables: Mapping[str, Table], length_ms: int | None) -> list["Sizes"]:
    """Return the sizes of each file, and of all of them last."""
    sizes = [measure_table(name, table, length_ms) for name, table in tables.items()]
    total = Sizes("total")
    for one in sizes:
        total.add(one)
    return [*sizes, total]


def _size_table(title: str, note: str, sizes: Sequence["Sizes"]) -> ResultTable:
    rows = [list(_shown(one).values()) for one in sizes]
    return ResultTable(title=title, note=note, head=list(_shown(sizes[0])), rows=rows)


def _shown(sizes: "Sizes") -> dict[str, str | float]:
    peers = (f"{_PEER_NAMES[peer]}, bytes" for peer in sizes.peers)
    return {
        "file": sizes.file,
        "values": sizes.values,
        "okdrive, bytes": sizes.okdrive_bytes,
        **dict(zip(peers, sizes.peers.values(), strict=True)),
        "of FleetWise": round(sizes.ratio, 4),
        "bits per value": round(sizes.bits_per_value, 3),
        "encode, ms": round(sizes.encode_s * 1000, 1),
        "decode, ms": round(sizes.decode_s * 1000, 1),
        "comes back": sizes.round_trip,
        "as battery batches, sealed, bytes": sizes.battery_wire_bytes,
    }


def _size_entry(total: "Sizes", name: str, *, must: float, aim: float) -> Result:
    return {
        "name": f"{name} (peer: FleetWise protobuf + snappy)",
        "value": total.okdrive_bytes,
        "unit": "bytes",
        "peer": total.peers["fleetwise_snappy_bytes"],
        "ratio": round(total.ratio, 5),
        "must": must,
        "aim": aim,
        "ok": total.ratio <= must and total.round_trip,
    }


def _battery_entry(total: "Sizes") -> Result:
    return {
        "name": "battery_wire_bytes: the same trips as battery batches, sealed and padded",
        "value": total.battery_wire_bytes,
        "unit": "bytes",
        "peer": None,
        "ratio": None,
        "must": None,
        "aim": None,
        "ok": None,
    }


def _speed_entry(table: Table, *, must_s: float = 0.5, aim_s: float = 0.1) -> Result:
    runs = [measure_speed_s(table) for _ in range(5)]
    value_s = statistics.median(runs)
    return {
        "name": f"encode + decode of {table.values} values",
        "value": round(value_s, 3),
        "unit": "s",
        "peer": None,
        "ratio": None,
        "must": must_s,
        "aim": aim_s,
        "ok": value_s <= must_s,
    }


def measure_speed_s(table: Table) -> float:
    """Return how much CPU time encoding and decoding ``table`` takes once, in seconds."""
    sizes = Sizes("speed")
    _measure_window(sizes, table, "speed")
    return sizes.encode_s + sizes.decode_s


def _stems(files: Sequence[Path]) -> list[str]:
    """Return a name for the batches of each file, no two alike: ``TripA06``, ``TripA06-2``.

    The same file of another folder, or with another ending, is another one.
    """
    stems: list[str] = []
    for file in files:
        plain = file.name.split(".", maxsplit=1)[0]
        names = chain([plain], (f"{plain}-{number}" for number in count(2)))
        stems.append(next(name for name in names if name not in stems))
    return stems


def _read(file: Path, rate_hz: int, signals: int) -> Table:
    name = file.name.removesuffix(".gz")
    reader = read_i3 if name.endswith(".csv") else read_candump
    try:
        return reader(file, rate_hz=rate_hz).first_columns(signals)
    except (ValueError, SourceError, OSError) as error:
        found = str(error).removeprefix(f"{file}: ")
        raise click.ClickException(
            f"{file}: {found}. No figures were printed; leave this file out or repair it."
        ) from error


def _report(rows: Sequence[dict[str, Any]]) -> str:
    table = [list(rows[0]), *([str(cell) for cell in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            [cells[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        )
        for cells in table
    )


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--rate",
    "rate_hz",
    default="1",
    type=click.Choice(["1", "2", "5", "10"]),
    help="Rows a second; 1 unless told.",
)
@click.option(
    "--signals",
    default=len(SIGNALS),
    type=click.IntRange(1, len(SIGNALS)),
    help="The first so many columns; all twelve unless told.",
)
@click.option(
    "--window",
    default="60",
    type=click.Choice(["60", "trip"]),
    help="Batches of 60 seconds (unless told), or one of the whole trip.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--write",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the batches here: TripA06-0000.cbor, of a namesake TripA06-2-0000.cbor.",
)
def main(  # noqa: PLR0913 (one parameter for each option)
    files: tuple[Path, ...],
    *,
    rate_hz: str,
    signals: int,
    window: str,
    as_json: bool,
    write: Path | None,
) -> None:
    """Print the bytes of FILES in our form and in others'.

    FILES: trips of an i3 (.csv, separated by ;) or candump recordings of a known vehicle (.log),
    plain or gzip. okdrive_bytes are CBOR batches before sealing and padding; battery_wire_bytes is
    the same trip as the vehicle's own battery batches, sealed and padded. round_trip says whether
    every batch was decoded and was the rows that went in.
    """
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
    length_ms = None if window == "trip" else SIXTY_S_MS
    total = Sizes("total")
    rows = []
    for file, stem in zip(files, _stems(files), strict=True):
        table = _read(file, int(rate_hz), signals)
        place = None if write is None else write / stem
        sizes = measure_table(file.name, table, length_ms, write=place)
        total.add(sizes)
        rows.append(sizes.row())
    result = {"files": rows, "total": total.row()}
    print(json.dumps(result, indent=2) if as_json else _report([*rows, total.row()]))


if __name__ == "__main__":
    main()
