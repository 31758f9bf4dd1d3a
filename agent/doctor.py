"""The checks of `okdrive-agent doctor`: one small function each, on the state folder. Blocks."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from agent.config import AgentConfig, IdentityConfig
from agent.consent.ledger import switch_problems, verify_chain
from agent.consent.recipients import NoKeyError, load_recipients
from agent.consents import secrets_of, signing_key_of
from agent.control import ask
from agent.folders import Folders
from agent.health import Check, Finding, fail, ok, warn
from agent.privacy.zones import ZoneError
from agent.store.battery import BatteryHistory
from agent.store.chain import LEDGER_LENGTH
from agent.store.outbox import Outbox
from agent.store.queued import OutboxState
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.store.vault import EVENT, SEGMENT, TRIP, vault_of
from agent.wording import counted
from agent.zones import Zones
from telemetry.purposes import Purpose

_LOW_BYTES = 200 << 20
_SOON = timedelta(days=14)
_BROKEN = frozenset({"crc", "length", "counter", "range"})  # not "not available", not "stale"


def checks(config: AgentConfig, folders: Folders, now: datetime) -> list[Check]:
    """Return every check, in the order in which a person wants to read them."""
    return [
        Check(name="vehicle", look=lambda: _vehicle(config.vehicle.definition)),
        Check(name="identity", look=lambda: _identity(config)),
        Check(name="ingest keys", look=lambda: _ingest_keys(config, folders, now)),
        Check(name="keys", look=lambda: _keys(folders)),
        Check(name="certificate", look=lambda: _certificate(config.identity, now)),
        Check(name="storage", look=lambda: _storage(config.state_dir)),
        Check(name="frames", look=lambda: _frames(folders)),
        Check(name="buses", look=lambda: _buses(folders)),
        Check(name="ledger", look=lambda: _with_state(folders, lambda s: _ledger(config, s))),
        Check(name="places", look=lambda: _with_state(folders, lambda s: _places(config, s))),
        Check(name="trips", look=lambda: _with_state(folders, _trips)),
        Check(name="battery", look=lambda: _battery(folders)),
        Check(name="network", look=lambda: _network(config, folders)),
        Check(name="queue", look=lambda: _with_state(folders, _queue)),
        Check(name="uplink", look=lambda: _uplink(config, folders)),
        Check(name="metadata", look=lambda: _metadata(folders, now)),
        Check(name="apps", look=lambda: _apps(folders)),
    ]


def _vehicle(name: str) -> Finding:
    from agent.signals.table import load_table  # noqa: PLC0415 (only doctor needs it)

    table = load_table(name)
    return ok(f"{table.title}: {len(table.frames)} frames, {len(table.paths())} signals")


def _identity(config: AgentConfig) -> Finding:
    key = signing_key_of(config)
    return ok(f"{config.identity.vehicle_id}, key {key.public.key_id}")


def _ingest_keys(config: AgentConfig, folders: Folders, now: datetime) -> Finding:
    recipients = load_recipients(config.uplink.ingest_keys, folders.ingest_keys)
    keys, waits = recipients.keys, []
    for purpose in sorted({entry.purpose for entry in keys.sealing}):
        try:
            recipients.sealing(purpose, now)
        except NoKeyError as error:
            waits.append(f"{purpose}: {error}")
    if waits:
        return warn(" ".join(waits), "okdrive-agent update check")
    soonest = min((entry.not_after for entry in keys.sealing), default=now)
    hybrid = sum(entry.kem != "x25519" for entry in keys.sealing)
    text = f"{keys.recipient}, serial {keys.serial}, {len(keys.sealing)} sealing keys"
    kind = f", {hybrid} of them hybrid (1,088 bytes more per batch)" if hybrid else ""
    return _expiry(text + kind, soonest, now, "the receiver has to publish new ones")


def _keys(folders: Folders) -> Finding:
    vault = vault_of(folders.root)
    lost = [kind for kind in (TRIP, SEGMENT, EVENT, *Purpose) if vault.is_lost(kind)]
    if lost:
        return fail(
            f"the key of {', '.join(lost)} is lost: what was stored with it cannot be read",
            f"restore {folders.root}/keys; or switch the purpose off, which deletes it",
        )
    return ok("what is stored can be read")


def _places(config: AgentConfig, state: State) -> Finding:
    secret = partial(secrets_of(config), Purpose.TRAFFIC)
    try:
        drawn = Zones(state.database, secret).drawn()
    except ZoneError as error:
        return fail(str(error), "okdrive-agent zones remove --all, then draw them again")
    return ok(f"{len(drawn)} drawn places, nothing that touches them is told")


def _certificate(identity: IdentityConfig, now: datetime) -> Finding:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (slow to import)
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    own = load_pem_x509_certificate(identity.certificate.read_bytes())
    authority = load_pem_x509_certificate(identity.authority.read_bytes())
    try:
        own.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return fail(
            f"expected one of {authority.subject.rfc4514_string()}, found one of "
            f"{own.issuer.rfc4514_string()}: broker and repositories will refuse it",
            "what was confirmed waits; install the certificate this vehicle was provisioned with",
        )
    todo = "renew it where this vehicle was provisioned"
    return _expiry("certificate", own.not_valid_after_utc, now, todo)


def _storage(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{free >> 20:,} MiB free in {folder}"
    return ok(text) if free >= _LOW_BYTES else warn(text, "make room: recording stops when full")


def _frames(folders: Folders) -> Finding:
    try:
        vitals = json.loads(folders.vitals.read_bytes())
    except OSError:
        return warn("nothing was received yet", "start `okdrive-agent run`")
    rejected: dict[str, int] = vitals["rejected"]
    text = f"{vitals['frames']:,} frames since the start"
    broken = {why: n for why, n in rejected.items() if why.rpartition(" ")[2] in _BROKEN}
    if broken:
        worst = max(broken, key=lambda why: broken[why])
        return warn(
            f"{text}; {sum(broken.values()):,} refused, most often {worst}",
            "look at the wiring, or at the vehicle definition named above",
        )
    absent = counted(sum(rejected.values()), "value")
    return ok(f"{text}; {absent} not available or stale")


def _buses(folders: Folders) -> Finding:
    try:
        troubles = json.loads(folders.vitals.read_bytes()).get("troubles", [])
    except (OSError, ValueError):
        return ok("the agent is not running")
    if not troubles:
        return ok("no trouble on any bus")
    text = " | ".join(str(trouble["text"]) for trouble in troubles)
    if all(trouble["trouble"] == "silent" for trouble in troubles):  # an ordinary parked vehicle
        return ok(text)
    return warn(text, "`okdrive-agent signals watch` shows what still comes")


def _with_state(folders: Folders, look: Callable[[State], Finding]) -> Finding:
    with closing(State.open_to_read(folders.state)) as state:
        return look(state)


def _ledger(config: AgentConfig, state: State) -> Finding:
    entries = state.ledger()
    key = signing_key_of(config).public
    expected = state.counters().get(LEDGER_LENGTH, 0)
    problems = [
        *verify_chain(entries, key, expected_length=expected),
        *switch_problems(state.unfounded_consents(), length=len(entries)),
    ]
    if problems:
        return fail(problems[0].sentence, "sharing has stopped; restore the state folder")
    return ok(f"{counted(len(entries), 'entry', 'entries')}, chain and signatures verified")


def _trips(state: State) -> Finding:
    sessions = Sessions(state.database)
    damaged = state.damaged_trips() + sessions.damaged()
    if damaged:
        return warn(f"{counted(damaged, 'damaged row')} left out", "check the disk")
    driven, charged = len(state.trips(limit=-1)), len(sessions.rows(limit=-1))
    return ok(f"{counted(driven, 'trip')}, {counted(charged, 'charge')}")


def _battery(folders: Folders) -> Finding:
    with closing(BatteryHistory.open_to_read(folders.battery)) as history:
        damaged = history.damaged()
        raised = [row.code for row in history.alerts(limit=-1) if row.cleared_utc is None]
    if damaged:
        return warn(f"{counted(damaged, 'damaged row')} left out", "check the disk")
    if raised:
        return warn(f"raised: {', '.join(raised)}", f"okdrive-agent battery explain {raised[0]}")
    return ok("no alert")


def _queue(state: State) -> Finding:
    rows = Outbox(state.database).rows()
    stopped = [row for row in rows if row.state is OutboxState.STOPPED]
    if stopped:
        return warn(
            f"{len(stopped)} of {len(rows)} batches were refused: {stopped[0].refusal}",
            "they stay here and expire; tell the receiver named on the card",
        )
    waits = "waits" if len(rows) == 1 else "wait"
    return ok(f"{counted(len(rows), 'batch', 'batches')} {waits} to be sent")


def _network(config: AgentConfig, folders: Folders) -> Finding:
    said = config.uplink.cost.network
    return ok(ask(folders.control, "network") or f"{said}, says the configuration")


def _uplink(config: AgentConfig, folders: Folders) -> Finding:
    from agent.queue import stats  # noqa: PLC0415 (below this module's other imports)

    found = stats(config, folders)
    if found["is_paused"] or found["is_refused"]:  # every other reason ends by itself
        return warn(found["why"], "okdrive-agent queue resume, once the cause is gone")
    return ok(found["why"])


def _metadata(folders: Folders, now: datetime) -> Finding:
    soonest: tuple[datetime, str] | None = None
    for repository in ("director", "image"):
        for role in ("root", "timestamp"):
            path = folders.update / "metadata" / repository / f"{role}.json"
            if path.exists():
                expires = datetime.fromisoformat(json.loads(path.read_bytes())["signed"]["expires"])
                soonest = min(soonest or (expires, ""), (expires, f"{repository} {role}"))
    if soonest is None:
        return warn("no update check has succeeded yet", "okdrive-agent update show")
    return _expiry(soonest[1], soonest[0], now, "the publisher has to sign it again")


def _apps(folders: Folders) -> Finding:
    from agent.standing import installed_apps  # noqa: PLC0415 (below this module's other imports)

    found = installed_apps(folders)
    return ok(", ".join(f"{name} {version}" for name, version in found.items()) or "none installed")


def _expiry(what: str, expires: datetime, now: datetime, todo: str) -> Finding:
    text = f"{what} valid until {expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if expires <= now:
        return fail(text.replace("valid until", "expired on"), todo)
    is_short = "timestamp" in what  # signed anew every day
    return ok(text) if is_short or expires - now > _SOON else warn(text, todo)
