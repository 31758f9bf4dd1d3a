"""Faults in a battery, injected into frames and poll replies; what the battery watch makes of them.

``okdrive-sim battery-faults`` prints two tables: alerts on healthy vehicles (there should be none),
and for each injected fault which alert came how soon, against the time its rule states. Frames are
decoded and polls are asked and answered over ISO-TP as in a vehicle. All follows from the seeds.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.clock import SystemClock
from agent.signals.batches import in_batches
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.polls import Poller
from agent.signals.replay import CHUNK_FRAMES, ReplaySource
from agent.signals.states import any_row
from agent.signals.table import VehicleTable, known_vehicles, load_table
from agent.vehicle.battery.alerts import AlertChange, Step
from agent.vehicle.battery.memory import Memory, facts_of
from agent.vehicle.battery.rules import RULES, Code
from agent.vehicle.battery.watch import WATCH_PATHS, BatteryWatch
from sim.drive import RESISTANCE_OHM, drive_states
from sim.frames import TICK_S, VehicleState, frames_of
from sim.polls import HEALTHY, BatteryController, PackTruth

VEHICLE: Final = "nissan-leaf-ze1"
START_S: Final = 1_000.0
_SLICE: Final = 20  # ticks between two steps of the watch
_DAY: Final = 20_000

Row = Mapping[str, Any]  # of a table, as JSON has it
Change = Callable[[VehicleState], VehicleState]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: what it does to frames and polls from ``at_s`` on, and the alert it must raise."""

    name: str
    code: Code
    at_s: float
    in_frames: Change = lambda state: state
    truth: PackTruth = HEALTHY  # what the polls tell
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
        Fault(name="weak cell, -130 mV", code=Code.WEAK_CELL, at_s=20,
              truth=PackTruth(weak_cell_v=0.13), is_parked=True),
        Fault(name="hot module, +12 K", code=Code.HOT_MODULE, at_s=20,
              truth=PackTruth(hot_module_k=12.0), is_parked=True),
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


class Bench:
    """One vehicle on two buses: its frames, its battery controller, the agent's polls and watch."""

    def __init__(self, watch: BatteryWatch, seed: int) -> None:
        table = load_table(VEHICLE)
        self._watch = watch
        self._decoder = Decoder(table, set(WATCH_PATHS).intersection(table.paths()))
        self._controller = BatteryController(random.Random(seed))  # noqa: S311 (a drive, not a secret)
        self._poller = Poller(
            table.polls,
            table.buses,
            is_state=lambda name: any_row(table.states[name], self._decoder.latest),
            is_tester_there=lambda _: False,
        )
        self._counts: dict[int, int] = {}
        self._replies: list[Frame] = []

    def step(
        self, states: Sequence[VehicleState], start_s: float, truth: PackTruth
    ) -> tuple[AlertChange, ...]:
        """Let ``states`` pass, 10 ms each; return what the watch says."""
        now_s = start_s + len(states) * TICK_S
        self._controller.state, self._controller.truth = states[-1], truth
        due = [frame for frame in self._replies if frame.time_s < now_s]
        self._replies = self._replies[len(due) :]
        own = frames_of(states, start_s=start_s, counts=self._counts)
        frames = sorted([*own, *due], key=lambda frame: frame.time_s)
        signals = list(self._decoder.feed_all(frames))
        signals += self._decoder.age(now_s)
        self._ask(due, now_s)
        return self._watch.step(signals, now_s, utc=None, day=_DAY).changes

    def _ask(self, replies: Sequence[Frame], now_s: float) -> None:
        """Send what the agent sends: flow control at once, and the next question when it is due."""
        sent = [answer for frame in replies if (answer := self._poller.heard(frame))]
        if question := self._poller.step(now_s):
            sent.append(question)
        for frame in sent:
            heard = msgspec.structs.replace(frame, time_s=now_s)
            self._replies += self._controller.hear(heard)


def play(
    watch: BatteryWatch, states: Iterator[VehicleState], *, seed: int, fault: Fault | None = None
) -> Run:
    """Send ``states`` as frames and poll replies through the decoder into ``watch``."""
    run = Run(name=fault.name if fault else f"drive, seed {seed}")
    bench = Bench(watch, seed)
    for at in itertools.count():
        elapsed_s = at * _SLICE * TICK_S
        part = list(itertools.islice(states, _SLICE))
        if not part:
            run.seconds = elapsed_s
            return run
        truth = HEALTHY
        if fault and elapsed_s >= fault.at_s:
            part, truth = [fault.in_frames(state) for state in part], fault.truth
        run.changes += bench.step(part, START_S + elapsed_s, truth)
    return run


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


def as_document(run: Run, fault: Fault | None = None) -> Row:
    """Return one row of the tables for JSON: times in s, alerts by code."""
    codes = [change.alert.code for change in run.raised]
    if fault is None:
        return {"name": run.name, "seconds": round(run.seconds, 1), "alerts": codes}
    after_s = run.seconds_to(fault)
    return {
        "name": fault.name,
        "alert": fault.code,
        "within_s": RULES[fault.code].within_s,
        "after_s": None if after_s is None else round(after_s, 1),
        "others": run.others(fault),
    }


def healthy_runs(recordings: Path | None, drives: int) -> Iterator[Run]:
    """Yield what the watch says of healthy vehicles: synthetic drives, then recordings."""
    for seed in range(drives):
        yield healthy_drive(seed)
    for name in RECORDINGS if recordings else ():
        if recordings and (run := recorded(recordings, name)):
            yield run


def is_as_promised(
    healthy: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> bool:
    """Return whether nothing healthy was told, and each fault in time and nothing else."""
    is_silent = not any(row["alerts"] for row in healthy)
    return is_silent and all(_is_in_time(row) and not row["others"] for row in found)


def _is_in_time(row: Row) -> bool:
    return row["after_s"] is not None and row["after_s"] <= row["within_s"]


def summary_line(healthy: Sequence[Row], found: Sequence[Row]) -> str:
    """Return both tables in a sentence."""
    minutes = sum(row["seconds"] for row in healthy) / 60
    false = sum(len(row["alerts"]) for row in healthy)
    in_time = sum(1 for row in found if _is_in_time(row))
    others = sum(len(row["others"]) for row in found)
    return (
        f"{false} false alarms in {minutes:.1f} minutes of healthy driving and charging; "
        f"{in_time} of {len(found)} faults\ntold in time, {others} other alerts beside them"
    )


def healthy_line(row: Row) -> str:
    """Return one row of the table of false alarms."""
    codes = ", ".join(row["alerts"])
    return f"{row['name']:<28}{row['seconds']:>9.1f}{len(row['alerts']):>8}  {codes}".rstrip()


def fault_line(row: Row) -> str:
    """Return one row of the table of detections."""
    told = "never" if row["after_s"] is None else f"{row['after_s']:.1f}"
    others = ", ".join(row["others"]) or "none"
    return f"{row['name']:<26}{row['alert']:<19}{row['within_s']:>9.0f}{told:>9}  {others}"


HEALTHY_HEAD: Final = f"{'HEALTHY VEHICLE':<28}{'SECONDS':>9}{'ALERTS':>8}"
FAULT_HEAD: Final = f"{'INJECTED FAULT':<26}{'ALERT':<19}{'WITHIN s':>9}{'AFTER s':>9}  OTHERS"
