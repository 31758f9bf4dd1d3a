"""Faults in a battery, injected into frames and poll replies; what the battery watch makes of them.

``python -m sim.battery_faults`` prints two tables: alerts on healthy vehicles (there should be
none), and for each injected fault which alert came how soon, against the time its rule states.
Everything follows from the seeds.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import click

from agent.clock import SystemClock
from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.model import Frame, Quality, Signal
from agent.signals.replay import CHUNK_FRAMES, ReplaySource, in_batches
from agent.signals.table import VehicleTable, known_vehicles, load_table
from agent.vehicle.battery.alerts import AlertChange, Step
from agent.vehicle.battery.memory import Memory, facts_of
from agent.vehicle.battery.rules import RULES, Code
from agent.vehicle.battery.watch import WATCH_PATHS, BatteryWatch
from sim.drive import RESISTANCE_OHM, drive_states
from sim.frames import TICK_S, VehicleState, frames_of

VEHICLE: Final = "nissan-leaf-ze1"
POLL_CELLS_S: Final = 60.0
POLL_TEMPERATURES_S: Final = 180.0
FIRST_POLL_S: Final = 5.0  # a vehicle that wakes up does not answer at once
CELLS: Final = 96
START_S: Final = 1_000.0
_SLICE: Final = 20  # ticks between two steps of the watch
_DAY: Final = 20_000

Change = Callable[[VehicleState], VehicleState]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: what it does to frames and polls from ``at_s`` on, and the alert it must raise."""

    name: str
    code: Code
    at_s: float
    in_frames: Change = lambda state: state
    weak_cell_v: float = 0.0  # how far cell 37 is below the others
    hot_module_k: float = 0.0  # how far thermistor 3 is above the others
    is_parked: bool = False


@dataclass(kw_only=True)
class Run:
    """What the watch said over one run."""

    name: str
    seconds: float = 0.0
    changes: list[AlertChange] = field(default_factory=list)

    @property
    def raised(self) -> list[AlertChange]:
        """Return every alert that was raised, oldest first."""
        return [change for change in self.changes if change.step is Step.RAISED]

    def seconds_to(self, fault: Fault) -> float | None:
        """Return how long after the fault its alert came; None if it did not."""
        times = [c.time_s for c in self.raised if c.alert.code is fault.code]
        return times[0] - START_S - fault.at_s if times else None

    def others(self, fault: Fault) -> list[Code]:
        """Return the alerts that are not the one the fault must raise."""
        return [c.alert.code for c in self.raised if c.alert.code is not fault.code]


class _StuckCurrent:
    """Holds the current of the moment at which it is first asked."""

    def __init__(self) -> None:
        self._held_a: float | None = None

    def __call__(self, state: VehicleState) -> VehicleState:
        if self._held_a is None:
            self._held_a = state.pack_current_a
        return replace(state, pack_current_a=self._held_a)


def _tired(state: VehicleState) -> VehicleState:
    sag_v = 0.4 * RESISTANCE_OHM * state.pack_current_a
    return replace(state, pack_voltage_v=state.pack_voltage_v + sag_v)


def faults() -> tuple[Fault, ...]:
    """Return every fault, afresh."""
    return (
        Fault(name="weak cell, -130 mV", code=Code.WEAK_CELL, at_s=20, weak_cell_v=0.13,
              is_parked=True),
        Fault(name="hot module, +12 K", code=Code.HOT_MODULE, at_s=20, hot_module_k=12.0,
              is_parked=True),
        Fault(name="resistance +40 %", code=Code.RESISTANCE, at_s=0, in_frames=_tired),
        Fault(name="charge jumps by 6 points", code=Code.SOC_MISMATCH, at_s=60,
              in_frames=lambda s: replace(s, soc_percent=s.soc_percent - 6)),
        Fault(name="12 V sags to 10.8 V", code=Code.LOW_VOLTAGE, at_s=60,
              in_frames=lambda s: replace(s, low_voltage_v=10.8)),
        Fault(name="isolation flag", code=Code.ISOLATION, at_s=60,
              in_frames=lambda s: replace(s, has_isolation_fault=True)),
        Fault(name="current sensor stuck", code=Code.SENSOR_INVALID, at_s=60,
              in_frames=_StuckCurrent()),
        Fault(name="relay cut request", code=Code.RELAY_CUT, at_s=60,
              in_frames=lambda s: replace(s, relay_cut=1)),
        Fault(name="failsafe while driving", code=Code.FAILSAFE, at_s=60,
              in_frames=lambda s: replace(s, failsafe=4)),
        Fault(name="interlock open", code=Code.INTERLOCK, at_s=60,
              in_frames=lambda s: replace(s, is_interlock_open=True)),
        Fault(name="capacity empty", code=Code.EMPTY, at_s=60,
              in_frames=lambda s: replace(s, is_empty=True)),
        Fault(name="controller malfunction", code=Code.LIMIT_MALFUNCTION, at_s=60,
              in_frames=lambda s: replace(s, limit_reason=2)),
        Fault(name="limited because hot", code=Code.LIMIT_HOT, at_s=60,
              in_frames=lambda s: replace(s, limit_reason=3)),
    )  # fmt: skip


def polled(
    state: VehicleState, time_s: float, chance: random.Random, *, fault: Fault | None
) -> Iterator[Signal]:
    """Yield what the polls of one instant tell: cells, and now and then temperatures."""
    mean_v = state.pack_voltage_v / CELLS
    for number, path in enumerate(catalog.CELL_VOLTAGES, start=1):
        weak_v = fault.weak_cell_v if fault and number == 37 else 0.0  # noqa: PLR2004 (any cell)
        volts = round(mean_v + chance.gauss(0, 0.003) - weak_v, 3)
        yield Signal(path, volts, Quality.OK, time_s)
    yield Signal(catalog.CAPACITY_AH, 162.2, Quality.OK, time_s)


def temperatures(time_s: float, *, fault: Fault | None) -> Iterator[Signal]:
    """Yield what the poll of the thermistors tells."""
    hot_k = fault.hot_module_k if fault else 0.0
    for path, value in zip(
        catalog.CELL_TEMPERATURES, (20.0, 21.0, 19.0 + hot_k, 19.0), strict=True
    ):
        yield Signal(path, value, Quality.OK, time_s)


def play(
    watch: BatteryWatch, states: Iterator[VehicleState], *, seed: int, fault: Fault | None = None
) -> Run:
    """Send ``states`` as frames and polls through the decoder into ``watch``."""
    run = Run(name=fault.name if fault else f"drive, seed {seed}")
    table = load_table(VEHICLE)
    decoder = Decoder(table, set(WATCH_PATHS).intersection(table.paths()))
    chance = random.Random(seed)  # noqa: S311 (a drive, not a secret)
    counts: dict[int, int] = {}
    for at in itertools.count():
        elapsed_s = at * _SLICE * TICK_S
        part = list(itertools.islice(states, _SLICE))
        if not part:
            run.seconds = elapsed_s
            return run
        active = fault if fault and elapsed_s >= fault.at_s else None
        if active:
            part = [active.in_frames(state) for state in part]
        start_s = START_S + elapsed_s
        signals = list(decoder.feed_all(list(frames_of(part, start_s=start_s, counts=counts))))
        if not part[-1].is_waking:
            signals += _polls(part[-1], start_s, elapsed_s, chance, fault=active)
        now_s = start_s + len(part) * TICK_S
        signals += decoder.age(now_s)
        run.changes += watch.step(signals, now_s, utc=None, day=_DAY).changes
    return run


def _polls(
    state: VehicleState,
    time_s: float,
    elapsed_s: float,
    chance: random.Random,
    *,
    fault: Fault | None,
) -> Iterator[Signal]:
    awake_s = elapsed_s - FIRST_POLL_S
    if awake_s >= 0 and awake_s % POLL_CELLS_S < _SLICE * TICK_S:
        yield from polled(state, time_s, chance, fault=fault)
    if awake_s >= 0 and awake_s % POLL_TEMPERATURES_S < _SLICE * TICK_S:
        yield from temperatures(time_s, fault=fault)


def healthy_drive(seed: int, memory: Memory | None = None, *, hops: int = 8) -> Run:
    """Return what the watch says of a healthy synthetic drive."""
    return play(BatteryWatch(memory=memory), drive_states(seed, hops=hops), seed=seed)


def faulty_drive(fault: Fault, *, seed: int = 1) -> Run:
    """Return what the watch says of a drive (or a long stop) with one fault."""
    memory = Memory()
    if fault.code is Code.RESISTANCE:  # it is judged against what this vehicle was before
        healthy_drive(seed, memory, hops=12)
    states: Iterator[VehicleState] = drive_states(seed)
    if fault.is_parked:
        states = itertools.repeat(VehicleState(pack_current_a=-1.5), round(600 / TICK_S))
    return play(BatteryWatch(memory=memory), states, seed=seed, fault=fault)


# which vehicle each recording is of
RECORDINGS: Final = {
    "ze0_24kwh_stock": "nissan-leaf-ze0",
    "ze0_charge_stop_full": "nissan-leaf-ze0",
    "aze0_ready_parked": "nissan-leaf-aze0",
    "env200_40kwh_ac_charge": "nissan-env200",
    "ze1_62kwh_startup": "nissan-leaf-ze1",
    "ze1_62kwh_eco_drive": "nissan-leaf-ze1",
    "ze1_chademo_charge": "nissan-leaf-ze1",
}


def recorded(folder: Path, name: str) -> Run | None:
    """Return what the watch says of a recording; None if its vehicle has no definition yet."""
    vehicle = RECORDINGS[name]
    if vehicle not in known_vehicles():
        return None
    table = load_table(vehicle)
    source = ReplaySource(folder / f"{name}.log.gz", speed=None, clock=SystemClock())
    return watch_frames(name, table, source.read_all())


def watch_frames(name: str, table: VehicleTable, frames: Iterator[Frame]) -> Run:
    """Return what the watch says of ``frames``."""
    decoder = Decoder(table, set(WATCH_PATHS).intersection(table.paths()))
    watch = BatteryWatch(facts_of(table))
    run = Run(name=name)
    first_s = now_s = 0.0
    chunks = iter(lambda: list(itertools.islice(frames, CHUNK_FRAMES)), [])
    for batch in itertools.chain.from_iterable(map(in_batches, chunks)):
        now_s, first_s = batch[-1].time_s, first_s or batch[0].time_s
        signals = [*decoder.feed_all(batch), *decoder.age(now_s)]
        run.changes += watch.step(signals, now_s, utc=None, day=_DAY).changes
    run.seconds = now_s - first_s
    return run


@click.command()
@click.option("--recordings", type=click.Path(path_type=Path), help="Folder of *.log.gz files.")
@click.option("--drives", default=5, show_default=True, help="Healthy synthetic drives.")
def main(recordings: Path | None, drives: int) -> None:
    """Print the false-alarm and detection tables."""
    click.echo(f"{'HEALTHY VEHICLE':<28}{'SECONDS':>9}{'ALERTS':>8}")
    runs = [healthy_drive(seed) for seed in range(drives)]
    if recordings:
        runs += [run for name in RECORDINGS if (run := recorded(recordings, name))]
    for run in runs:
        codes = ", ".join(change.alert.code for change in run.raised)
        click.echo(f"{run.name:<28}{run.seconds:>9.1f}{len(run.raised):>8}  {codes}")
    click.echo(f"\n{'INJECTED FAULT':<28}{'ALERT':<20}{'WITHIN s':>9}{'AFTER s':>9}  OTHERS")
    for fault in faults():
        run = faulty_drive(fault)
        after_s = run.seconds_to(fault)
        told = "never" if after_s is None else f"{after_s:.1f}"
        others = ", ".join(run.others(fault)) or "none"
        within_s = RULES[fault.code].within_s
        click.echo(f"{fault.name:<28}{fault.code:<20}{within_s:>9.0f}{told:>9}  {others}")


if __name__ == "__main__":
    main()
