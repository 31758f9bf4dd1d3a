"""Composition root: configuration -> parts -> services. It wires, and computes nothing."""

import asyncio
import json
import logging
import secrets
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec

from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.connections import https_settings, link_maker, update_settings
from agent.consents import sharing_of
from agent.control import Control
from agent.daylight import is_dark
from agent.desk import Desk
from agent.documents import INGEST_KEYS, ingest_keys_taker
from agent.erasures import eraser_of
from agent.folders import Folders
from agent.gatekeeper import Gatekeeper
from agent.hmi.app import create_app
from agent.hmi.owner import create_owner_app
from agent.hmi.server import serve, serve_unix
from agent.hmi.token import boot_token
from agent.limits import data_use, departure_limits, patience, said_network, update_policy
from agent.network.watch import NetworkWatch
from agent.offers import AgentHealth, release_of
from agent.owner import owner_door
from agent.people import People
from agent.recorder import Places, Recorder, RecorderConfig, wanted_paths
from agent.recovery import permitted, recover_trips
from agent.scheduler import Job, run_calendar
from agent.services import Service, run_services
from agent.sharing import Sharing
from agent.signals.decode import Decoder
from agent.signals.explain import SignalsNow
from agent.signals.gnss import GnssReader
from agent.signals.sources import make_source
from agent.signals.table import VehicleTable, load_table
from agent.spending import Spending
from agent.store.battery import BatteryHistory
from agent.store.erasures import Erasures
from agent.store.events import EventFiles
from agent.store.quota import make_room
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.store.uplink_notes import UplinkNotes
from agent.surroundings import SurroundingsWatch
from agent.takeback import Takeback
from agent.timesources import time_sources
from agent.updates import UpdateService
from agent.uplink import Uplink, UplinkSettings
from agent.vehicle.live import LiveView, Motion
from agent.vehicle.trip import Trip, TripConfig
from agent.vitals import Vitals
from agent.watch.events import event_paths, event_rules
from agent.watch.keeper import KEPT_PATHS, Keeper
from agent.watch.rules import battery_rules
from agent.workbench import Workbench
from agent.zonedesk import ZoneDesk
from ota.client.client import UpdateClient, open_client
from ota.client.durable import replace_file
from ota.client.gates import VehicleState

log = logging.getLogger(__name__)
_LOSSES = ("dropped", "malformed", "skipped", "other_frames", "backwards", "jumps")

_RESTART_DELAY_S = 2.0
_DRAIN_S = 10.0
_EXPIRY_EVERY_S = 3_600.0
_QUOTA_EVERY_S = 600.0  # the default rate writes less than 0.1 MB in this time


class Agent:
    """All parts of one vehicle's agent. Building it reads files and blocks; ``run`` is the daemon.

    Raises:
        StoreError, KeyFileError, KeySetError, InstallError, UnknownVehicleError, DefinitionError:
            A part cannot be built; nothing was started.
    """

    def __init__(self, config: AgentConfig, clock: SystemClock) -> None:
        self._config = config
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._folders = Folders(root=config.state_dir)
        self._folders.make()
        table = load_table(config.vehicle.definition)
        self._state = State.open(self._folders.state)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sharing = self._make_sharing()
        self._buses = {"ev": config.vehicle.ev_bus, "car": config.vehicle.car_bus}
        self._event_rules = event_rules(config.events)
        decoder = self._make_decoder(table)
        self._live_source = make_source(
            config.source, decoder, buses=self._buses, clock=clock, may_poll=config.polls.enabled
        )
        self._source = self._live_source.source
        gnss = config.gnss
        self._gnss = GnssReader(gnss.host, gnss.port, clock=clock) if gnss.enabled else None
        self._recorder = self._make_recorder(table, decoder)
        self._network = NetworkWatch(
            said=said_network(config), bus=config.uplink.cost.system_bus, on_change=self._on_network
        )
        self._uplink = self._make_uplink()
        self._takeback = self._make_takeback()
        self._stop_apps: Callable[[], None] = lambda: None
        self._updates = self._make_updates()
        self._desk = Desk(
            sharing=self._sharing,
            uplink=self._uplink,
            updates=self._updates,
            live=self._live,
            keeper=self._keeper,
            clock=clock,
            people=People(
                self._sharing, battery_file=self._folders.battery, touched=self._people_changed
            ),
            zones=ZoneDesk(
                self._sharing, position=self._last_position, touched=self._people_changed
            ),
            memory_file=self._folders.desk,
            unanswered_days=config.recording.unanswered_days,
            is_night=self._is_night,
        )
        self._vitals = Vitals(
            self._folders.vitals,
            self._recorder,
            losses=self._losses,
            events=self._keeper.events,
            troubles=self._live_source.watch.troubles,
            clock=clock,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; raise ExceptionGroup if a critical part failed."""
        self._loop = asyncio.get_running_loop()
        problems = await asyncio.to_thread(self._sharing.start)
        for problem in problems:
            log.error("ledger_broken", extra={"code": problem.code, "entry": problem.sequence})
        await self._recover()
        try:
            await run_services(
                self._services(), stop, restart_delay_s=_RESTART_DELAY_S, drain_s=_DRAIN_S
            )
        finally:
            await asyncio.to_thread(self._stop_apps)
            await asyncio.to_thread(self._state.close)

    def _services(self) -> list[Service]:
        jobs = [
            Job(name="expiry", run=self._expire, every_s=_EXPIRY_EVERY_S, jitter_s=60),
            Job(name="quota", run=self._make_room, every_s=_QUOTA_EVERY_S, jitter_s=10),
        ]
        owner = owner_door(self._folders, self._signals)
        screen = create_app(
            self._desk.door(),
            token=self._token,
            language=self._config.screen.language,
            owner=owner,
        )
        reading = create_owner_app(owner)
        return [
            Service(name="recorder", run=self._recorder.run),
            Service(name="network", run=self._network.run),
            Service(name="uplink", run=self._uplink.run),
            Service(name="takeback", run=self._takeback.run),
            Service(name="updates", run=self._updates.run),
            Service(name="desk", run=self._desk.run, critical=True),
            Service(
                name="screen",
                run=lambda stop: serve(
                    screen,
                    host="127.0.0.1",
                    port=self._config.screen.port,
                    stop=stop,
                    on_bound=self._announce,
                ),
                critical=True,
            ),
            Service(
                name="owner", run=lambda stop: serve_unix(reading, self._folders.owner, stop=stop)
            ),
            Service(name="battery", run=self._keeper.run),
            Service(name="control", run=self._control().run),
            Service(name="vitals", run=self._vitals.run),
            *([Service(name="gnss", run=self._gnss.run)] if self._gnss else []),
            Service(name="calendar", run=partial(run_calendar, jobs)),
        ]

    # -- what the flows ask of each other ------------------------------------------------------

    async def _recover(self) -> None:
        for trip, segment in await asyncio.to_thread(
            recover_trips, self._folders.segments, self._is_known
        ):
            if await asyncio.to_thread(self._recorder.resume, trip, segment):
                continue
            log.info("trip_recovered", extra={"trip": trip.trip_id})
            await self._on_trip_end(trip, segment)

    def _is_known(self, trip_id: str) -> bool:
        return self._state.trip(trip_id) is not None

    async def _on_trip_end(self, trip: Trip, segment: Path | None) -> None:
        await asyncio.to_thread(self._offer, trip, segment)
        self._uplink.wake()
        self._desk.touch()

    def _offer(self, trip: Trip, segment: Path | None) -> None:
        if kept := permitted(trip, segment):
            self._sharing.offer_trip(kept, segment, is_whole=kept.is_whole)
        self._sharing.offer_days()

    async def _make_room(self) -> None:
        keep, quota_mb = self._recorder.open_segment, self._config.recording.quota_mb
        await asyncio.to_thread(self._evict, quota_mb * 1_000_000, keep)

    def _evict(self, quota_bytes: int, keep: str | None) -> None:
        evicted = make_room(self._folders.segments, quota_bytes, keep=keep)
        if evicted.names:
            log.warning("segments_evicted", extra={"segments": len(evicted.names)})
            self._state.forget_segments(evicted.names, freed_bytes=evicted.freed_bytes)

    def _control(self) -> Control:
        return Control(
            self._folders.control,
            {
                "why": self._uplink.why_not,
                "wake": self._wake,
                "flush": self._flush,
                "network": self._network_sentence,
                "consents": self._reload_consents,
                "erased": self._erased,
                "here": self._here,
            },
            Workbench(self._updates).questions(),
        )

    async def _reload_consents(self) -> str:
        await asyncio.to_thread(self._sharing.reload)
        self._uplink.wake()
        self._takeback.wake()  # what was withdrawn on its way is taken back
        self._desk.touch()
        return "loaded"

    def _on_network(self) -> None:
        self._uplink.wake()
        self._takeback.wake()

    async def _network_sentence(self) -> str:
        return self._network.sentence()

    async def _erased(self) -> str:
        await asyncio.to_thread(self._sharing.reload)
        self._takeback.wake()
        self._desk.touch()
        return "erased"

    def _last_position(self) -> tuple[float, float] | None:
        fix = self._gnss.last_fix() if self._gnss else None
        return None if fix is None else fix[:2]

    async def _here(self) -> str:
        fix = self._gnss.last_fix() if self._gnss else None
        if fix is None:
            return "unknown"
        return json.dumps(dict(zip(("latitude", "longitude", "age_s"), fix, strict=True)))

    def _people_changed(self) -> None:
        self._uplink.wake()
        self._desk.touch()

    async def _wake(self) -> str:
        self._uplink.wake()
        return "awake"

    async def _flush(self) -> str:
        self._uplink.resume()
        return "trying now"

    async def _expire(self) -> None:
        await asyncio.to_thread(self._sharing.expire)
        await asyncio.to_thread(self._sharing.offer_days)
        self._desk.touch()

    def _touch(self) -> None:
        self._desk.touch()

    def _live(self) -> LiveView:
        return self._recorder.live()

    def _signals(self) -> SignalsNow:
        now = self._recorder.signals()
        lines = self._gnss.lines(now.now_s) if self._gnss else ()
        return msgspec.structs.replace(now, signals=now.signals + lines)

    def _is_night(self) -> bool:
        if self._config.screen.night != "auto":
            return self._config.screen.night == "on"
        position = self._gnss.position() if self._gnss else None
        return is_dark(self._clock.utc_now().astimezone(), position)

    def _vehicle_state(self) -> VehicleState:
        live = self._recorder.live()
        return VehicleState(
            is_parked=None if live.motion is Motion.UNKNOWN else live.motion is Motion.PARKED,
            speed_km_h=live.speed_km_h,
            soc_percent=live.soc_percent,
            aux_battery_v=live.low_voltage_v,
            is_ignition_on=live.is_ignition_on,
            is_charging=live.is_charging,
            ambient_c=live.ambient_c,
            has_link=self._updates.is_reached,
        )

    def _losses(self) -> dict[str, int]:
        names = (*_LOSSES, "reopened")
        lost = {name: found for name in names if (found := getattr(self._source, name, 0))}
        lost |= self._gnss.counted() if self._gnss else {}
        return lost | ({"battery_dropped": dropped} if (dropped := self._keeper.dropped) else {})

    def _announce(self, port: int) -> None:
        address = f"http://127.0.0.1:{port}"
        found = {"address": address, "enter": f"{address}/enter?token={self._token}"}
        content = json.dumps({**found, "token": self._token}).encode()
        replace_file(self._folders.run / "screen.json", content)
        log.info("screen_ready", extra={"address": address})

    # -- parts ---------------------------------------------------------------------------------

    def _make_sharing(self) -> Sharing:
        config = self._config
        self._token = boot_token(self._folders.token, self._clock.boot_id())
        return sharing_of(config, self._state, self._clock, health=self._health)

    def _health(self) -> AgentHealth:
        return AgentHealth(
            version=release_of(metadata.version("okdrive")),
            uptime_s=self._clock.monotonic_s() - self._started_s,
            losses=self._losses(),
        )

    def _make_uplink(self) -> Uplink:
        watch = SurroundingsWatch(self._live, network=self._network.now, clock=self._clock)
        return Uplink(
            sharing=self._sharing,
            make_link=link_maker(self._config, is_parked=watch.is_parked),
            surroundings=watch.look,
            clock=self._clock,
            settings=UplinkSettings(
                patience=patience(self._config),
                pause_max_s=self._config.uplink.pause_max_s,
                limits=departure_limits(self._config),
            ),
        )

    def _make_takeback(self) -> Takeback:
        limits = departure_limits(self._config)
        watch = SurroundingsWatch(self._live, network=self._network.now, clock=self._clock)
        return Takeback(
            Erasures(self._state.database),
            recipients=self._sharing.recipients,
            make_link=link_maker(self._config, is_parked=watch.is_parked),
            surroundings=watch.look,
            clock=self._clock,
            claim_withdrawn=eraser_of(self._config, self._sharing, self._clock).claim_withdrawn,
            patience=patience(self._config),
            limits=limits,
            spending=Spending(
                UplinkNotes(self._state.database),
                clock=self._clock,
                network=self._network.now,
                bytes_per_day=limits.bytes_per_day,
            ),
        )

    def _make_decoder(self, table: VehicleTable) -> Decoder:
        kept = event_paths(self._event_rules).union(KEPT_PATHS).intersection(table.paths())
        wanted = wanted_paths(table).union(kept)
        return Decoder(table, wanted, buses=self._buses)

    def _make_recorder(self, table: VehicleTable, decoder: Decoder) -> Recorder:
        recording = self._config.recording
        self._keeper = Keeper(
            table,
            decoder.latest,
            history=BatteryHistory.open(self._folders.battery),
            sessions=Sessions(self._state.database),
            clock=self._clock,
            may_record=self._sharing.may_keep_trip,
            whose=self._sharing.holder,
            holders=self._sharing.holders,
            new_session_id=lambda: secrets.token_hex(8),
            on_change=self._touch,
            event_files=EventFiles(
                self._folders.events, quota_bytes=self._config.events.quota_mb * 1_000_000
            ),
            rules=battery_rules(self._config.battery),
            events=self._event_rules,
        )
        return Recorder(
            self._live_source,
            decoder,
            clock=self._clock,
            segments=self._folders.segments,
            may_record=self._sharing.may_record,
            on_trip_end=self._on_trip_end,
            new_trip_id=lambda: secrets.token_hex(8),
            config=RecorderConfig(
                sample_period_s=recording.sample_period_s,
                trip=TripConfig(park_s=recording.parked_after_s),
                can_resume=self._config.source.kind != "replay",
            ),
            observer=self._keeper,
            places=Places(readings=self._gnss.latest, may_keep=self._sharing.may_keep_place)
            if self._gnss
            else None,
            permit=self._sharing.permit,
        )

    def _make_updates(self) -> UpdateService:
        return UpdateService(
            self._open_client,
            vehicle_state=self._vehicle_state,
            policy=update_policy(self._config),
            clock=self._clock,
        )

    def _open_client(self, gates: Gatekeeper) -> UpdateClient:
        client, self._stop_apps = open_client(
            update_settings(self._config, self._folders),
            https_settings(self._config.identity),
            app_user=self._config.updates.app_user,
            clock=self._clock,
            gates=gates,
            data_use=lambda: data_use(self._config, self._network.now()),
            time_sources=time_sources(self._config, self._clock, self._gnss),
            documents={INGEST_KEYS: ingest_keys_taker(self._sharing.recipients, self._on_keys)},
        )
        return client

    def _on_keys(self) -> None:
        """Look at the outbox again: what waited for a key may leave. In the check's thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._uplink.wake)
