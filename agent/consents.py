"""What `okdrive-agent consent` reads and changes, beside the daemon or without it. Blocks.

A change goes through the same `Sharing` as the driver's screen: ledger entry, consent and deleted
rows are one transaction in the state file. The daemon is told afterwards, so that sampling stops at
once; if it cannot be told, what was withdrawn has left the outbox all the same.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.consent.keepsake import KeepsakeError, read_receipt_text, receipt_document
from agent.consent.keys import (
    PublicKey,
    Signer,
    VerifyKey,
    load_purpose_secret,
    load_signing_key,
)
from agent.consent.ledger import (
    KEY_LOST,
    ChainProblem,
    StoredEntry,
    read_entry,
    switch_problems,
    verify_chain,
)
from agent.consent.notices import DEFAULT_LANGUAGE, Notice, all_notices, load_notices
from agent.consent.policy import signing_key_lost
from agent.consent.recipients import load_recipients
from agent.control import ask
from agent.driver import Seated
from agent.folders import Folders
from agent.limits import quota
from agent.offers import AgentHealth
from agent.sharing import Sharing, SharingError, SharingSettings
from agent.store.chain import LEDGER_LENGTH
from agent.store.rows import ConsentRow, LedgerRow
from agent.store.state import State
from agent.store.vault import vault_of
from agent.wording import counted
from telemetry.purposes import Purpose

EXPORT = "okdrive.consent.export/1"
_MAX_EXPORT_BYTES = 1 << 26
_MIN_ID = 8  # digits of an id that tell it from the number of an entry


class ExportError(Exception):
    """A file is no exported ledger; nothing was read of it."""

    code: ClassVar[str] = "consent.export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedEntry:
    """One entry as an export holds it."""

    sequence: int
    entry_hash: bytes
    body: bytes
    signature: bytes


def sharing_of(
    config: AgentConfig,
    state: State,
    clock: SystemClock,
    *,
    health: Callable[[], AgentHealth] | None = None,
) -> Sharing:
    """Return the driver's side of sharing, not started; raise KeyFileError, KeySetError."""
    use_token(config)
    folders = Folders(root=config.state_dir)
    return Sharing(
        state=state,
        key=signing_key_of(config),
        notices=all_notices(),
        recipients=load_recipients(config.uplink.ingest_keys, folders.ingest_keys),
        secret_of=secrets_of(config),
        segments=folders.segments,
        clock=clock,
        settings=SharingSettings(
            hold_s=config.uplink.hold_s,
            unanswered_days=config.recording.unanswered_days,
            quota=quota(config),
        ),
        health=health,
    )


def secrets_of(config: AgentConfig) -> Callable[[Purpose], bytes]:
    """Return what reads the secret of a purpose: a file, unwrapped by the token if there is one.

    What it returns raises KeyFileError, also when the token is gone.
    """
    folder, token = config.identity.purpose_secrets, config.token
    if token is None:
        return partial(load_purpose_secret, folder)
    from agent.token import TokenSecrets, TokenWrapper  # noqa: PLC0415 (an extra)

    wrapper = TokenSecrets(TokenWrapper(token.module, token.label, token.pin_file))
    return partial(load_purpose_secret, folder, wrapper=wrapper)


def signing_key_of(config: AgentConfig) -> Signer:
    """Return what signs the ledger: in the token if there is one, else in a file.

    Raises:
        KeyFileError: There is no such file. A token that is gone is told by the key itself.
    """
    if config.token is None:
        return load_signing_key(config.identity.ecu_key)
    from agent.token import ledger_key  # noqa: PLC0415 (an extra)

    return ledger_key(config.token.module, config.token.label, config.token.pin_file)


def use_token(config: AgentConfig) -> None:
    """Keep the keys of what is stored wrapped by the token, if there is one."""
    if config.token is not None:
        from agent.token import TokenWrapper  # noqa: PLC0415 (an extra)

        token = config.token
        vault_of(config.state_dir).use(TokenWrapper(token.module, token.label, token.pin_file))


def show(config: AgentConfig, folders: Folders) -> dict[str, Any]:
    """Return who drives, and every purpose: whether it is on, since when, on which text.

    Raises:
        StoreError, KeyFileError: The state or a key cannot be read.
    """
    with _opened(config, folders) as sharing:
        sharing.start()
        seated, pause = sharing.presence.seated(), sharing.presence.pause()
        rows = sharing.state.consents(seated.profile_id or "")
        return {
            "driver": _driver(sharing, seated),
            "pause": None if pause is None else pause.kind,
            "purposes": [
                _purpose_row(sharing, purpose, rows.get(purpose)) for purpose in sharing.purposes()
            ],
        }


def _driver(sharing: Sharing, seated: Seated) -> dict[str, Any]:
    names = {one.profile_id: one.name for one in sharing.presence.profiles()}
    name = names.get(seated.profile_id or "", "")
    return {"seat": seated.seat, "profile_id": seated.profile_id, "name": name}


def _purpose_row(sharing: Sharing, purpose: Purpose, row: ConsentRow | None) -> dict[str, Any]:
    standing, is_on = sharing.standing().get(purpose), bool(row and row.is_granted)
    knows_turns = is_on and sharing.is_intact()  # a lost token takes the secrets with it
    turn = sharing.offering.next_turn(purpose) if knows_turns else None
    return {
        "purpose": purpose,
        "is_granted": is_on,
        "since_utc": row.since_utc.isoformat(timespec="seconds") if row else None,
        "title": sharing.notice(purpose).title,
        "notice_id": sharing.notice(purpose).notice_id,
        "always_until_utc": standing and standing.until_utc.isoformat(timespec="seconds"),
        "always_waits": purpose in sharing.standing_waits(),
        "next_told": turn and turn.isoformat(),
    }


def notice(purpose: Purpose, language: str) -> Notice:
    """Return the text that is agreed to, in ``language``."""
    return load_notices(language)[purpose]


def change(
    config: AgentConfig,
    folders: Folders,
    purpose: Purpose,
    *,
    is_granted: bool,
    language: str = DEFAULT_LANGUAGE,
) -> str:
    """Switch a purpose on or off, tell the daemon, and return what to tell a person.

    Raises:
        SharingError, StoreError, KeyFileError: Nothing was changed.
    """
    with changing(config, folders) as sharing:
        is_changed = sharing.set_consent(purpose, is_granted=is_granted, language=language)
        length = len(sharing.state.ledger())
    word = "on" if is_granted else "off"
    if not is_changed:
        return f"{purpose} was {word} already; nothing was written"
    rest = "" if is_granted else "; what waited for it is deleted and nothing more leaves"
    return f"{purpose} is {word}{rest} (ledger entry {length})"


def stand(config: AgentConfig, folders: Folders, purpose: Purpose, *, days: int | None) -> str:
    """Begin or end a standing OK; return what to tell a person. Raise as ``change``."""
    with changing(config, folders) as sharing:
        until = sharing.set_standing(purpose, days=days)
        length = len(sharing.state.ledger())
    if until is None:
        return f"{purpose} is asked for batch by batch again (ledger entry {length})"
    return (
        f"every batch of {purpose} is released without asking until"
        f" {until:%Y-%m-%d %H:%M} UTC, each with its own entry (ledger entry {length})"
    )


@contextmanager
def changing(config: AgentConfig, folders: Folders) -> Iterator[Sharing]:
    """Give the vehicle's sharing with a whole ledger; tell the daemon afterwards.

    Raises:
        SharingError: The ledger is damaged; nothing was changed.
    """
    with _opened(config, folders) as sharing:
        for problem in sharing.start():
            if problem.code == KEY_LOST:
                raise SharingError("consent.signing_key", signing_key_lost(problem.sentence))
            raise SharingError("consent.ledger_broken", f"{problem.sentence}; nothing was changed")
        yield sharing
    ask(folders.control, "consents")


def receipt(folders: Folders, wanted: str) -> dict[str, Any]:
    """Return one entry as a receipt to keep.

    Args:
        folders: Of the agent.
        wanted: The number of an entry, or the first digits of its record id or batch id; of several
            the newest.

    Raises:
        KeepsakeError: There is no such entry, or it cannot be read.
    """
    with closing(State.open_to_read(folders.state)) as state:
        found = next((row for row in reversed(state.ledger()) if _is_meant(row, wanted)), None)
        if found is None:
            raise KeepsakeError(f"receipt {wanted}: expected an entry, a record or a batch of it")
        batch = json.loads(found.body).get("batch_id") or ""
        deliveries = [one for one in state.receipts(limit=-1) if one.batch_id.hex() == batch]
    try:
        return receipt_document(found, deliveries)
    except ValueError as error:
        raise KeepsakeError(f"receipt {wanted}: the entry cannot be read: {error}") from error


def _is_meant(row: LedgerRow, wanted: str) -> bool:
    if wanted.isdecimal() and len(wanted) < _MIN_ID:
        return row.sequence == int(wanted)
    entry = _readable(row.body)
    ids = (str(entry.get("record_id", "")), str(entry.get("batch_id", "")))
    return len(wanted) >= _MIN_ID and any(one.startswith(wanted) for one in ids)


def verify_receipt_text(text: str, key: VerifyKey) -> dict[str, Any]:
    """Return what a QR code says once its signature was checked; raise KeepsakeError."""
    return {"key_id": key.key_id, "entry": msgspec.to_builtins(read_receipt_text(text, key))}


def history(folders: Folders) -> dict[str, Any]:
    """Return the ledger with bodies and signatures, to be kept or verified elsewhere."""
    with closing(State.open_to_read(folders.state)) as state:
        return {"export": EXPORT, "entries": [_exported(row) for row in state.ledger()]}


def verify(config: AgentConfig, folders: Folders) -> dict[str, Any]:
    """Return whether the vehicle's own ledger is whole, and everything that is wrong with it."""
    key = signing_key_of(config).public
    with closing(State.open_to_read(folders.state)) as state:
        length = state.counters().get(LEDGER_LENGTH, 0)
        return _verified(state.ledger(), key, length, switches=state.unfounded_consents())


def verify_file(path: Path, key: VerifyKey) -> dict[str, Any]:
    """Return the same of an exported ledger; raise ExportError if it is none."""
    return _verified(read_export(path), key, None)


def read_export(path: Path) -> list[ExportedEntry]:
    """Return the entries of an export; their hashes are computed, not believed."""
    try:
        if path.stat().st_size > _MAX_EXPORT_BYTES:
            raise ExportError(f"{path}: expected at most {_MAX_EXPORT_BYTES} bytes")
        entries = msgspec.json.decode(path.read_bytes())["entries"]
        return [_imported(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ExportError(f"{path}: expected an exported ledger: {error}") from error


def show_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``show``."""
    driver = document["driver"]
    who = driver["name"] or {"driver": "the only driver"}.get(driver["seat"], driver["seat"])
    paused = f"; paused ({document['pause']})" if document["pause"] else ""
    yield f"driver  {who}{paused}"
    yield f"{'PURPOSE':<13}{'':<5}{'SINCE (UTC)':<18}{'ASKS':<18}NEXT TOLD"
    for row in document["purposes"]:
        state = "on" if row["is_granted"] else "off"
        since = row["since_utc"][:16].replace("T", " ") if row["since_utc"] else "never"
        until = row["always_until_utc"]
        asks = f"not to {until[:10]}" if until else "each time"
        asks = "no clock: asks" if row["always_waits"] else asks
        told = row["next_told"] or ("every time" if row["is_granted"] else "-")
        yield f"{row['purpose']:<13}{state:<5}{since:<18}{asks:<18}{told}"


def receipt_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``receipt``."""
    record, proof = document["record"], document["proof"]
    event, purpose = record["event"], record["purpose"]
    yield f"entry       {proof['sequence']}: {event['type']} ({event['state']})"
    quality = "" if event["time_quality"] == "proven" else " (clock not proven)"
    yield f"time        {event['time']}{quality}"
    yield f"purpose     {purpose['name']}, schema {purpose['schema']}"
    if event["valid_until"]:
        yield f"until       {event['valid_until']}"
    if event["released_under"]:
        yield f"under       standing OK {event['released_under'][:16]}"
    if purpose["batch_id"]:
        yield f"batch       {purpose['batch_id']}"
    yield f"notice      {record['notice']['id']} {record['notice']['sha256'][:16]}"
    yield f"recipient   {record['recipient']['name']} (key {record['recipient']['key_id']})"
    yield f"driver      profile {record['pii_principal']['profile']}"
    for one in document["delivered"]:
        yield f"delivered   {one['status']} {one['received_utc']}"
    yield f"signed by   {proof['key_id']}"
    yield f"entry hash  {proof['entry_sha256']}"


def receipt_text_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of a verified QR code."""
    entry = document["entry"]
    yield f"genuine     signed by key {document['key_id']}"
    yield f"entry       {entry['sequence']}: {entry['event']} for {entry['purpose']}"
    yield f"time        {entry['event_time']}"
    if entry["batch_id"]:
        yield f"batch       {entry['batch_id']}"


def history_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``history``."""
    yield f"{'ENTRY':>5}  {'TIME (UTC)':<27}{'WHAT':<11}{'PURPOSE':<13}BATCH"
    for row in document["entries"]:
        entry = row["entry"]
        batch = entry["batch_id"][:16] if entry["batch_id"] else "-"
        yield (
            f"{row['sequence']:>5}  {entry['event_time']:<27}{entry['event']:<11}"
            f"{entry['purpose']:<13}{batch}"
        )


def verify_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``verify``."""
    for problem in document["problems"]:
        yield f"BROKEN  {problem['sentence']} ({problem['code']})"
    if not document["problems"]:
        many = counted(document["entries"], "entry", "entries")
        yield f"whole   {many}, each signed by key {document['key_id']}"


def _verified(
    entries: Sequence[StoredEntry],
    key: PublicKey,
    length: int | None,
    *,
    switches: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    problems: list[ChainProblem] = [
        *verify_chain(entries, key, expected_length=length),
        *switch_problems(switches, length=len(entries)),
    ]
    return {
        "entries": len(entries),
        "key_id": key.key_id,
        "is_whole": not problems,
        "problems": [asdict(problem) for problem in problems],
    }


def _exported(row: LedgerRow) -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "entry": _readable(row.body),
        "body": base64.b64encode(row.body).decode(),
        "signature": base64.b64encode(row.signature).decode(),
        "entry_hash": row.entry_hash.hex(),
    }


def _readable(body: bytes) -> Any:  # noqa: ANN401 (an entry, or whatever stands in its place)
    try:
        return msgspec.to_builtins(read_entry(body))
    except ValueError:  # `verify` says so; history still shows that something is there
        unread = ("event", "event_time", "purpose", "batch_id")
        return dict.fromkeys(unread, "unreadable")


def _imported(entry: dict[str, Any]) -> ExportedEntry:
    body = base64.b64decode(entry["body"], validate=True)
    return ExportedEntry(
        sequence=int(entry["sequence"]),
        entry_hash=hashlib.sha256(body).digest(),
        body=body,
        signature=base64.b64decode(entry["signature"], validate=True),
    )


@contextmanager
def _opened(config: AgentConfig, folders: Folders) -> Iterator[Sharing]:
    folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(State.open(folders.state)) as state:
        yield sharing_of(config, state, SystemClock())
