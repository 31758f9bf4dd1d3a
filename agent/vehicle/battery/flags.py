"""What the battery controller says outright: one condition for each flag. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.signals import catalog
from agent.signals.catalog import BATTERY, CATALOG, OVERLAY
from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.rules import Code
from agent.vehicle.expression import Expression, parse

_IS_ON: Final = f"{catalog.IGNITION} == {catalog.IGNITION_ON:g}"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: bad while ``condition`` holds for ``lasting_s``."""

    code: Code
    condition: Expression
    lasting_s: float = 0.0


def _flag(code: Code, condition: str, *, lasting_s: float = 0.0) -> Flag:
    return Flag(code, parse(condition, CATALOG), lasting_s)


FLAGS: Final = (
    _flag(Code.RELAY_CUT, f"{catalog.RELAY_CUT} > 0 and {_IS_ON}"),
    _flag(Code.FAILSAFE, f"{catalog.FAILSAFE} > 0 and abs({catalog.SPEED}) > 0.5"),
    _flag(Code.EMPTY, f"{catalog.IS_EMPTY} == 1 and {_IS_ON}"),
    _flag(Code.LIMIT_MALFUNCTION, f"{catalog.LIMIT_REASON} == 2"),
    _flag(Code.ISOLATION, f"{catalog.ISOLATION_FAULT} == 1"),
    _flag(
        Code.INTERLOCK,
        f"{catalog.INTERLOCK} == 0 and {BATTERY}.IsPowerConnected == 1",
        lasting_s=1.0,
    ),
    _flag(Code.LIMIT_HOT, f"{catalog.LIMIT_REASON} == 3"),
    _flag(
        Code.CHARGE_FAULT,
        f"{catalog.CHARGER_STATUS} == 4 and {catalog.CHARGER_POWER} < 0.1"
        f" and {OVERLAY}.Charger.IsAcRelayClosed == 1 and abs({catalog.PACK_CURRENT}) < 1",
        lasting_s=120.0,
    ),
)
FLAG_PATHS: Final = frozenset(path for flag in FLAGS for path in flag.condition.paths)


class Flags:
    """Judges every flag; one that cannot be known is not judged."""

    def __init__(self, *, without: frozenset[Code] = frozenset()) -> None:
        self._flags = tuple(flag for flag in FLAGS if flag.code not in without)
        self._since_s: dict[Code, float] = {}

    def judge(self, time_s: float, values: Mapping[str, float | None]) -> list[Reading]:
        """Return 1 or 0 for every flag that is known."""
        found = []
        for flag in self._flags:
            holds = flag.condition.holds(values)
            if holds is None:
                self._since_s.pop(flag.code, None)
                continue
            found.append(self._reading(flag, time_s, values, holds=holds))
        return found

    def _reading(
        self, flag: Flag, time_s: float, values: Mapping[str, float | None], *, holds: bool
    ) -> Reading:
        if not holds:
            self._since_s.pop(flag.code, None)
            return Reading(code=flag.code, value=0.0)
        since_s = min(self._since_s.setdefault(flag.code, time_s), time_s)
        if time_s - since_s < flag.lasting_s:
            return Reading(code=flag.code, value=0.0)
        evidence = tuple(
            Evidence(name=path.rpartition(".")[2], value=values.get(path) or 0.0)
            for path in sorted(flag.condition.paths)
        )
        return Reading(code=flag.code, value=1.0, evidence=evidence)
