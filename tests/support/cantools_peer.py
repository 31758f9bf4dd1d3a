"""What cantools says of the same frames, from the same DBC files by its own code."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cantools.database.can import Database
from cantools.database.errors import DecodeError

from agent.signals.catalog import CATALOG, CONVERSIONS
from agent.signals.decode import Decoder
from agent.signals.model import Frame, Quality
from agent.signals.table import FrameRule, SignalRule, load_table

FOLDER = Path(__file__).parents[2] / "configs/vehicles"


class Peer:
    """One vehicle, decoded by cantools; ``compared`` puts both answers side by side."""

    def __init__(self, vehicle: str, buses: Mapping[str, str] | None = None) -> None:
        self.table = load_table(vehicle)
        text = tomllib.loads((FOLDER / f"{vehicle}.toml").read_text())
        self._databases = {role: _database(bus["dbc"]) for role, bus in text["buses"].items()}
        self._units = dict(_given_units(text))
        self._decoder = Decoder(self.table, buses=buses)

    def compared(self, frames: Iterable[Frame]) -> Iterator[tuple[str, float | None, float | None]]:
        """Yield path, our value and that of cantools for every signal of every known frame.

        None is "no value": ours with a reason, theirs when the bits are not in the frame.
        """
        decoder = self._decoder
        rules = {(decoder.buses[f.bus], f.can_id): f for f in self.table.frames}
        for frame in frames:
            decoder.feed(frame)
            rule = rules.get((frame.bus, frame.can_id))
            if rule is None or len(frame.data) < rule.length:
                continue
            theirs = self.decoded(rule, frame.data)
            for signal in rule.signals:
                told = decoder.latest[signal.path]
                is_here = told.quality is not Quality.OK or told.time_s <= frame.time_s
                if is_here and _is_selected(signal, frame.data):
                    yield signal.path, told.value, self.in_our_unit(rule, signal, theirs)

    def decoded(self, rule: FrameRule, data: bytes) -> dict[str, Any]:
        """Return what cantools reads of ``data``; nothing if it cannot."""
        message = self._databases[rule.bus].get_message_by_frame_id(rule.can_id)
        try:
            found = message.decode(data[: message.length], decode_choices=False)
        except DecodeError:
            return {}
        assert isinstance(found, dict)
        return found

    def in_our_unit(
        self, rule: FrameRule, signal: SignalRule, theirs: dict[str, Any]
    ) -> float | None:
        """Return the value of cantools in the unit of the catalogue."""
        value = theirs.get(signal.name)
        if value is None or signal.scales:
            return None
        if signal.values is not None:
            return signal.values.get(int(value))
        message = self._databases[rule.bus].get_message_by_frame_id(rule.can_id)
        unit = self._units.get((signal.name, signal.path))
        unit = message.get_signal_by_name(signal.name).unit or "" if unit is None else unit
        ours = CATALOG[signal.path].unit
        return float(value) * (1.0 if unit == ours else CONVERSIONS[unit, ours])


def _is_selected(signal: SignalRule, data: bytes) -> bool:
    if signal.selector is None:
        return True
    raw = 0
    for bits in signal.selector.field:
        raw = raw << bits.width | data[bits.byte] >> bits.shift & (1 << bits.width) - 1
    return raw == signal.selector.value


def _database(names: str | list[str]) -> Database:
    database = Database()
    for name in [names] if isinstance(names, str) else names:
        database.add_dbc_file(FOLDER / name)
    return database


def _given_units(text: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield each unit that a TOML gives in place of the DBC's."""
    parts = [tomllib.loads((FOLDER / name).read_text()) for name in text.get("include", ())]
    for part in (text, *parts):
        for frame in part.get("frames", ()):
            for row in frame["signals"]:
                if "unit" in row:
                    yield (row["name"], row["path"]), row["unit"]
