"""Attack (b) on ``battery``: join two days of a pack by what it is, through the real slices.

Printed without a bar: a pack has a health, a resistance and an offset of its own, and they are in
every slice because they are what the purpose is for.
"""

import random
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from agent.offers import battery_drafts
from agent.store.segment_records import SegmentColumn
from agent.store.segments import Segment
from telemetry.codec.anybatch import decode_any, encode_any
from telemetry.records import BatteryBatch
from tests.support.attack_result import Result
from tests.support.traces import FIRST_DAY

PACKS = 1_000
_TB = "Vehicle.Powertrain.TractionBattery"
_COLUMNS = {"CurrentVoltage": 0.5, "CurrentCurrent": 0.5, "StateOfCharge.Current": 0.5}
_EVERY_S, _LENGTH_S = 5, 290


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack as it really is."""

    soh_percent: float
    resistance_ohm: float
    empty_v: float

    def segment(self, dice: random.Random) -> Segment:
        """Return the samples of one short trip."""
        soc = dice.uniform(30, 90)
        rows = []
        for second in range(0, _LENGTH_S, _EVERY_S):
            current = dice.uniform(-120, 40)
            soc += current * _EVERY_S / 3600 / 1.2
            volt = self.empty_v + 0.6 * soc + self.resistance_ohm * current
            rows.append(
                (second * 1_000, [round(2 * volt), round(2 * current), round(2 * soc), self._soh()])
            )
        return Segment(
            columns=(
                *(
                    SegmentColumn(path=f"{_TB}.{name}", unit="", step=step, offset=0.0)
                    for name, step in _COLUMNS.items()
                ),
                SegmentColumn(path=f"{_TB}.StateOfHealth", unit="percent", step=1.0, offset=0.0),
            ),
            boot_id="boot",
            anchor=None,
            rows=rows,
            torn_bytes=0,
            damaged_bytes=0,
        )

    def _soh(self) -> int:
        return round(self.soh_percent)


def link_packs(seed: int) -> Result:
    """For a slice of one day, name the same pack's of another."""
    dice = random.Random(f"packs {seed}")
    packs = [
        Pack(dice.uniform(75, 100), dice.uniform(0.05, 0.14), dice.gauss(330, 1.5))
        for _ in range(PACKS)
    ]
    first, second = ([_likeness(_slice(pack, day, dice)) for pack in packs] for day in (0, 7))
    pool = np.array(second)
    scale = pool.std(axis=0)
    named = [int((np.abs(pool - one) / scale).sum(axis=1).argmin()) for one in first]
    hits = [name == at for at, name in enumerate(named)]
    return Result("b two days", "battery", hits, [1 / PACKS] * PACKS)


def _slice(pack: Pack, day: int, dice: random.Random) -> BatteryBatch:
    started = FIRST_DAY + timedelta(days=day)
    secret = dice.randbytes(32)
    draft = battery_drafts(
        pack.segment(dice), f"{day}", started=started, secret=secret, today=started.date()
    )[0]
    payload = encode_any(
        draft.body, month=draft.month, pseudonym=bytes(16), nonce=dice.randbytes(16)
    )
    body = decode_any(payload).body
    assert isinstance(body, BatteryBatch)
    return body


def _likeness(batch: BatteryBatch) -> list[float]:
    """Health, resistance and voltage when empty, by least squares."""
    rows = [
        (one.pack_current_a, one.soc_percent, one.pack_voltage_v)
        for one in batch.samples
        if None not in {one.pack_current_a, one.soc_percent, one.pack_voltage_v}
    ]
    table = np.array(rows, dtype=float)
    known = np.column_stack([table[:, 0], table[:, 1], np.ones(len(table))])
    (resistance, slope, _), *_ = np.linalg.lstsq(known, table[:, 2], rcond=None)
    at_half = float(np.mean(table[:, 2] - resistance * table[:, 0] - 0.6 * (table[:, 1] - 50)))
    return [float(batch.soh_percent or 0), float(resistance), at_half + 0 * float(slope)]
