"""`okdrive-ingest keys`: the commands around keys; the work is in telemetry/ingest/keys.py."""

import json
from pathlib import Path

import click

from telemetry.ingest.clock import SystemClock
from telemetry.ingest.config import load_config
from telemetry.ingest.keyring import LABELS
from telemetry.ingest.keys import (
    DOCUMENT,
    add_receipt_key,
    drop,
    key_file,
    make_keys,
    make_receipt_key,
    read_document,
    retire,
)
from telemetry.ingest.signing import load_signer
from telemetry.keyset import KeySet

_DAYS = 397
_PUBLISH = "next: okdrive-ota keys publish {path}, so that vehicles learn of it"


@click.group()
def keys() -> None:
    """Make, rotate and retire the keys that batches are sealed to.

    \b
    A rotation that loses nothing:
      okdrive-ingest keys make        a new key beside the old one
      okdrive-ota keys publish FILE   vehicles learn of it at their next check
      okdrive-ingest keys retire KEY  vehicles stop using it; it still opens here
      okdrive-ingest keys drop KEY    when nothing sealed to it is under way
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)


@keys.command("make")
@click.option(
    "--purpose",
    "purposes",
    multiple=True,
    type=click.Choice([str(label) for label in LABELS]),
    help="For this purpose only; may be given more than once. Default: all.",
)
@click.option("--days", default=_DAYS, show_default=True, type=click.IntRange(1), help="Valid for.")
@click.option("--hybrid", is_flag=True, help="ML-KEM-768 + X25519: 1,088 bytes more per batch.")
@click.option("--recipient", default="okdrive ingest", show_default=True, help="As drivers see it.")
@click.option("--workshop", default="", help="The workshop's name, as drivers see it.")
@click.pass_obj
def keys_make(  # noqa: PLR0913 (each is one option)
    config_path: Path,
    *,
    purposes: tuple[str, ...],
    days: int,
    hybrid: bool,
    recipient: str,
    workshop: str,
) -> None:
    """Make a sealing key for each purpose, and name the receipt key in use to the vehicles.

    The older keys stay: batches sealed to them are still opened.
    """
    config, now = load_config(config_path), SystemClock().utc_now()
    chosen = purposes or LABELS
    signer = load_signer(config.receipt_key)
    folder = config.sealing_keys
    make_keys(
        folder,
        chosen,
        recipient=recipient,
        now=now,
        days=days,
        is_hybrid=hybrid,
        workshop=workshop,
    )
    document = add_receipt_key(folder, signer.public, recipient=recipient, now=now, days=days)
    _say(folder, document)


@keys.command("make-receipt")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--days", default=_DAYS, show_default=True, type=click.IntRange(1), help="Valid for.")
@click.pass_obj
def keys_make_receipt(config_path: Path, *, file: Path, days: int) -> None:
    """Write a new key that receipts will be signed with to FILE, which must not exist.

    Publish the document first, then name FILE as receipt_key in the configuration and start again:
    a vehicle believes only receipts of keys that it knows.
    """
    config, now = load_config(config_path), SystemClock().utc_now()
    document = read_document(config.sealing_keys)
    recipient = document.recipient if document else "okdrive ingest"
    public = make_receipt_key(file)
    folder = config.sealing_keys
    _say(folder, add_receipt_key(folder, public, recipient=recipient, now=now, days=days))


@keys.command("retire")
@click.argument("key_id")
@click.pass_obj
def keys_retire(config_path: Path, *, key_id: str) -> None:
    """End the time of a key; what was sealed to it is still opened."""
    folder = load_config(config_path).sealing_keys
    _say(folder, retire(folder, key_id, now=SystemClock().utc_now()))


@keys.command("drop")
@click.argument("key_id")
@click.pass_obj
def keys_drop(config_path: Path, *, key_id: str) -> None:
    """Delete a retired sealing key for good; vehicles then seal again to the key in use."""
    folder = load_config(config_path).sealing_keys
    _say(folder, drop(folder, key_id, now=SystemClock().utc_now()))


@keys.command("list")
@click.option("--json", "is_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_obj
def keys_list(config_path: Path, *, is_json: bool) -> None:
    """List the keys that vehicles may know, and whether each opens here."""
    folder, now = load_config(config_path).sealing_keys, SystemClock().utc_now()
    document = read_document(folder)
    rows: list[dict[str, object]] = [
        {
            "key_id": entry.key_id,
            "for": entry.purpose,
            "kem": entry.kem,
            "not_before": entry.not_before.isoformat(),
            "not_after": entry.not_after.isoformat(),
            "is_valid": entry.is_valid(now),
            "opens": key_file(folder, entry).exists(),
        }
        for entry in (document.sealing if document else ())
    ]
    rows += [
        {
            "key_id": entry.key_id,
            "for": "receipts",
            "kem": None,
            "not_before": entry.not_before.isoformat(),
            "not_after": entry.not_after.isoformat(),
            "is_valid": entry.is_valid(now),
            "opens": None,
        }
        for entry in (document.receipts if document else ())
    ]
    if is_json:
        found = {"serial": document.serial if document else 0, "keys": rows}
        click.echo(json.dumps({"schema": "okdrive-ingest.keys.list/1"} | found, indent=2))
        return
    click.echo(f"{'KEY':<18}{'FOR':<13}{'KIND':<17}{'VALID UNTIL':<13}STATE")
    for row in rows:
        click.echo(
            f"{row['key_id']:<18}{row['for']:<13}{row['kem'] or 'ed25519':<17}"
            f"{str(row['not_after'])[:10]:<13}{_state(row)}"
        )


def _state(row: dict[str, object]) -> str:
    opens = "" if row["opens"] is not False else ", its private half is not here"
    return ("in use" if row["is_valid"] else "not valid now") + opens


def _say(folder: Path, document: KeySet) -> None:
    path = folder / DOCUMENT
    click.echo(
        f"{path}: serial {document.serial}, {len(document.sealing)} sealing keys,"
        f" {len(document.receipts)} receipt keys"
    )
    click.echo(_PUBLISH.format(path=path))
