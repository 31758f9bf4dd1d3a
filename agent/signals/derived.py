"""Paths that follow a named state of the definition, and what paths are computed from. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from agent.signals.model import Quality, Signal
from agent.signals.states import any_row
from agent.signals.table import DerivedState, SignalRule, VehicleTable


class Derived:
    """Paths that follow a named state of the definition."""

    def __init__(self, table: VehicleTable, wanted: Collection[str]) -> None:
        """Prepare for the derived paths of ``table`` that are ``wanted``."""
        self.rules = tuple(rule for rule in table.derived if rule.path in wanted)
        self._states = table.states
        self._needs = {
            rule.path: frozenset(table.paths_of_state(rule.state)) for rule in self.rules
        }
        self._all = frozenset().union(*self._needs.values())

    def follow(self, changes: Sequence[Signal], latest: Mapping[str, Signal]) -> Iterator[Signal]:
        """Yield what became true, false or unknown with ``changes``."""
        touched = {signal.path: signal.time_s for signal in changes if signal.path in self._all}
        if not touched:
            return
        for rule in self.rules:
            times = [time_s for path, time_s in touched.items() if path in self._needs[rule.path]]
            if times:
                signal = self._now(rule, latest, max(times))
                known = latest[rule.path]
                if signal.value != known.value or signal.quality is not known.quality:
                    yield signal

    def _now(self, rule: DerivedState, latest: Mapping[str, Signal], time_s: float) -> Signal:
        holds = any_row(self._states[rule.state], latest)
        if holds is not None:
            return Signal(rule.path, float(holds), Quality.OK, time_s)
        needs = sorted(self._needs[rule.path])
        reason = next(latest[path].quality for path in needs if latest[path].value is None)
        return Signal(rule.path, None, reason, time_s)


def with_needs(table: VehicleTable, paths: Collection[str]) -> Collection[str]:
    """Return ``paths`` and everything they are computed from."""
    wanted = set(paths)
    if unknown := wanted.difference(table.paths()):
        raise ValueError(f"{table.name}: expected paths of this vehicle, got {sorted(unknown)}")
    for derived in table.derived:
        wanted.update(table.paths_of_state(derived.state) if derived.path in wanted else ())
    for frame in table.frames:
        for product in frame.products:
            wanted.update(product.of if product.path in wanted else ())
        for rule in frame.signals:
            wanted.update(_needs(rule) if rule.path in wanted else ())
    return wanted


def _needs(rule: SignalRule) -> set[str]:
    needs = {rule.sentinel_of} if rule.sentinel_of else set()
    return needs | ({rule.scales.path} if rule.scales else set())
