"""From the configuration to how broker and repositories are reached."""

from collections.abc import Callable

from agent.config import AgentConfig, IdentityConfig
from agent.folders import Folders
from ota.client.client import UpdateSettings
from ota.client.fetch import HttpsSettings
from ota.client.offer import Ecu
from ota.metadata.custom import Kind
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message, MqttSettings


def link_maker(
    config: AgentConfig, *, is_parked: Callable[[], bool] = lambda: False
) -> Callable[[str, Callable[[Message], None]], MqttLink]:
    """Return what makes a connection to the configured broker under a given client id."""
    cost = config.uplink.cost

    def make(client_id: str, on_message: Callable[[Message], None]) -> MqttLink:
        settings = MqttSettings(
            host=config.uplink.broker_host,
            port=config.uplink.broker_port,
            ca_file=config.identity.authority,
            cert_file=config.identity.certificate,
            key_file=config.identity.certificate_key,
            keepalive_s=cost.keepalive_parked_s if is_parked() else cost.keepalive_driving_s,
        )
        return MqttLink(settings, client_id=client_id, on_message=on_message)

    return make


def https_settings(identity: IdentityConfig) -> HttpsSettings:
    """Return the TLS settings towards the repositories."""
    return HttpsSettings(
        ca_file=identity.authority,
        cert_file=identity.certificate,
        key_file=identity.certificate_key,
    )


def update_settings(config: AgentConfig, folders: Folders) -> UpdateSettings:
    """Return the update client's settings."""
    updates = config.updates
    return UpdateSettings(
        vehicle=config.identity.vehicle_id,
        primary_ecu=updates.primary_ecu,
        ecus=tuple(
            Ecu(ecu_id=ecu.ecu_id, hardware_id=ecu.hardware_id, kind=Kind(ecu.kind), name=ecu.name)
            for ecu in updates.ecus
        ),
        director_url=updates.director_url,
        image_url=updates.image_url,
        director_root=updates.director_root,
        image_root=updates.image_root,
        ecu_key=config.identity.ecu_key,
        folder=folders.update,
        apps=folders.apps,
    )
