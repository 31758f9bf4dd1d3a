"""What `preview`, `consent ok`, `driver`, `pause` and `workshop` read and change. Blocks.

Everything goes through the same `Sharing` as the driver's screen; the daemon is told afterwards.
"""

import json
import textwrap
from collections.abc import Iterator
from datetime import UTC
from typing import Any, ClassVar

import msgspec

from agent.config import AgentConfig
from agent.consent.preview import rows_as_json
from agent.consents import changing
from agent.driver import PauseKind
from agent.folders import Folders
from agent.presence import PresenceError
from agent.sharing import Card, Sharing
from agent.wording import counted
from agent.workshop import Contact, Show, make_report

GUEST = "guest"
_WIDTH = 74  # of 80 columns


class NotOnOfferError(Exception):
    """Nothing of this name waits for an answer; nothing was changed."""

    code: ClassVar[str] = "consent.not_on_offer"


def preview(
    config: AgentConfig, folders: Folders, prefix: str, *, with_rows: bool
) -> dict[str, Any]:
    """Return everything that waits for an answer, decoded from the bytes that would leave.

    Args:
        config: Of the agent.
        folders: Of the agent.
        prefix: The first digits of a card's id; empty for all.
        with_rows: Every row of every batch too.

    Raises:
        NotOnOfferError: Nothing of that name waits.
        StoreError, KeyFileError: The state or a key cannot be read.
    """
    with changing(config, folders) as sharing:
        cards = [card for card in sharing.cards() if card.trip.trip_id.startswith(prefix)]
        if prefix and not cards:
            raise NotOnOfferError(f"{prefix}: expected a card that waits, found none")
        return {"cards": [_card(sharing, card, with_rows=with_rows) for card in cards]}


def _card(sharing: Sharing, card: Card, *, with_rows: bool) -> dict[str, Any]:
    batches = [msgspec.to_builtins(preview) for preview in card.previews]
    for batch in batches if with_rows else ():
        payload = sharing.payload(bytes.fromhex(batch["batch_id"]))
        batch["rows"] = json.loads(rows_as_json(payload)) if payload else []
    kind = json.loads(card.trip.summary).get("kind", "trip")
    created = card.trip.created_utc.astimezone(UTC).isoformat(timespec="seconds")
    return {"id": card.trip.trip_id, "kind": kind, "made_utc": created, "batches": batches}


def answer(config: AgentConfig, folders: Folders, prefix: str, *, share: bool) -> str:
    """Say OK or No to everything on one card; return what to tell a person.

    Raises:
        NotOnOfferError, SharingError, StoreError: Nothing was changed.
    """
    with changing(config, folders) as sharing:
        card = _one(sharing, prefix)
        batches = [bytes.fromhex(preview.batch_id) for preview in card.previews]
        done = sharing.answer(card.trip.trip_id, batches, share=share)
        waits = [row.held_for_s(sharing.moment()) for row in sharing.outbox.lines()]
        length = len(sharing.state.ledger())
    said = counted(len(done.answered), "batch", "batches")
    if not share:
        fate = "stays here and is" if len(done.answered) == 1 else "stay here and are"
        return f"{said} {fate} deleted (ledger entry {length})"
    held = f"; the first may leave in {min(waits):.0f} s" if waits and min(waits) > 0 else ""
    return (
        f"{said} confirmed{held} (ledger entry {length})\n"
        f"undo: okdrive-agent consent take-back {card.trip.trip_id}"
    )


def take_back(config: AgentConfig, folders: Folders, prefix: str) -> str:
    """Undo the OK for everything of one card that has not left.

    Raises:
        NotOnOfferError: Nothing of it is still here, or it is too late.
    """
    with changing(config, folders) as sharing:
        lines = [row for row in sharing.outbox.lines() if row.trip_id.startswith(prefix)]
        undone = sharing.take_back([row.batch_id for row in lines])
    if not undone:
        raise NotOnOfferError(f"{prefix}: expected a batch that can be taken back, found none")
    said = counted(len(undone), "batch", "batches")
    return f"{said} taken back; {len(lines) - len(undone)} on the way"


def _one(sharing: Sharing, prefix: str) -> Card:
    cards = [card for card in sharing.cards() if card.trip.trip_id.startswith(prefix)]
    if len(cards) != 1:
        raise NotOnOfferError(f"{prefix}: expected exactly one card that waits, found {len(cards)}")
    return cards[0]


# -- who drives ------------------------------------------------------------------------------------


def drivers(config: AgentConfig, folders: Folders) -> dict[str, Any]:
    """Return who may drive and who does."""
    with changing(config, folders) as sharing:
        seated = sharing.presence.seated()
        profiles = [
            {
                "profile_id": one.profile_id,
                "name": one.name,
                "is_here": one.profile_id == seated.profile_id,
            }
            for one in sharing.presence.profiles()
        ]
        return {"seat": seated.seat, "drivers": profiles}


def change_driver(config: AgentConfig, folders: Folders, verb: str, *names: str) -> str:
    """Do ``choose``, ``add``, ``rename`` or ``remove``; return what to tell a person.

    Raises:
        PresenceError, StoreError: Nothing was changed.
    """
    with changing(config, folders) as sharing:
        if verb == "add":
            sharing.presence.add(names[0])
            return f"{names[0]} was added and has agreed to nothing yet"
        whose = None if (verb, names[0]) == ("choose", GUEST) else _profile(sharing, names[0])
        if verb == "choose":
            sharing.choose_driver(whose)
            rest = "nothing of a trip is kept" if whose is None else "their own switches hold"
            return f"{names[0]} drives; {rest}"
        if whose is None:
            raise PresenceError("driver.unknown", "A guest has no name and nothing to remove.")
        if verb == "rename":
            sharing.presence.rename(whose, names[1])
            return f"{names[0]} is called {names[1]}"
        sharing.remove_driver(whose)
        return f"{names[0]} was removed; everything of theirs that had not left is deleted"


def _profile(sharing: Sharing, name: str) -> str:
    found = [
        one.profile_id
        for one in sharing.presence.profiles()
        if one.name == name or one.profile_id.startswith(name)
    ]
    if len(found) != 1:
        raise PresenceError("driver.unknown", f"{name}: expected one driver, found {len(found)}.")
    return found[0]


def pause(config: AgentConfig, folders: Folders, kind: str) -> str:
    """Begin a pause (``hour``, ``today``, ``always``) or end it (``off``)."""
    with changing(config, folders) as sharing:
        sharing.set_pause(None if kind == "off" else PauseKind(kind))
        now = sharing.presence.pause()
    if now is None:
        return "nothing is paused; what was switched on before is on again"
    until = f"until {now.until_utc:%Y-%m-%d %H:%M} UTC" if now.until_utc else "until you end it"
    return f"paused {until}: nothing is recorded, offered or sent"


# -- the workshop ----------------------------------------------------------------------------------


def ask_workshop(  # noqa: PLR0913 (each is what the driver typed)
    config: AgentConfig,
    folders: Folders,
    show: str,
    *,
    contact: str,
    name: str,
    message: str,
    keep: bool,
) -> dict[str, Any]:
    """Prepare a report and return its card, to be looked at; nothing is sent before an OK.

    Empty contact details mean those that were kept.

    Raises:
        ReportError, SharingError, StoreError: Nothing was prepared.
    """
    with changing(config, folders) as sharing:
        contacts = sharing.contacts()
        known = contacts.read()
        given = Contact(contact=contact or known.contact, name=name or known.name)
        report = make_report(
            folders.battery,
            Show(show),
            contact=given,
            message=message,
            today=sharing.moment().utc.date(),
        )
        card_id = sharing.offer_report(report)
        if keep:
            contacts.keep(given)
        [card] = [card for card in sharing.cards() if card.trip.trip_id == card_id]
        return _card(sharing, card, with_rows=True)


# -- as text ---------------------------------------------------------------------------------------


def preview_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``preview``."""
    if not document["cards"]:
        yield "Nothing waits for an answer."
    for card in document["cards"]:
        yield from card_lines(card)


def card_lines(card: dict[str, Any]) -> Iterator[str]:
    """Return the text of one card."""
    made = card["made_utc"][:16].replace("T", " ")
    many = counted(len(card["batches"]), "batch", "batches")
    yield f"{card['kind']} {card['id']}, {made} UTC: {many}"
    for batch in card["batches"]:
        yield ""
        yield f"  {batch['title']} for {batch['recipient']}"
        yield f"  batch {batch['batch_id']}"
        yield f"  {batch['size_bytes']:,} bytes; {batch['travels_bytes']:,} travel"
        for field in batch["fields"]:
            yield f"    {field['label']:<26}{_values(field)}"
        never = textwrap.wrap(f"never: {', '.join(batch['not_sent'])}", _WIDTH)
        yield from (f"    {line}" for line in never)
        for row in batch.get("rows", ()):
            yield f"    {json.dumps(row, ensure_ascii=False)}"
    yield ""
    yield f"okdrive-agent consent ok {card['id']}   or   consent no {card['id']}"


def _values(field: dict[str, Any]) -> str:
    if field["text"]:
        return str(field["text"])
    if field["lowest"] is None:
        return "none"
    unit, count = field["unit"], field["count"]
    if field["lowest"] == field["highest"]:
        return f"{field['lowest']:g} {unit}".strip() + (f"   x {count}" if count > 1 else "")
    return f"{field['lowest']:g} to {field['highest']:g} {unit}".strip() + f"   x {count}"


def driver_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``driver list``."""
    for one in document["drivers"]:
        here = "drives" if one["is_here"] else ""
        yield f"{one['profile_id']:<18}{here:<8}{one['name'] or 'the first driver'}"
    if document["seat"] != "driver":
        yield f"now: {document['seat']}; nothing of a trip is kept"
