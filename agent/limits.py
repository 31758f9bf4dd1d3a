"""From the configuration of the uplink to what its parts are told. Pure."""

from agent.config import AgentConfig
from agent.departure import DepartureLimits
from agent.network.model import NetworkClass
from agent.store.drops import Quota

AUTO = "auto"


def said_network(config: AgentConfig) -> NetworkClass | None:
    """Return the class of network that the configuration states; None: NetworkManager knows."""
    said = config.uplink.cost.network
    return None if said == AUTO else NetworkClass(said)


def departure_limits(config: AgentConfig) -> DepartureLimits:
    """Return what sending may cost."""
    cost = config.uplink.cost
    by_class = {
        NetworkClass.UNMETERED: cost.unmetered_bytes_per_day,
        NetworkClass.METERED: cost.metered_bytes_per_day,
        NetworkClass.ROAMING: cost.roaming_bytes_per_day,
    }
    return DepartureLimits(
        parked_send_s=cost.parked_send_s,
        min_low_voltage_v=cost.min_low_voltage_v,
        bytes_per_day={name: limit for name, limit in by_class.items() if limit is not None},
    )


def quota(config: AgentConfig) -> Quota:
    """Return how much may wait."""
    queue = config.uplink.queue
    return Quota(
        max_bytes=queue.max_bytes,
        max_batches=queue.max_batches,
        max_age_days=queue.max_age_days,
    )
