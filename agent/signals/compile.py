"""DBC + TOML -> the compact table the agent loads. Needs cantools, which the vehicle has not.

Every mistake of a definition is found in one go, with file, line, what was expected and what was
found; a table is written only when the whole definition is right.
"""

import re
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from agent.signals.catalog import CATALOG
from agent.signals.compile_frames import counter_of, frame_length, product_rule, signal_rule
from agent.signals.compile_polls import reply_rule
from agent.signals.compile_units import STALE_PERIODS, WrongError
from agent.signals.dbc import DbcFile
from agent.signals.definition import (
    DefinitionText,
    DetectText,
    FrameText,
    PartText,
    PollText,
    TomlFile,
)
from agent.signals.errors import DefinitionError, Problem
from agent.signals.table import (
    FORMAT,
    Condition,
    DerivedState,
    Detection,
    Evidence,
    FrameRule,
    PollRule,
    VehicleTable,
    encode_table,
)

if TYPE_CHECKING:
    from cantools.database.can import Message

_CONDITION: Final = re.compile(r"(\S+) (==|>=|<=) (-?\d+(?:\.\d+)?)")
_EVIDENCE: Final = re.compile(r"([0-9A-F]{3}|[0-9A-F]{8})(?:/([0-8]))?")
T = TypeVar("T")


def compile_vehicle(definition: Path) -> VehicleTable:
    """Return the table of the vehicle defined in ``definition`` (TOML) and the DBCs beside it.

    Raises:
        DefinitionError: All mistakes: unreadable file, unknown key, message, signal, path or
            unit, overlapping signals, a signal outside its frame, two rules for one path.
    """
    builder = _Builder(definition)
    table = builder.table()
    if builder.problems or table is None:
        raise DefinitionError(builder.problems)
    return table


def check_vehicle(definition: Path) -> tuple[Problem, ...]:
    """Return every mistake in ``definition``, none if it is right."""
    try:
        compile_vehicle(definition)
    except DefinitionError as error:
        return error.problems
    return ()


def write_table(definition: Path, target: Path) -> VehicleTable:
    """Compile ``definition`` into the file ``target``; nothing is written on DefinitionError."""
    table = compile_vehicle(definition)
    target.write_bytes(encode_table(table))
    return table


class _Builder:
    """Builds one table; ``problems`` collects every mistake on the way."""

    def __init__(self, definition: Path) -> None:
        self.problems: list[Problem] = []
        self._toml = TomlFile(definition)
        text = self._toml.parse(DefinitionText)
        assert isinstance(text, DefinitionText)  # noqa: S101 (narrows the parser's two kinds)
        self._text = text
        self._file = definition
        self._databases: dict[str, list[DbcFile]] = {}

    def table(self) -> VehicleTable | None:
        """Return the table; None if a mistake leaves none. Mistakes are in ``problems``."""
        text = self._text
        self._databases = self._read_databases()
        frames: list[FrameRule] = []
        polls: list[PollRule] = []
        for toml, part in self._parts():
            frames += self._frames(toml, part.frames)
            polls += self._polls(toml, part.polls)
        states = {
            name: self._tried(partial(self._state, name, rows)) or ()
            for name, rows in text.states.items()
        }
        table = VehicleTable(
            format=FORMAT,
            name=text.name,
            title=text.title,
            buses={role: bus.interface for role, bus in text.buses.items()},
            frames=tuple(frames),
            polls=tuple(polls),
            states=states,
            derived=tuple(self._derived()),
            detection=self._tried(partial(self._detection, text.detect)),
            record=text.record,
        )
        if not self.problems:  # what is only missing because of a mistake is not a second one
            self._check_whole(table)
        return table

    # -- parts ---------------------------------------------------------------------------------

    def _note(self, text: str, line: int | None = None, file: Path | None = None) -> None:
        problem = Problem(file or self._file, line, text)
        if problem not in self.problems:
            self.problems.append(problem)

    def _tried(
        self, build: Callable[[], T], *, file: Path | None = None, line: int | None = None
    ) -> T | None:
        """Return what ``build`` makes; None if it is wrong, which is noted."""
        try:
            return build()
        except WrongError as wrong:
            self._note(str(wrong), wrong.line or line, file)
        except DefinitionError as error:
            self.problems += error.problems
        return None

    def _read_databases(self) -> dict[str, list[DbcFile]]:
        """Return the DBCs of each role; each file is read and checked once."""
        files: dict[Path, DbcFile | None] = {}
        found: dict[str, list[DbcFile]] = {}
        for role, bus in self._text.buses.items():
            for name in bus.files():
                file = self._file.parent / name
                if file not in files:
                    files[file] = read = self._tried(partial(DbcFile, file))
                    self.problems += read.problems() if read else ()
                if dbc := files[file]:
                    found.setdefault(role, []).append(dbc)
        return found

    def _parts(self) -> Iterator[tuple[TomlFile, "PartText | DefinitionText"]]:
        yield self._toml, self._text
        for name in self._text.include:
            toml = self._tried(partial(TomlFile, self._file.parent / name))
            part = self._tried(partial(toml.parse, PartText)) if toml else None
            if toml and part:
                yield toml, part

    # -- frames --------------------------------------------------------------------------------

    def _frames(self, toml: TomlFile, texts: Sequence[FrameText]) -> Iterator[FrameRule]:
        for place, text in enumerate(texts):
            line = toml.frame(place)
            frame = self._tried(partial(self._frame, toml, line, text), file=toml.file, line=line)
            if frame:
                yield frame

    def _frame(self, toml: TomlFile, line: int | None, text: FrameText) -> FrameRule | None:
        if text.bus not in self._text.buses:
            known = sorted(self._text.buses)
            raise WrongError(f"{text.message}: expected a bus of {known}, got {text.bus!r}")
        message = self._message(text)
        if message is None:
            return None
        signals = []
        for row in text.signals:
            at = toml.below(line, f'"{row.path}"')
            signal = self._tried(partial(signal_rule, message, row, text), file=toml.file, line=at)
            signals += [signal] if signal else []
        return FrameRule(
            bus=text.bus,
            can_id=message.frame_id,
            name=message.name,
            length=frame_length(text, message, signals),
            period_s=text.period_ms / 1000,
            check=text.check,
            counter=counter_of(message, text.counter) if text.counter else None,
            signals=tuple(signals),
            products=tuple(product_rule(row, text) for row in text.products),
        )

    def _message(self, text: FrameText) -> "Message | None":
        """Return the message in the DBCs of its bus; None if one of these could not be read."""
        known = self._databases.get(text.bus, [])
        for dbc in known:
            if message := dbc.messages.get(text.message):
                return message
        files = self._text.buses[text.bus].files()
        if len(known) < len(files):
            return None
        raise WrongError(f"expected a message of {', '.join(files)}, got {text.message!r}")

    # -- polls ---------------------------------------------------------------------------------

    def _polls(self, toml: TomlFile, texts: Sequence[PollText]) -> Iterator[PollRule]:
        for place, text in enumerate(texts):
            poll = self._tried(partial(self._poll, text), file=toml.file, line=toml.poll(place))
            if poll:
                yield poll

    def _poll(self, text: PollText) -> PollRule:
        if text.bus not in self._text.buses:
            raise WrongError(
                f"{text.name}: expected a bus of {sorted(self._text.buses)}, got {text.bus!r}"
            )
        if text.needs is not None and text.needs not in self._text.states:
            raise WrongError(f"{text.name}: expected a state of [states], got {text.needs!r}")
        lengths = [reply.length for reply in text.replies]
        if len(set(lengths)) != len(lengths):
            raise WrongError(f"{text.name}: expected one reply for each length, got {lengths}")
        if text.is_private and any(reply.signals or reply.arrays for reply in text.replies):
            raise WrongError(f"{text.name}: expected no signals in a private reply, got some")
        return PollRule(
            name=text.name,
            bus=text.bus,
            request_id=text.request_id,
            reply_id=text.reply_id,
            service=text.service,
            period_s=text.period_s,
            stale_s=text.stale_s or text.period_s * STALE_PERIODS,
            needs=text.needs,
            is_private=text.is_private,
            replies=tuple(reply_rule(text.name, reply) for reply in text.replies),
        )

    # -- the rest ------------------------------------------------------------------------------

    def _state(
        self, name: str, rows: tuple[tuple[str, ...], ...]
    ) -> tuple[tuple[Condition, ...], ...]:
        return tuple(tuple(self._condition(name, text) for text in row) for row in rows)

    def _condition(self, name: str, text: str) -> Condition:
        match = _CONDITION.fullmatch(text)
        if match is None or match[1] not in CATALOG:
            line = self._toml.below(self._toml.below(1, "[states]"), text)
            raise WrongError(
                f"states.{name}: expected `path == number` (or >=, <=), got {text!r}", line=line
            )
        return msgspec.convert(
            {"path": match[1], "op": match[2], "value": float(match[3])}, Condition
        )

    def _derived(self) -> Iterator[DerivedState]:
        for path, state in self._text.derived.items():
            line = self._toml.below(self._toml.below(1, "[derived]"), path)
            if path not in CATALOG:
                self._note(f"derived: expected a path of the catalogue, got {path!r}", line)
            elif state not in self._text.states:
                self._note(f"derived: expected a state of [states], got {state!r}", line)
            else:
                yield DerivedState(path=path, state=state)

    def _detection(self, text: DetectText | None) -> Detection | None:
        if text is None:
            return None
        line = self._toml.below(1, "[detect]")
        if text.bus not in self._text.buses:
            known = sorted(self._text.buses)
            raise WrongError(f"detect: expected a bus of {known}, got {text.bus!r}", line=line)
        seen, unseen = (
            tuple(_evidence(item, line) for item in items) for items in (text.seen, text.unseen)
        )
        return Detection(bus=text.bus, seen=seen, unseen=unseen)

    def _check_whole(self, table: VehicleTable) -> None:
        paths = table.paths()
        for path, count in Tally(paths).items():
            if count > 1:
                self._note(f"expected one rule for {path}, got {count}", self._second(path))
        for (bus, can_id), count in Tally((f.bus, f.can_id) for f in table.frames).items():
            if count > 1:
                self._note(f"expected one entry for {can_id:#x} on bus {bus}, got more")
        for path in _used(table):
            if path not in paths:
                line = self._toml.below(1, path)
                self._note(f"expected a path that a signal here yields, got {path!r}", line)

    def _second(self, path: str) -> int | None:
        first = self._toml.below(self._toml.frame(0), f'path = "{path}"')
        return self._toml.below((first or 0) + 1, f'path = "{path}"')


def _used(table: VehicleTable) -> Iterator[str]:
    yield from table.record
    for name in table.states:
        yield from table.paths_of_state(name)
    for frame in table.frames:
        yield from (rule.scales.path for rule in frame.signals if rule.scales)


def _evidence(text: str, line: int | None) -> Evidence:
    match = _EVIDENCE.fullmatch(text)
    if match is None:
        raise WrongError(f"detect: expected ID or ID/LENGTH, as 5A9/7, got {text!r}", line=line)
    return Evidence(int(match[1], 16), int(match[2]) if match[2] else None)
