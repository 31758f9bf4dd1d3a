"""What to ask, when, and when to keep silent. Pure: frames in, frames to send out.

Off unless the configuration switches it on. One question at a time; only while the state that a
poll needs is proven; never while another tester talks on the bus (two testers mix their replies).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from agent.signals.isotp import FLOW_CONTROL, Reassembler, single_frame
from agent.signals.model import Frame
from agent.signals.table import PollRule

ANSWER_S: Final = 2.0  # a control unit that takes longer does not answer
GAP_S: Final = 0.5  # between two questions: the bus belongs to the vehicle


@dataclass(slots=True)
class PollCounters:
    """What was asked and what came of it, for `doctor`."""

    asked: int = 0
    unanswered: int = 0
    held_back: int = 0  # a tester was there, or the vehicle was not awake


class Poller:
    """Decides which frame to send next; ``step`` and ``heard`` are all there is."""

    def __init__(
        self,
        polls: Collection[PollRule],
        interfaces: Mapping[str, str],
        *,
        is_state: Callable[[str], bool | None],
        is_tester_there: Callable[[float], bool],
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            polls: Of the vehicle's table.
            interfaces: Role to interface.
            is_state: Whether a named state of the vehicle holds now; None: it cannot be told.
            is_tester_there: Whether somebody else polls at an instant.
        """
        self.counters = PollCounters()
        self._polls = tuple(polls)
        self._interfaces = interfaces
        self._is_state = is_state
        self._is_tester_there = is_tester_there
        self._asked_s: dict[str, float] = {}
        self._open: PollRule | None = None
        self._open_s = float("-inf")
        self._reassembler = Reassembler()

    def step(self, now_s: float) -> Frame | None:
        """Return the request to send at ``now_s``; None if there is nothing to ask."""
        if self._open and not 0 <= now_s - self._open_s < ANSWER_S:
            self.counters.unanswered += 1
            self._open = None
        if self._open or 0 <= now_s - self._open_s < GAP_S:
            return None
        poll = next((poll for poll in self._polls if self._is_due(poll, now_s)), None)
        if poll is None:
            return None
        if self._is_tester_there(now_s) or not self._may_ask(poll):
            self.counters.held_back += 1
            self._open_s = now_s  # looked at again after the gap
            return None
        return self._ask(poll, now_s)

    def heard(self, frame: Frame) -> Frame | None:
        """Take a frame of a reply id; return the flow control that its sender waits for."""
        poll = self._open
        if poll is None or frame.can_id != poll.reply_id:
            return None
        if frame.bus != self._interfaces[poll.bus]:
            return None
        outcome = self._reassembler.feed(frame.time_s, frame.data)
        self._open_s = frame.time_s
        if outcome.payload or outcome.fault:
            self._open = None
        return self._frame(poll, FLOW_CONTROL, frame.time_s) if outcome.is_first else None

    def _is_due(self, poll: PollRule, now_s: float) -> bool:
        asked_s = self._asked_s.get(poll.name)
        return asked_s is None or not 0 <= now_s - asked_s < poll.period_s

    def _may_ask(self, poll: PollRule) -> bool:
        return poll.needs is None or self._is_state(poll.needs) is True

    def _ask(self, poll: PollRule, now_s: float) -> Frame:
        self._asked_s[poll.name] = self._open_s = now_s
        self._open, self._reassembler = poll, Reassembler()
        self.counters.asked += 1
        return self._frame(poll, single_frame(bytes.fromhex(poll.service)), now_s)

    def _frame(self, poll: PollRule, data: bytes, now_s: float) -> Frame:
        return Frame(now_s, self._interfaces[poll.bus], poll.request_id, data)
