"""From the configuration to how much, how long and when. Pure."""

from agent.config import AgentConfig
from agent.delivery import Patience
from agent.departure import DepartureLimits
from agent.gatekeeper import UpdatePolicy
from agent.network.model import NetworkClass
from agent.store.drops import Quota
from ota.client.gates import GateLimits
from ota.client.pace import DataUse

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


def data_use(config: AgentConfig, network: NetworkClass) -> DataUse:
    """Return what a download may cost on ``network``."""
    updates = config.updates
    budgets = {
        NetworkClass.UNMETERED: None,
        NetworkClass.METERED: updates.metered_bytes_per_image,
        NetworkClass.ROAMING: updates.roaming_bytes_per_image,
        NetworkClass.NONE: 0,
    }
    months = {
        NetworkClass.UNMETERED: None,
        NetworkClass.METERED: updates.metered_bytes_per_month,
        NetworkClass.ROAMING: updates.roaming_bytes_per_month,
        NetworkClass.NONE: 0,
    }
    return DataUse(
        network=network,
        budget_bytes=budgets[network],
        month_bytes=months[network],
        bytes_per_s=updates.max_bytes_per_s,
    )


def update_policy(config: AgentConfig) -> UpdatePolicy:
    """Return when the agent looks for updates, and what the vehicle must be like to install."""
    updates = config.updates
    return UpdatePolicy(
        check_every_s=updates.check_every_s,
        countdown_s=updates.countdown_s,
        window=updates.window,
        limits=GateLimits(
            soc_percent=updates.min_soc_percent,
            aux_battery_v=updates.min_low_voltage_v,
            needs_ignition_off=updates.needs_ignition_off,
            needs_charging=updates.needs_charging,
            needs_link=updates.needs_link,
            min_ambient_c=updates.min_ambient_c,
            max_ambient_c=updates.max_ambient_c,
        ),
    )


def patience(config: AgentConfig) -> Patience:
    """Return how long to wait for the broker and for ingest."""
    uplink = config.uplink
    return Patience(puback_s=uplink.puback_timeout_s, receipt_s=uplink.receipt_timeout_s)
