"""The classes of network, and how NetworkManager's words become one of them. Pure.

Source of the numbers: NetworkManager's D-Bus types NMState, NMMetered; ModemManager's
MMModem3gppRegistrationState. Both are stable interfaces of those projects.
"""

from dataclasses import dataclass
from enum import StrEnum


class NetworkClass(StrEnum):
    """What a byte costs on the way out."""

    UNMETERED = "unmetered"
    METERED = "metered"
    ROAMING = "roaming"
    NONE = "none"  # no way out at all


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """What NetworkManager and ModemManager say about the connection with the default route."""

    state: int  # NMState
    metered: int  # NMMetered
    kind: str = ""  # of the connection: "802-11-wireless", "802-3-ethernet", "gsm", …
    is_roaming: bool | None = None  # None: no modem, or it does not say


class NetworkBusError(Exception):
    """The bus is not there, or answers with something else; the network's class is unknown."""

    code = "network.bus"


UNKNOWN = NetworkClass.METERED  # who does not know the price should not spend
MODEM_KINDS = frozenset({"gsm", "cdma"})
ROAMING_STATES = frozenset({5, 7, 10})  # roaming; roaming for SMS only; roaming, CSFB not preferred
_CONNECTED_SITE = 60  # below: asleep, disconnected, connecting, or this machine only
_NOT_METERED = frozenset({2, 4})  # no; guessed no


def network_class(facts: NetworkFacts | None) -> NetworkClass:
    """Return what a byte costs; a network nobody can say anything about is metered."""
    if facts is None:
        return UNKNOWN
    if facts.state < _CONNECTED_SITE:
        return NetworkClass.NONE
    if facts.is_roaming:
        return NetworkClass.ROAMING
    return NetworkClass.UNMETERED if facts.metered in _NOT_METERED else NetworkClass.METERED
