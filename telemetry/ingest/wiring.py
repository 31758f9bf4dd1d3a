"""The composition root of ingest: configuration -> parts. Wires, never computes."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from telemetry.codec.batch import BatchLimits
from telemetry.ingest.clock import Clock
from telemetry.ingest.config import BrokerConfig, IngestConfig
from telemetry.ingest.dedupe import Index
from telemetry.ingest.service import Desk, IngestService, MakeLink, ServiceSettings
from telemetry.ingest.signing import load_signer
from telemetry.ingest.sink import ParquetSink
from telemetry.link import Backoff
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import MqttSettings
from telemetry.topics import CLIENT_ID_BYTES, new_client_id

_PACKET_OVERHEAD_BYTES = 65_536  # topic and properties of a message beside its payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A service ready to run, and the index to close after it."""

    service: IngestService
    index: Index


def build_service(config: IngestConfig, *, index: Path, parquet: Path, clock: Clock) -> Parts:
    """Open the store and build the service; raise IngestError. Blocks."""
    signer = load_signer(config.receipt_key)
    opened = Index.open(index)
    sink = ParquetSink(parquet, opened)
    sink.clean()
    settings = _settings(config)
    service = IngestService(
        make_link=link_maker(config.broker, max_batch_bytes=config.limits.max_batch_bytes),
        desk=Desk(index=opened, sink=sink, clock=clock, settings=settings),
        signer=signer,
        backoff=Backoff(random.SystemRandom().random, cap_s=30.0),
        settings=settings,
    )
    return Parts(service=service, index=opened)


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
        max_packet_bytes=max_batch_bytes + _PACKET_OVERHEAD_BYTES,
    )
    return lambda on_message: MqttLink(
        settings,
        client_id=new_client_id(os.urandom(CLIENT_ID_BYTES)),
        on_message=on_message,
        manual_ack=True,
    )


def _settings(config: IngestConfig) -> ServiceSettings:
    limits = config.limits
    return ServiceSettings(
        limits=BatchLimits(max_bytes=limits.max_batch_bytes, max_rows=limits.max_rows),
        quarantine_days=limits.quarantine_days,
        quarantine_max=limits.quarantine_max,
        answer_timeout_s=config.broker.answer_timeout_s,
        max_waiting=config.broker.in_flight * 2,
    )
