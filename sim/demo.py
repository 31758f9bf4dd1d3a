"""One drive, one OK, one good and one bad update, told in plain sentences with figures.

Everything that is printed comes from the running parts: the agent's local API, the commands of the
release engineer and of ingest. A step that did not happen raises, and the demo exits non-zero.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any

from playwright.async_api import Error as PlaywrightError

from agent.clock import SystemClock
from agent.signals.model import Frame
from agent.signals.replay import ReplaySource
from ota.client.installers.process import OtherUser
from sim.bus import Bus, open_bus, standing
from sim.drive import last_state, park_tail, synthetic_drive
from sim.driver import Driver, DriverError, RobotDriver, Screen
from sim.frames import PARK, POWER_OFF, VehicleState
from sim.home import APP, APP_USER, TEMPLATES, Home, HomeSettings, prepare
from sim.kills import Killer
from sim.stack import Stack

RECORDING = Path("../shared/data/leaf/ze1_62kwh_eco_drive.log.gz")  # beside the project
HOLD_S = 2.0
COUNTDOWN_S = 2.0
CHECK_EVERY_S = 3.0
RECEIPT_TIMEOUT_S = 5.0
LEAD_S = 3.0  # parked on our own frames before the drive, so that the driver can switch sharing on
TAIL_PARKED_S = 5.5
TAIL_OFF_S = 0.5
SYNTHETIC_HOPS = 1
BEGIN_FRAMES = 2_000  # about 1.5 s: long enough that every signal was told once
STACK_LEAD_FRAMES = 20_000  # about half a minute in which sharing can be switched on
_PERSON_S = 24 * 3_600.0  # a person may think as long as a demo lasts
_ROBOT_S = 90.0
_PRESSES, _PRESS_S = 5, 8.0
_MANIFEST_TRIES, _MANIFEST_PAUSE_S = 50, 0.2

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """The frames of the story, and where the recorded ones end."""

    title: str
    begin: VehicleState  # how the vehicle stands before
    frames: tuple[Frame, ...]
    end: VehicleState  # how the vehicle stands when it is over


def _sandbox() -> str:
    """Return what keeps a program of a package apart on this machine, in words."""
    if OtherUser(APP_USER).has_own_network:
        return "not as the agent, without privileges and without any network"
    return "not as the agent and without privileges; this machine lets it share the network"


class StoryError(Exception):
    """A step of the demo did not happen; names what was expected and what was found."""

    code = "sim.story"


def recorded_drive(path: Path) -> Drive:
    """Return the drive of a recording, brought to a stop by frames of our own if it must be.

    Raises:
        SourceError: It is missing, empty or not a recording.
        StoryError: Its end cannot be continued.
    """
    recording = list(ReplaySource(path, speed=None, clock=SystemClock()).read_all())
    length_s = recording[-1].time_s - recording[0].time_s
    try:
        state, _, _ = last_state(recording)
        tail = list(park_tail(recording, parked_s=TAIL_PARKED_S, off_s=TAIL_OFF_S))
    except ValueError as error:
        raise StoryError(f"{path}: {error}") from error
    title = (
        f"{path.name}: {len(recording):,} recorded frames in {length_s:.1f} s; it ends at "
        f"{state.speed_km_h:.0f} km/h; {len(tail):,} frames of our own brake, select P, stand"
    )
    return Drive(
        title=title,
        begin=_parked(last_state(recording[:BEGIN_FRAMES])[0]),
        frames=(*recording, *tail),
        end=_parked(last_state(tail)[0]),
    )


def made_up_drive(seed: int) -> Drive:
    """Return a synthetic drive: where no recording is at hand."""
    frames = tuple(synthetic_drive(seed, hops=SYNTHETIC_HOPS))
    length_s = frames[-1].time_s - frames[0].time_s
    title = f"synthetic drive, seed {seed}: {len(frames):,} frames in {length_s:.1f} s"
    return Drive(
        title=title,
        begin=_parked(last_state(frames[:BEGIN_FRAMES])[0]),
        frames=frames,
        end=_parked(last_state(frames)[0]),
    )


def _parked(state: VehicleState) -> VehicleState:
    return replace(
        state, gear=PARK, power=POWER_OFF, speed_km_h=0.0, torque_nm=0.0, pack_current_a=-1.0,
        low_voltage_v=12.7, is_waking=False,
    )  # fmt: skip


class Demo:
    """One run of the story against one home."""

    def __init__(
        self,
        home: Home,
        drive: Drive,
        *,
        say: Say,
        is_person: bool,
        killer: Killer | None = None,
    ) -> None:
        self._killer = killer
        self._parked = asyncio.Event()
        self.home = home
        self.drive = drive
        self.stack = Stack(home)
        self.screen = Screen(home.screen_file)
        self._say = say
        self._is_person = is_person
        self._patience_s = _PERSON_S if is_person else _ROBOT_S
        self._packages = home.folder / "packages"

    async def play(self) -> None:
        """Play it all; raise what kept a step from happening."""
        async with self.stack, self._robot() as driver:
            with open_bus(self.home.bus_socket) as bus:
                self._tell_beginning(driver)
                async with asyncio.TaskGroup() as group:
                    others = [group.create_task(self._drive(bus, driver))]
                    if self._killer:
                        others.append(group.create_task(self._killer.run(self.stack, self._say)))
                    await self._parked.wait()
                    await self._share(driver)
                    await self._good_update(driver)
                    await self._bad_update(driver)
                    for task in others:
                        task.cancel()
            await self._tell_end()

    # -- telemetry -----------------------------------------------------------------------------

    async def _drive(self, bus: Bus, driver: Driver | None) -> None:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(bus.stand(self.drive.begin))
            await self._switch_on(driver)
            await asyncio.sleep(LEAD_S)
            waiting.cancel()
        self._say(f"Drive      {self.drive.title}")
        began = time.monotonic()
        await bus.play(self.drive.frames)
        self._say(
            f"Parked     after {time.monotonic() - began:.1f} s on the wire: "
            f"{bus.sent:,} frames sent in all, {bus.unheard:,} of them unheard"
        )
        self._parked.set()
        await bus.stand(self.drive.end)

    async def _switch_on(self, driver: Driver | None) -> None:
        await self.screen.until("a parked vehicle", _is_parked, timeout_s=_ROBOT_S)
        on_disk = list((self.home.folder / "agent" / "segments").iterdir())
        if on_disk:
            raise StoryError(f"expected nothing of a trip on disk before consent, found {on_disk}")
        self._say("Before     sharing is off; nothing of a trip is on the disk")
        await self._pressed(
            "the driver switching battery data on",
            partial(driver.grant, "battery") if driver else None,
            _is_granted,
        )
        self._say("Consent    the driver read the notice and switched battery data on")

    async def _share(self, driver: Driver | None) -> None:
        state = await self.screen.until("the trip's card", _has_ended, timeout_s=_ROBOT_S)
        await self._tell_trip()
        confirmed: dict[str, dict[str, Any]] = {}
        while trip := _waiting_trip(state["state"]):
            await self._tell_card(trip)
            if not confirmed:
                await self._expect_stored({})
            await self._pressed(
                "the driver's OK",
                partial(driver.share, trip) if driver else None,
                partial(_is_answered, trip["trip_id"]),
            )
            confirmed |= {batch["batch_id"]: batch for batch in trip["batches"]}
            state = await self.screen.get("/api/state")
        self._say(f"OK         pressed; held {HOLD_S:.0f} s for a change of mind, then it leaves")
        await self.screen.until("every receipt", _all_delivered, timeout_s=_ROBOT_S)
        await self._tell_delivery(confirmed)

    async def _tell_trip(self) -> None:
        vitals = await self._fresh_vitals()
        by_crc = sum(n for what, n in vitals["rejected"].items() if what.endswith(" crc"))
        self._say(
            f"Decoded    {vitals['frames']:,} frames read, {by_crc} rejected by CRC, "
            f"{sum(vitals['rejected'].values()) - by_crc} values not available or stale; "
            f"{vitals['rows']} rows kept"
        )
        for trip in (await self.stack.command("okdrive-agent", "trips", "list"))["trips"]:
            self._say(
                f"Trip       {trip['distance_m'] / 1_000:.2f} km in {trip['duration_s']:.0f} s, "
                f"{trip['energy_out_wh'] / 1_000:.3f} kWh out, "
                f"{trip['energy_in_wh'] / 1_000:.3f} kWh back, "
                f"charge {trip['soc_start_percent']:.1f} to {trip['soc_end_percent']:.1f} %"
            )

    async def _fresh_vitals(self) -> dict[str, Any]:
        """Return what the agent counts, as of now."""
        asked = SystemClock().utc_now().isoformat()
        vitals: dict[str, Any] = {"at_utc": ""}
        async with asyncio.timeout(_ROBOT_S):
            while vitals["at_utc"] < asked:
                await asyncio.sleep(_MANIFEST_PAUSE_S)
                with contextlib.suppress(OSError):  # an agent that just starts has none yet
                    vitals = json.loads(self.home.vitals_file.read_bytes())
        return vitals

    async def _tell_card(self, trip: dict[str, Any]) -> None:
        for batch in trip["batches"]:
            fields = ", ".join(
                f"{field['name']} ({field['count']})" for field in batch["fields"] if field["count"]
            )
            self._say(f"Card       goes out: {fields}")
            self._say(f"           never in it: {', '.join(batch['not_sent'])}")
            exact = await self.screen.get(f"/api/batches/{batch['batch_id']}")
            as_json = len(json.dumps(exact["content"], separators=(",", ":")))
            size = batch["size_bytes"]
            self._say(
                f"           {size:,} bytes to {batch['recipient']}; "
                f"the same rows as JSON {as_json:,} bytes, {as_json / size:.0f} times as many"
            )
            self._say(
                f"           padded and sealed they travel as {batch['travels_bytes']:,} bytes"
            )

    async def _tell_delivery(self, confirmed: dict[str, dict[str, Any]]) -> None:
        stored = await self._expect_stored(confirmed)
        status = await self.stack.command("okdrive-agent", "status")
        receipt = status["last_receipt"]
        if receipt is None or receipt["batch_id"] not in confirmed:
            raise StoryError(f"expected a receipt for one of {list(confirmed)}, found {receipt}")
        for batch in stored:
            shown = confirmed[batch["batch_id"]]
            if batch["bytes"] != shown["travels_bytes"]:
                raise StoryError(f"shown {shown}, ingest stored {batch}")
            self._say(
                f"Stored     once, {batch['rows']} rows; {shown['size_bytes']:,} bytes shown, "
                f"sealed {shown['travels_bytes']:,} = received {batch['bytes']:,}"
            )
            self._say(f"           batch id {batch['batch_id']}")
        self._say(
            f'Receipt    "{receipt["status"]}", signed by ingest, verified in the vehicle; '
            f"{status['queue']['batches']} batches left in the queue"
        )

    async def _expect_stored(self, expected: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        document = await self.stack.command("okdrive-ingest", "batches", "list")
        stored: list[dict[str, Any]] = document["batches"]
        if sorted(one["batch_id"] for one in stored) != sorted(expected):
            raise StoryError(f"expected {list(expected)} stored once each, found {stored}")
        return stored

    async def _pressed(
        self,
        what: str,
        press: Callable[[], Awaitable[None]] | None,
        is_done: Callable[[dict[str, Any]], object],
    ) -> None:
        """Press until it is done; a person presses, and an agent that just died is waited for."""
        if press is None:
            await self.screen.until(what, is_done, timeout_s=_PERSON_S)
            return
        for _ in range(_PRESSES):
            try:
                await press()
            except (DriverError, PlaywrightError, OSError, HTTPException) as error:
                self._say(f"           (again: {type(error).__name__})")
            with contextlib.suppress(DriverError):
                await self.screen.until(what, is_done, timeout_s=_PRESS_S)
                return
        raise StoryError(f"expected {what}, pressed {_PRESSES} times")

    # -- updates -------------------------------------------------------------------------------

    async def _publish(self, version: str) -> None:
        package = self._packages / f"{APP}-{version}.okp"
        spec = TEMPLATES / "apps" / APP / version
        built = await self.stack.command(
            "okdrive-ota", "package", "build", str(spec), "-o", str(package)
        )
        await self.stack.command(
            "okdrive-ota", "publish", str(package), "--to", "all",
            "--release", str(spec / "release.toml"),
        )  # fmt: skip
        self._say(
            f"Published  {APP} {version}: {built['length']:,} bytes, signed by 2 of 3 offline "
            "Image keys, assigned by the Director"
        )

    async def _approve(self, version: str, outcome: str, driver: Driver | None) -> dict[str, Any]:
        """Let the driver say Now; return the update as it was shown."""
        state = await self.screen.until(
            f"the update card of {version}",
            _update_to(version) if driver else _offered(version),
            timeout_s=_ROBOT_S,
        )
        update: dict[str, Any] = state["state"]["update"]
        facts = update["facts"]["en"]
        recall = f" {update['recall_number']}" if update["recall_number"] else ""
        self._say(
            f"Verified   both repositories agree on {update['name']} "
            f"{update['from_version']} → {update['to_version']} ({update['criticality']}{recall})"
        )
        self._say(f"           “{facts['purpose']}” at most {facts['duration_s']} s")
        await self._pressed(
            f"the driver's Now to {version}",
            partial(driver.install, update) if driver else None,
            lambda state: not _update_to(version)(state) or _result_is(outcome)(state),
        )
        return update

    async def _result(self, what: str, outcome: str, driver: Driver | None) -> dict[str, Any]:
        state = await self.screen.until(what, _result_is(outcome), timeout_s=self._patience_s)
        result: dict[str, Any] = state["state"]["result"]
        await self._pressed(
            "the result put away",
            driver.acknowledge if driver else None,
            lambda state: not _result_is(outcome)(state),
        )
        return result

    async def _good_update(self, driver: Driver | None) -> None:
        await self._publish("1.1.0")
        update = await self._approve("1.1.0", "installed", driver)
        await self._result("the installed update", "installed", driver)
        self._say(
            f"Installed  {APP} {update['from_version']} → {update['to_version']}, "
            f"its check passed as {APP_USER}, {_sandbox()}"
        )
        await self._tell_manifest("1.1.0")

    async def _bad_update(self, driver: Driver | None) -> None:
        await self._publish("1.2.0")
        await self._approve("1.2.0", "rolled_back", driver)
        result = await self._result("the way back", "rolled_back", driver)
        last = (await self.stack.command("okdrive-agent", "update", "show"))["outcome"]
        self._say(f"Went back  {result['reason']}")
        self._say(f"           {last['detail']}")
        self._say(f"           {APP} {result['running_version']} runs again ({result['code']})")
        await self._tell_manifest("1.1.0", withdrawn="ota.install.unhealthy")

    async def _tell_manifest(self, version: str, withdrawn: str | None = None) -> None:
        """Wait until the Director has a manifest that says so; tell what it holds."""
        signed: dict[str, Any] = {}
        for _ in range(_MANIFEST_TRIES):
            found = await self.stack.command(
                "okdrive-ota", "vehicle", "manifest", self.home.vehicle_id
            )
            signed = found["manifest"]["signed"]
            ecu = (await self.stack.command("okdrive-ota", "status"))["vehicles"][0]["ecus"][0]
            runs = signed["ecus"][0]["installed"]["version"]
            if (runs, ecu["withdrawn"]) == (version, withdrawn):
                told = f", so the Director withdrew it: {withdrawn}" if withdrawn else ""
                self._say(f"Reported   signed manifest {signed['counter']}: runs {runs}{told}")
                return
            await asyncio.sleep(_MANIFEST_PAUSE_S)
        raise StoryError(f"expected a manifest that reports {version}, found {signed}")

    # -- frame ---------------------------------------------------------------------------------

    def _tell_beginning(self, driver: Driver | None) -> None:
        self._say(f"Home       {self.home.folder}; vehicle {self.home.vehicle_id}")
        self._say(
            "Running    mosquitto with mTLS, both repositories, ingest, one agent: own processes"
        )
        if driver:
            self._say(f"Driver     {driver.name}")
        else:
            self._say(f"Driver     you: open {self.screen.enter_url()}")

    async def _tell_end(self) -> None:
        exits = {
            child.name: await child.stop()
            for child in (self.stack.agent, self.stack.ingest, self.stack.director)
        }
        self._say(
            "Stopped    "
            + ", ".join(f"{name} ({code})" for name, code in exits.items())
            + "; their state stays in the home folder"
        )

    @contextlib.asynccontextmanager
    async def _robot(self) -> AsyncIterator[Driver | None]:
        if self._is_person:
            yield None
            return
        async with RobotDriver(self.screen, self.home.folder / "pictures") as robot:
            yield robot.driver


def _is_parked(state: dict[str, Any]) -> bool:
    return bool(state["vehicle_fresh"] and state["driving"] == "parked")


def _is_granted(state: dict[str, Any]) -> bool:
    return any(one["purpose"] == "battery" and one["granted"] for one in state["purposes"])


def _waiting_trip(state: dict[str, Any]) -> dict[str, Any] | None:
    trips: Iterable[dict[str, Any]] = state["trips"]
    return next((one for one in trips if one["status"] == "waiting" and one["batches"]), None)


def _is_answered(trip_id: str, state: dict[str, Any]) -> bool:
    return all(one["trip_id"] != trip_id or one["status"] != "waiting" for one in state["trips"])


def _has_ended(state: dict[str, Any]) -> bool:
    return bool(_is_parked(state) and state["trip_km"] is None and _waiting_trip(state))


def _all_delivered(state: dict[str, Any]) -> bool:
    shared = [one["status"] for one in state["trips"] if one["status"] != "not_shared"]
    return bool(shared) and all(status == "delivered" for status in shared)


def _update_to(version: str) -> Callable[[dict[str, Any]], bool]:
    def found(state: dict[str, Any]) -> bool:
        update = state["update"]
        return (
            update is not None
            and update["to_version"] == version
            and update["phase"] == "ready"
            and all(gate["ok"] for gate in update["gates"])
        )

    return found


def _offered(version: str) -> Callable[[dict[str, Any]], bool]:
    """A person may have pressed Now before anybody looked."""
    return lambda state: bool(state["update"] and state["update"]["to_version"] == version)


def _result_is(outcome: str) -> Callable[[dict[str, Any]], bool]:
    def found(state: dict[str, Any]) -> bool:
        return state["result"] is not None and state["result"]["outcome"] == outcome

    return found


async def run_demo(
    folder: Path, drive: Drive, *, say: Say, is_person: bool, killer: Killer | None = None
) -> None:
    """Prepare ``folder`` and play the story in it, with ``killer`` pulling plugs meanwhile."""
    settings = HomeSettings(
        hold_s=HOLD_S,
        countdown_s=COUNTDOWN_S,
        check_every_s=CHECK_EVERY_S,
        receipt_timeout_s=RECEIPT_TIMEOUT_S,
    )
    say(
        f"Shortened  hold {HOLD_S:.0f} s (600), countdown {COUNTDOWN_S:.0f} s (120), "
        f"update check every {CHECK_EVERY_S:.0f} s (a day); every gate as on the road"
    )
    home = await asyncio.to_thread(prepare, folder, clock=SystemClock(), settings=settings)
    await Demo(home, drive, say=say, is_person=is_person, killer=killer).play()


async def run_stack(folder: Path, *, say: Say, screen_port: int) -> None:
    """Run everything with a vehicle that drives once and then stands, until it is cancelled."""
    settings = HomeSettings(screen_port=screen_port)
    home = await asyncio.to_thread(prepare, folder, clock=SystemClock(), settings=settings)
    drive = made_up_drive(seed=7)
    async with Stack(home) as stack:
        screen = Screen(home.screen_file)
        say(f"Driver's screen   {screen.enter_url()}")
        say(f"Commands          OKDRIVE_HOME={folder} okdrive-agent status")
        say(f"Logs              {stack.home.logs}")
        say("Vehicle           parked; drives once in half a minute; Ctrl-C stops everything")
        say("                  (switch a purpose on before, or nothing of the drive is kept)")
        with open_bus(home.bus_socket) as bus:
            await bus.play(islice(standing(drive.begin), STACK_LEAD_FRAMES))
            say(f"Drives            {drive.title}")
            await bus.play(drive.frames)
            say("Parked            and stands until Ctrl-C")
            await bus.stand(drive.end)
