"""A vehicle alone in a network of its own, and every packet it sends counted by host.

Run as root by ``unshare -n python -m tests.support.egress FOLDER``: this process is the
vehicle's side of a cable, and the far end (broker, repositories, ingest) lives in a second network
behind it. The agent runs unmodified: update checks on, real TLS, a drive before the first consent,
consent, a drive, OK. Prints one JSON object: bytes per host for each part of the story.

The vehicle knows its far end by addresses, so it has no name to look up: any DNS query, on the
cable or to a resolver on this machine, is one too many. At the end another process behaves as an
agent must not, to show that the same captures see it.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from sim.bus import open_bus, standing
from sim.children import Child
from sim.demo import made_up_drive
from sim.driver import ApiDriver, Screen
from sim.home import Home, HomeSettings, prepare
from sim.pki import Authority
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message, MqttSettings
from telemetry.topics import new_client_id

BIN = Path(sys.executable).parent
VEHICLE, FAR, STRANGER = "10.77.0.2", "10.77.0.1", "203.0.113.7"
BROKER, UPDATES = "10.77.0.10", "10.77.0.11"
NAMES = {BROKER: "broker", UPDATES: "updates"}
DNS_PORT = 53
PATIENCE_S = 60.0
UNCONSENTED_FRAMES = 20_000  # about fifteen seconds with the first metres of a drive
PACKET_OUTGOING = 4  # source: linux/if_packet.h
ETH_P_ALL, ETH_P_IP, ETH_P_ARP = 0x0003, 0x0800, 0x0806


@dataclass
class Sent:
    """What went to one host: packets and the bytes in them that are not headers."""

    packets: int = 0
    payload_bytes: int = 0


@dataclass
class Capture:
    """Counts what leaves an interface; call ``drain`` now and then, the kernel keeps the rest."""

    interface: str
    is_dns_only: bool = False  # on the vehicle's own loopback everything else is its own business
    hosts: dict[str, Sent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self._socket.bind((self.interface, 0))
        self._socket.settimeout(0)

    def take(self) -> dict[str, dict[str, int]]:
        """Return what was sent since the last call, by host and port, and begin anew."""
        self.drain()
        taken = {place: asdict(sent) for place, sent in sorted(self.hosts.items())}
        self.hosts.clear()
        return taken

    def drain(self) -> None:
        while True:
            try:
                packet, address = self._socket.recvfrom(65_535)
            except BlockingIOError:
                return
            if address[2] == PACKET_OUTGOING and address[1] != ETH_P_ARP:
                place, payload_bytes = destination(packet[14:], address[1])
                if self.is_dns_only and not place.endswith(f" {DNS_PORT}"):
                    continue
                sent = self.hosts.setdefault(place, Sent())
                sent.packets += 1
                sent.payload_bytes += payload_bytes


def destination(packet: bytes, kind: int) -> tuple[str, int]:
    """Return where an outgoing packet goes, for a person, and its payload in bytes."""
    if kind != ETH_P_IP:
        return f"ether type {kind:#06x}", len(packet)
    header, length = (packet[0] & 15) * 4, struct.unpack_from("!H", packet, 2)[0]
    host, protocol = socket.inet_ntoa(packet[16:20]), packet[9]
    name = NAMES.get(host, host)
    if protocol == socket.IPPROTO_TCP:
        inner = (packet[header + 12] >> 4) * 4
        [port] = struct.unpack_from("!H", packet, header + 2)
        return f"{name} tcp {port}", length - header - inner
    if protocol == socket.IPPROTO_UDP:
        [port] = struct.unpack_from("!H", packet, header + 2)
        return f"{name} udp {port}", length - header - 8
    return f"{name} protocol {protocol}", length - header


class FarEnd:
    """The second network: everything the vehicle may talk to, and nothing else."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._shell = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        self._children: list[Child] = []

    @property
    def heard(self) -> Path:
        return self.home.folder / "heard"

    def lay_cable(self) -> None:
        """Join the two networks by a pair of interfaces, ``car`` on this side."""
        self._wait_for_namespace()
        run("ip", "link", "add", "car", "type", "veth", "peer", "name", "far",
            "netns", str(self._shell.pid))  # fmt: skip
        for host in (FAR, *NAMES):
            self.inside("ip", "addr", "add", f"{host}/24", "dev", "far")
        self.inside("ip", "link", "set", "far", "up")
        self.inside("ip", "link", "set", "lo", "up")
        Path("/proc/sys/net/ipv6/conf/car/disable_ipv6").write_text("1")
        run("ip", "addr", "add", f"{VEHICLE}/24", "dev", "car")
        run("ip", "link", "set", "car", "up")
        run("ip", "link", "set", "lo", "up")
        run("ip", "route", "add", "default", "via", FAR)

    def _wait_for_namespace(self) -> None:
        ours = Path("/proc/self/ns/net").readlink()
        theirs = Path(f"/proc/{self._shell.pid}/ns/net")
        while theirs.readlink() == ours:
            if self._shell.poll() is not None:
                raise RuntimeError("unshare ended before the far network was there")

    def inside(self, *command: str) -> None:
        run(*self._enter(), *command)

    def _enter(self) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._shell.pid}/ns/net"]

    async def start(self) -> None:
        """Start broker, Director with both repositories, ingest, and a listener on the uplink."""
        home, ota, ingest = self.home, str(BIN / "okdrive-ota"), str(BIN / "okdrive-ingest")
        listen = [sys.executable, "-m", "tests.support.egress", str(home.folder), "listen"]
        conf = str(home.folder / "mosquitto.conf")
        await self._child("broker", ["mosquitto", "-c", conf], _answers(BROKER, home.broker_port))
        await self._child("director", [ota, "serve"], _answers(UPDATES, home.director_port))
        await self._child("ingest", [ingest, "-v", "run"], self._says("ingest", b"receiving"))
        await self._child("listener", listen, self._says("listener", b"listening"))

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"

    def _says(self, name: str, word: bytes) -> Callable[[], bool]:
        return lambda: word in self._log(name).read_bytes()

    async def _child(self, name: str, command: Sequence[str], is_ready: Callable[[], bool]) -> None:
        env = {"OKDRIVE_HOME": str(self.home.folder)}
        child = Child(name, [*self._enter(), *command], log=self._log(name), env=env)
        self._children.append(child)
        await child.start(is_ready, timeout_s=PATIENCE_S)

    async def stop(self) -> None:
        for child in reversed(self._children):
            await child.stop()
        self._shell.kill()
        self._shell.wait(PATIENCE_S)


def _answers(host: str, port: int) -> Callable[[], bool]:
    """Return what tells whether somebody listens there; asked before the capture begins."""

    def ask() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, port)) == 0

    return ask


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def provision(folder: Path) -> Home:
    """Make a home whose vehicle knows its far end by addresses."""
    settings = HomeSettings(hold_s=1.0, check_every_s=3.0, receipt_timeout_s=10.0)
    home = prepare(folder, clock=SystemClock(), settings=settings)
    now, authority = SystemClock().utc_now(), Authority.load(folder / "pki")
    authority.issue_server("broker", hosts=("127.0.0.1", "localhost", BROKER), now=now)
    authority.issue_server("director", hosts=("127.0.0.1", UPDATES), now=now)
    change(folder / "mosquitto.conf", " 127.0.0.1", " 0.0.0.0")
    change(folder / "publisher.toml", "127.0.0.1:", "0.0.0.0:")
    change(folder / "agent.toml", 'broker_host = "127.0.0.1"', f'broker_host = "{BROKER}"')
    change(folder / "agent.toml", "https://127.0.0.1:", f"https://{UPDATES}:")
    return home


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if old not in text:
        raise ValueError(f"{path}: expected {old!r}")
    path.write_text(text.replace(old, new))


async def listen(home: Path) -> None:
    """Write the length of every payload on the uplink to ``heard``, one a line."""
    identity = Authority.load(home / "pki").identity("ingest")
    port = int((home / "mosquitto.conf").read_text().partition("listener ")[2].split()[0])
    heard = (home / "heard").open("a", buffering=1)

    def note(message: Message) -> None:
        heard.write(f"{len(message.payload)}\n")

    settings = MqttSettings(
        host="127.0.0.1", port=port, ca_file=identity.ca_file, cert_file=identity.cert_file,
        key_file=identity.key_file,
    )  # fmt: skip
    link = MqttLink(settings, client_id=new_client_id(bytes(16)), on_message=note)
    await link.connect()
    await link.subscribe("okdrive/1/up/#", timeout_s=PATIENCE_S)
    print("listening", flush=True)  # noqa: T201 (the sign that it is ready)
    await link.wait_down()


class Story:
    """One vehicle through consent and OK; each part ends with what was sent in it."""

    def __init__(self, home: Home, far: FarEnd, captures: Sequence[Capture]) -> None:
        self._home, self._far, self._captures = home, far, captures
        self._screen = Screen(home.screen_file)
        self._driver = ApiDriver(self._screen)
        self.told: dict[str, Any] = {}

    def end(self, part: str) -> None:
        heard = self._far.heard.read_text().split()
        hosts = {place: sent for one in self._captures for place, sent in one.take().items()}
        self.told[part] = {"hosts": hosts, "uplink_bytes": sum(map(int, heard))}

    async def play(self) -> None:
        drive = made_up_drive(seed=7)
        with open_bus(self._home.bus_socket) as bus:
            await bus.play(islice(standing(drive.begin), 3_000))
            await bus.play(drive.frames[:UNCONSENTED_FRAMES])
            await self._drained(asyncio.sleep(4))  # an update check or two
            self.end("before the first consent")
            await bus.play(islice(standing(drive.begin), 3_000))
            await self._driver.grant("battery")
            await bus.play(drive.frames)
            async with asyncio.TaskGroup() as group:
                standing_still = group.create_task(bus.stand(drive.end))
                state = await self._screen.until("a card", _card, timeout_s=PATIENCE_S)
                await self._drained(asyncio.sleep(4))
                self.end("before OK")
                for trip in filter(_waits, state["state"]["trips"]):
                    await self._driver.share(trip)
                await self._screen.until("all receipts", _delivered, timeout_s=PATIENCE_S)
                self.end("after OK")
                standing_still.cancel()
        await asyncio.to_thread(leak)
        self.end("a leak")

    async def _drained(self, pause: Any) -> None:
        await pause
        for capture in self._captures:
            capture.drain()


def _waits(trip: dict[str, Any]) -> bool:
    return trip["status"] == "waiting" and bool(trip["batches"])


def _card(state: dict[str, Any]) -> bool:
    return state["trip_km"] is None and any(map(_waits, state["trips"]))


def _delivered(state: dict[str, Any]) -> bool:
    shared = {trip["status"] for trip in state["trips"]} - {"not_shared"}
    return shared == {"delivered"}


async def main(folder: Path) -> None:
    home = await asyncio.to_thread(provision, folder / "home")
    far = FarEnd(home)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(far.stop)
        await asyncio.to_thread(far.lay_cable)
        await far.start()
        captures = [Capture("car"), Capture("lo", is_dns_only=True)]
        env = {"OKDRIVE_HOME": str(home.folder)}
        agent = Child(
            "agent", [str(BIN / "okdrive-agent"), "-v", "run"], log=home.logs / "agent.log", env=env
        )
        stack.push_async_callback(agent.stop)
        await agent.start(home.screen_file.exists, timeout_s=PATIENCE_S)
        story = Story(home, far, captures)
        await story.play()
    print(json.dumps(story.told))  # noqa: T201 (the result)


def leak() -> None:
    """Look a name up and speak to a stranger, as an agent must not."""
    code = (
        "import socket, contextlib\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('tracker.okdrive.test', 443)\n"
        f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'here I am', ('{STRANGER}', 9))\n"
    )
    run(sys.executable, "-c", code)


if __name__ == "__main__":
    how = sys.argv[2] if len(sys.argv) > 2 else ""
    if how == "listen":
        asyncio.run(listen(Path(sys.argv[1])))
    else:
        asyncio.run(main(Path(sys.argv[1])))
