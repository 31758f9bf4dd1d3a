"""The composition root of ingest: configuration -> parts. Wires, never computes."""

import os
import random
from dataclasses import dataclass

from telemetry.codec.batch import BatchLimits
from telemetry.ingest.clock import Clock
from telemetry.ingest.config import BrokerConfig, IngestConfig, WorkshopConfig
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.keyring import Keyring
from telemetry.ingest.pool import DecodePool, PoolSettings
from telemetry.ingest.reports import ReportQueue
from telemetry.ingest.service import IngestService, MakeLink, ServiceSettings
from telemetry.ingest.signing import load_signer, load_signing_key
from telemetry.ingest.store import Store, open_store
from telemetry.ingest.webhook import Deliverer, Webhook, WebhookSettings
from telemetry.link import Backoff
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import MqttSettings
from telemetry.seal import largest_sealed
from telemetry.topics import CLIENT_ID_BYTES, new_client_id

_MOST_DAYS = 7  # what a workshop did not take by then goes, also when none is named any more
_PACKET_OVERHEAD_BYTES = 65_536  # topic and properties of a message beside its payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A service ready to run, and what to close after it."""

    service: IngestService
    store: Store
    pool: DecodePool | None
    deliverer: Deliverer | None  # none: no workshop is named

    @property
    def decoder_deaths(self) -> int:
        """Return how many decoders had to be replaced."""
        return 0 if self.pool is None else self.pool.deaths

    def close(self) -> None:
        """End the decoders and close the store. Blocks."""
        if self.pool is not None:
            self.pool.close()
        self.store.close()


def build_service(config: IngestConfig, *, clock: Clock) -> Parts:
    """Open the store and build the service; raise IngestError. Blocks."""
    signer = load_signer(config.receipt_key)
    keyring = Keyring(config.sealing_keys, max_bytes=config.limits.max_batch_bytes)
    webhook = _webhook(config.workshop)  # before anything is opened that would have to be closed
    store, pool = open_store(config), _pool(config)
    desk = Desk(
        store=store,
        open_batch=keyring.open,
        clock=clock,
        settings=_desk_settings(config),
        prepare_batch=pool.prepare if pool else None,
    )
    service = IngestService(
        make_link=link_maker(config.broker, max_batch_bytes=config.limits.max_batch_bytes),
        desk=desk,
        signer=signer,
        backoff=Backoff(random.SystemRandom().random, cap_s=30.0, storm_s=30.0),
        settings=ServiceSettings(
            answer_timeout_s=config.broker.answer_timeout_s,
            workers=max(1, config.decoders),
            max_waiting=config.broker.in_flight * 2,
        ),
    )
    deliverer = None
    if webhook is not None:
        queue, chance = ReportQueue(store.index.database), random.SystemRandom().random
        deliverer = Deliverer(queue=queue, webhook=webhook, clock=clock, random=chance)
    return Parts(service=service, store=store, pool=pool, deliverer=deliverer)


def _webhook(workshop: WorkshopConfig | None) -> Webhook | None:
    if workshop is None:
        return None
    settings = WebhookSettings(
        url=workshop.url,
        ca_file=workshop.ca_file,
        timeout_s=workshop.timeout_s,
        longest_wait_s=workshop.longest_wait_s,
    )
    return Webhook(settings, load_signing_key(workshop.key))


def _pool(config: IngestConfig) -> DecodePool | None:
    limits = config.limits
    if config.decoders == 0:
        return None
    return DecodePool(
        PoolSettings(
            workers=config.decoders,
            limits=_batch_limits(config),
            time_limit_s=limits.max_decode_s,
            memory_bytes=limits.decoder_memory_bytes,
        )
    )


def link_maker(broker: BrokerConfig, *, max_batch_bytes: int) -> MakeLink:
    """Return what makes a fresh link, under a client id never used before."""
    settings = MqttSettings(
        host=broker.host,
        port=broker.port,
        ca_file=broker.ca_file,
        cert_file=broker.cert_file,
        key_file=broker.key_file,
        connect_timeout_s=broker.connect_timeout_s,
        receive_maximum=broker.in_flight,
        max_packet_bytes=largest_sealed(max_batch_bytes) + _PACKET_OVERHEAD_BYTES,
    )
    return lambda on_message: MqttLink(
        settings,
        client_id=new_client_id(os.urandom(CLIENT_ID_BYTES)),
        on_message=on_message,
        manual_ack=True,
    )


def _desk_settings(config: IngestConfig) -> DeskSettings:
    limits, workshop = config.limits, config.workshop
    return DeskSettings(
        limits=_batch_limits(config),
        max_rows_per_byte=limits.max_rows_per_byte,
        parts_days=limits.parts_days,
        parts_max_bytes=limits.parts_max_bytes,
        batch_days=limits.batch_days,
        receipts_days=limits.receipts_days,
        quarantine_days=limits.quarantine_days,
        quarantine_max=limits.quarantine_max,
        takes_reports=workshop is not None,
        reports_max=0 if workshop is None else workshop.max_reports,
        reports_days=_MOST_DAYS if workshop is None else workshop.days,
    )


def _batch_limits(config: IngestConfig) -> BatchLimits:
    return BatchLimits(max_bytes=config.limits.max_batch_bytes, max_rows=config.limits.max_rows)
