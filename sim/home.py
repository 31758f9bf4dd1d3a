"""One folder that holds a whole installation on this machine: certificates, keys, configuration.

``OKDRIVE_HOME`` pointed at it makes all four commands work on it. Made by the simulator for demo
and stack; a real vehicle gets the same files when it is provisioned.
"""

import json
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ota.metadata.custom import Kind
from ota.publisher.config import load_config as load_publisher
from ota.publisher.inventory import EcuRecord, Inventory, VehicleRecord
from ota.publisher.layout import Repositories, Threshold, init_repositories
from ota.publisher.ports import Clock
from sim.broker import free_port, render_config
from sim.factory import install_at_factory
from sim.pki import VALID_DAYS, Authority
from telemetry.ingest.keyring import LABELS
from telemetry.ingest.keys import DOCUMENT, add_receipt_key, make_keys

MARK = ".okdrive-home"  # only a folder with this file in it is ever deleted
HARDWARE_ID = "okdrive-board-1"
APP = "trip-light"
APP_USER = "nobody"
TEMPLATES = Path(__file__).parent.parent / "configs"


class HomeError(Exception):
    """The folder cannot be used; nothing in it was touched."""

    code = "sim.home"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSettings:
    """What a demo shortens, and says so."""

    hold_s: float = 600.0
    countdown_s: float = 120.0
    definition: str = "nissan-leaf-ze1"
    screen_port: int = 0
    check_every_s: float = 86_400.0
    receipt_timeout_s: float = 30.0
    app_folder: Path = TEMPLATES / "apps" / APP / "1.0.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A provisioned installation: where its parts are and on which ports they meet."""

    folder: Path
    vehicle_id: str
    broker_port: int  # for vehicles
    ingest_port: int  # of the same broker, for ingest
    director_port: int

    @property
    def bus_socket(self) -> Path:
        """Where the vehicle's frames go in."""
        return self.folder / "agent" / "run" / "can.sock"

    @property
    def screen_file(self) -> Path:
        """Where the agent says how its screen is reached."""
        return self.folder / "agent" / "run" / "screen.json"

    @property
    def vitals_file(self) -> Path:
        """What the running agent counts."""
        return self.folder / "agent" / "run" / "vitals.json"

    @property
    def logs(self) -> Path:
        """One file per part of the stack."""
        return self.folder / "logs"


def prepare(folder: Path, *, clock: Clock, settings: HomeSettings) -> Home:
    """Make ``folder`` a fresh installation, replacing an older one that this function made.

    Raises:
        HomeError: The folder holds something else.
    """
    _clear(folder)
    home = Home(
        folder=folder.absolute(),
        vehicle_id=f"v-{secrets.token_hex(12)}",
        broker_port=free_port(),
        ingest_port=free_port(),
        director_port=free_port(),
    )
    _certificates(home, clock.utc_now())
    ecu_key = _write_key(home.folder / "identity" / "ecu")
    _ingest_keys(home.folder / "ingest", clock.utc_now())
    ecu_ids = (f"e-{secrets.token_hex(8)}", f"e-{secrets.token_hex(8)}")
    _publisher(home, clock, ecu_key, ecu_ids)
    _configs(home, settings, ecu_ids)
    (home.folder / "agent").mkdir(mode=0o700)
    install_at_factory(
        settings.app_folder, state_dir=home.folder / "agent", ecu_id=ecu_ids[1], app_user=APP_USER
    )
    return home


def _clear(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise HomeError(
                f"{folder}: expected an empty folder or one made by okdrive-sim, found other files;"
                " nothing was touched; name another folder with --home"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("made by okdrive-sim; it may delete this folder\n")


def _certificates(home: Home, now: datetime) -> None:
    authority = Authority.create(home.folder / "pki", name="okdrive demo CA", now=now)
    for server in ("broker", "director"):
        authority.issue_server(server, hosts=("127.0.0.1", "localhost"), now=now)
    for client in ("ingest", home.vehicle_id):
        authority.issue_client(client, now=now)


def _write_key(stem: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    stem.parent.mkdir(exist_ok=True, mode=0o700)
    private = stem.with_suffix(".key")
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stem.with_suffix(".pub").write_bytes(public)
    return key


def _ingest_keys(folder: Path, now: datetime) -> None:
    """Make ingest's own keys; the vehicle gets the public document when it is provisioned."""
    keys, recipient, days = folder / "keys", "okdrive ingest", VALID_DAYS
    public = _write_key(folder / "receipt").public_key()
    make_keys(keys, LABELS, recipient=recipient, now=now, days=days, workshop="Garage Huber")
    add_receipt_key(keys, public, recipient=recipient, now=now, days=days)
    shutil.copy(keys / DOCUMENT, folder.parent / "identity" / "ingest-keys.json")


def _publisher(
    home: Home, clock: Clock, ecu_key: Ed25519PrivateKey, ecu_ids: tuple[str, str]
) -> None:
    config = home.folder / "publisher.toml"
    config.write_text(f'root_dir = "ota"\n\n[serve]\nlisten = "127.0.0.1:{home.director_port}"\n')
    layout = load_publisher(config, home.folder / "ota").layout
    repositories = Repositories(layout=layout, clock=clock)
    init_repositories(
        repositories, {"root": Threshold(needed=2, keys=3), "targets": Threshold(needed=2, keys=3)}
    )
    with Inventory(layout.inventory) as inventory:
        inventory.add_vehicle(
            VehicleRecord(
                vehicle=home.vehicle_id,
                primary_ecu=ecu_ids[0],
                public_key=ecu_key.public_key().public_bytes_raw(),
                ecus=(EcuRecord(ecu_id=ecu_ids[1], hardware_id=HARDWARE_ID, name=APP),),
            ),
            clock.utc_now(),
        )
    roots = home.folder / "roots"
    roots.mkdir()
    shutil.copy(layout.image_metadata / "1.root.json", roots / "image.json")
    shutil.copy(layout.director_root / "1.root.json", roots / "director.json")


def _configs(home: Home, settings: HomeSettings, ecu_ids: tuple[str, str]) -> None:
    authority = Authority.load(home.folder / "pki")
    render_config(
        home.folder,
        templates=TEMPLATES,
        server=authority.identity("broker"),
        port=home.broker_port,
        ingest_port=home.ingest_port,
    )
    url = f"https://127.0.0.1:{home.director_port}"
    vehicle = home.vehicle_id
    (home.folder / "ingest.toml").write_text(f"""\
folder = "ingest"
receipt_key = "ingest/receipt.key"
sealing_keys = "ingest/keys"

[broker]
host = "127.0.0.1"
port = {home.ingest_port}
ca_file = "pki/ca.pem"
cert_file = "pki/ingest.pem"
key_file = "pki/ingest.key"
""")
    (home.folder / "agent.toml").write_text(f"""\
state_dir = "agent"

[vehicle]
definition = {json.dumps(settings.definition)}

[source]
kind = "gateway"
path = "agent/run/can.sock"

[identity]
vehicle_id = "{vehicle}"
certificate = "pki/{vehicle}.pem"
certificate_key = "pki/{vehicle}.key"
authority = "pki/ca.pem"
ecu_key = "identity/ecu.key"
purpose_secrets = "identity/secrets"

[uplink]
broker_host = "127.0.0.1"
broker_port = {home.broker_port}
ingest_keys = "identity/ingest-keys.json"
hold_s = {settings.hold_s}
pause_max_s = 1.0
receipt_timeout_s = {settings.receipt_timeout_s}

[uplink.cost]
network = "unmetered"

[updates]
image_url = "{url}/image"
director_url = "{url}/director"
image_root = "roots/image.json"
director_root = "roots/director.json"
primary_ecu = "{ecu_ids[0]}"
countdown_s = {settings.countdown_s}
check_every_s = {settings.check_every_s}
app_user = "{APP_USER}"

[[updates.ecus]]
ecu_id = "{ecu_ids[1]}"
hardware_id = "{HARDWARE_ID}"
kind = "{Kind.APP}"
name = "{APP}"

[screen]
port = {settings.screen_port}
""")
