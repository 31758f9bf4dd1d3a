"""The agent's configuration: one section per part, TOML, unknown keys refused.

Relative paths are relative to the folder of the configuration file. Secrets stand in files of their
own; the configuration holds only where they are.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=0, le=65_535)]
Positive = Annotated[float, Meta(gt=0)]
S = TypeVar("S", bound=Struct)
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]


class ConfigError(Exception):
    """The configuration file is missing, unreadable or not valid; nothing was started."""

    code: ClassVar[str] = "agent.config"


class VehicleConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which vehicle definition decodes the frames, and on which buses they come."""

    definition: str  # name of a shipped table (`okdrive-agent vehicle list`) or path of one
    ev_bus: str = "can0"
    car_bus: str = "can1"


class SourceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where frames come from."""

    kind: Literal["replay", "gateway", "can"]
    # replay: a recording in any format python-can reads; gateway: the socket to open
    path: Path | None = None
    speed: Annotated[float, Meta(ge=0)] = 1.0  # replay: 1 = as recorded; 0 = as fast as possible
    driver: str = "socketcan"  # can: python-can's name of the interface kind
    silent_s: Positive = 5.0  # a bus on which nothing comes for this long is told as silent

    def __post_init__(self) -> None:
        """Refuse a source that has no place to come from."""
        if self.kind != "can" and self.path is None:
            raise ValueError(f"source: expected `path` for kind {self.kind!r}, got none")


class PollsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Questions to the vehicle's control units; off: nothing is ever sent to a bus."""

    enabled: bool = False


class GnssConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Position fixes from gpsd."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Port = 2947


class RecordingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a trip, at which rate, until the driver answered."""

    sample_period_s: Annotated[float, Meta(ge=0.1, le=60)] = 1.0
    parked_after_s: Annotated[float, Meta(ge=0, le=600)] = 5.0  # P and standing still this long
    unanswered_days: Annotated[int, Meta(ge=1, le=7)] = 7  # then an offered batch is deleted
    quota_mb: Annotated[int, Meta(ge=8)] = 512  # all segments together; the oldest make way


class IdentityConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who this vehicle is towards broker and repositories. The VIN is nowhere in here."""

    vehicle_id: Name  # the random name in the certificate
    certificate: Path
    certificate_key: Path  # 0600
    authority: Path  # CA of broker and repositories
    ecu_key: Path  # Ed25519, PEM, 0600: signs ledger and manifests
    purpose_secrets: Path  # folder of 32-byte secrets, 0700


class TokenConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PKCS#11 token (TPM, secure element, SoftHSM) that keeps keys; needs okdrive[pkcs11]."""

    module: Path  # the library that speaks to it
    label: str
    pin_file: Path  # 0600


class CostConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What sending may cost: bytes a day per class of network, both ways, and the 12 V battery."""

    network: Literal["auto", "unmetered", "metered", "roaming"] = "auto"  # auto: NetworkManager
    system_bus: str = "unix:path=/run/dbus/system_bus_socket"  # where auto asks; nobody: metered
    unmetered_bytes_per_day: Annotated[int, Meta(ge=0)] | None = None  # None: no limit
    metered_bytes_per_day: Annotated[int, Meta(ge=0)] | None = 20_000_000
    roaming_bytes_per_day: Annotated[int, Meta(ge=0)] | None = 0
    parked_send_s: Annotated[float, Meta(ge=0)] = 900.0  # then it leaves on the next drive
    min_low_voltage_v: Annotated[float, Meta(ge=0, le=15)] = 11.8  # below: not before charging
    keepalive_driving_s: Annotated[int, Meta(ge=10, le=1_200)] = 60
    keepalive_parked_s: Annotated[int, Meta(ge=10, le=1_200)] = 600  # fewer wake-ups of the modem


class QueueConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may wait for a network; beyond it batches are dropped, counted and explained."""

    max_bytes: Annotated[int, Meta(ge=65_536)] = 67_108_864
    max_batches: Annotated[int, Meta(ge=1)] = 10_000
    max_age_days: Annotated[int, Meta(ge=1)] = 90  # days on which the vehicle was used


class UplinkConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and how batches leave the vehicle; TLS is always on."""

    broker_host: str
    broker_port: Port = 8883
    ingest_keys: Path  # the set that came with the vehicle; newer ones come with update checks
    hold_s: Annotated[float, Meta(ge=0, le=3_600)] = 600.0  # "take it back" works this long
    puback_timeout_s: Positive = 10.0
    receipt_timeout_s: Positive = 30.0  # then the batch is sent again
    pause_max_s: Annotated[float, Meta(ge=0)] = 30.0  # random, between two pseudonyms
    cost: CostConfig = CostConfig()
    queue: QueueConfig = QueueConfig()


_HOUR = r"([01]\d|2[0-3]):[0-5]\d"
WINDOW = rf"^{_HOUR}-{_HOUR}\Z"


class EcuConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One place for an image in this vehicle."""

    ecu_id: Name
    hardware_id: Name
    kind: Literal["app", "embedded"]
    name: Name


class UpdatesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where signed updates come from and what may be installed."""

    image_url: Annotated[str, Meta(pattern=r"^https://")]
    director_url: Annotated[str, Meta(pattern=r"^https://")]  # without the vehicle id
    image_root: Path  # trusted root.json, shipped with the agent
    director_root: Path
    primary_ecu: Name
    ecus: tuple[EcuConfig, ...]
    check_every_s: Positive = 86_400.0
    app_user: str = "nobody"  # apps and their health checks run as this user, never as the agent
    countdown_s: Annotated[float, Meta(ge=0, le=600)] = 120.0  # "Now" can still be cancelled
    clock_set_file: Path | None = None  # is there once the clock is right, for source "file"
    # who may say what time it is; none: "file" where clock_set_file is named, else "battery"
    time_sources: tuple[Literal["nts", "gnss", "ntp", "file", "battery"], ...] = ()
    min_soc_percent: Annotated[float, Meta(ge=0, le=100)] = 20.0
    min_low_voltage_v: Annotated[float, Meta(ge=9, le=15)] = 12.0  # includes the way back
    needs_ignition_off: bool = False  # the vehicle must be switched off, and stay so
    needs_charging: bool = False  # only while it charges
    needs_link: bool = False  # only while the update server can be reached
    min_ambient_c: Annotated[float, Meta(ge=-50, le=60)] | None = None
    max_ambient_c: Annotated[float, Meta(ge=-50, le=60)] | None = None
    window: Annotated[str, Meta(pattern=WINDOW)] | None = None  # "02:00-05:00", local time
    metered_bytes_per_image: Annotated[int, Meta(ge=0)] | None = 20_000_000  # uplink.cost.network
    roaming_bytes_per_image: Annotated[int, Meta(ge=0)] | None = 0
    metered_bytes_per_month: Annotated[int, Meta(ge=0)] | None = 100_000_000  # all images together
    roaming_bytes_per_month: Annotated[int, Meta(ge=0)] | None = 0
    max_bytes_per_s: Annotated[int, Meta(ge=4_096)] | None = None  # of a download; None: no limit

    def __post_init__(self) -> None:
        """Refuse a marker that nobody named."""
        if "file" in self.time_sources and self.clock_set_file is None:
            raise ValueError("updates: expected `clock_set_file` for time source 'file', got none")


class BatteryConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Other thresholds for the battery watch than its own (`okdrive-agent battery explain`)."""

    raise_at: dict[str, float] = {}  # alert code -> value, in the unit of its rule


class EventConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event: a condition over signals that freezes what was read before and after it."""

    name: Name
    condition: Annotated[str, Meta(max_length=1_000)]  # such as "Vehicle.Speed > 120"
    trigger: Literal["edge", "level"] = "edge"  # when it becomes true; or while it is, each time
    lasting_s: Annotated[float, Meta(ge=0, le=3_600)] = 0.0  # it has to hold this long
    cool_down_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0  # not again before
    before_s: Annotated[float, Meta(ge=0, le=60)] = 10.0  # of readings from before the event
    after_s: Annotated[float, Meta(ge=0, le=60)] = 5.0


class EventsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Moments worth looking at later (`okdrive-agent signals events`); they stay in the vehicle."""

    enabled: bool = True
    quota_mb: Annotated[int, Meta(ge=1)] = 16  # all events together; the oldest make way
    without: tuple[str, ...] = ()  # names of built-in events to leave out
    rules: tuple[EventConfig, ...] = ()  # further events; a built-in name replaces that one


class ScreenConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The driver's page; loopback only."""

    port: Port = 8088  # 0 = any free port; the bound one stands in run/screen.json
    language: Literal["en", "de"] = "en"
    night: Literal["auto", "on", "off"] = "auto"  # dark by the sun, or from 19 to 7 without a fix


class AgentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything the agent is told; each part receives its own section only."""

    state_dir: Path
    vehicle: VehicleConfig
    source: SourceConfig
    identity: IdentityConfig
    uplink: UplinkConfig
    updates: UpdatesConfig
    recording: RecordingConfig = RecordingConfig()
    screen: ScreenConfig = ScreenConfig()
    token: TokenConfig | None = None  # none: keys are files of mode 0600
    polls: PollsConfig = PollsConfig()
    gnss: GnssConfig = GnssConfig()
    battery: BatteryConfig = BatteryConfig()
    events: EventsConfig = EventsConfig()

    def __post_init__(self) -> None:
        """Refuse a time source that nobody runs: updates would wait for it for ever."""
        if "gnss" in self.updates.time_sources and not self.gnss.enabled:
            raise ValueError("gnss: expected `enabled` for updates.time_sources 'gnss', got not")


def load_config(path: Path) -> AgentConfig:
    """Read ``path`` (TOML); raise ConfigError for anything but a valid file."""
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=AgentConfig, dec_hook=_as_path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # msgspec's and the TOML parser's errors are ValueErrors
        raise ConfigError(f"{path}: {error}") from error
    return _resolved(config, path.absolute().parent)


def _as_path(kind: type, text: object) -> object:
    if kind is Path and isinstance(text, str):
        return Path(text)
    raise ValueError(f"expected {kind.__name__}, got {text!r}")


def _resolved(section: S, base: Path) -> S:
    changes: dict[str, object] = {}
    for field in section.__struct_fields__:
        value = getattr(section, field)
        if isinstance(value, Path):
            changes[field] = base / value
        elif isinstance(value, Struct):
            changes[field] = _resolved(value, base)
    return msgspec.structs.replace(section, **changes)
