"""From the configuration to where readings come from: live frames, a gateway, a recorded drive."""

from collections.abc import Mapping

from agent.clock import SystemClock
from agent.config import SourceConfig
from agent.signals.bus import BusWatch
from agent.signals.can import CanSource
from agent.signals.decode import Decoder, FrameKey
from agent.signals.gateway import GatewaySource
from agent.signals.live import LiveSource
from agent.signals.model import SignalSource
from agent.signals.polls import Poller
from agent.signals.replay import ReplaySource
from agent.signals.states import any_row


def make_source(
    source: SourceConfig,
    decoder: Decoder,
    *,
    buses: Mapping[str, str],
    clock: SystemClock,
    may_poll: bool,
) -> LiveSource:
    """Return the source that is configured, watched; ``buses`` is role -> interface.

    Only live frames can be asked for more, and only with ``may_poll``.
    """
    polls = decoder.table.polls
    interfaces = {**decoder.table.buses, **buses}
    asked = {FrameKey(interfaces[poll.bus], poll.request_id) for poll in polls}
    watch = BusWatch(
        {interfaces[role] for role in buses},
        periods_s=decoder.periods_s(),
        requests={(interfaces[poll.bus], poll.request_id) for poll in polls},
        silent_s=source.silent_s,
    )
    if source.kind != "can":
        return LiveSource(_plain_source(source, buses, clock), watch)
    can = CanSource(
        [*buses.values()],
        asked.union(decoder.needed),
        clock=clock,
        watch=watch,
        kind=source.driver,
    )
    if not may_poll:
        return LiveSource(can, watch)
    poller = Poller(
        polls,
        interfaces,
        is_state=lambda name: any_row(decoder.table.states[name], decoder.latest),
        is_tester_there=watch.is_tester_there,
    )
    return LiveSource(can, watch, poller=poller, send=can.send)


def _plain_source(
    source: SourceConfig, buses: Mapping[str, str], clock: SystemClock
) -> SignalSource:
    if source.path is None:  # the configuration has refused it
        raise RuntimeError(f"source: expected a path for kind {source.kind}, got none")
    if source.kind == "gateway":
        return GatewaySource(source.path, [*buses.values()])
    return ReplaySource(source.path, speed=source.speed, clock=clock)
