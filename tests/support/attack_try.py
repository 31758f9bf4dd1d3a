"""Try the vehicle's verifier and downloader on an attack that was written as files.

``python -m tests.support.attack_try DUMP`` looks at ``DUMP/before`` as a vehicle does, then at
``DUMP/after``, and prints the code of the refusal, or ``accepted``. Exit code 0 if that is what
``DUMP/attack.json`` says, 1 if not. Any folder of that shape will do, whoever has written it::

    roots/{director,image}.json          what is shipped with the vehicle
    director/<vehicle>/metadata/...      image/metadata/...      image/targets/...
    attack.json    {"vehicle": id, "ecus": [{"ecu_id", "hardware_id", "name"}],
                    "code": code or null, "now": ISO time, may be left out}
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from ota.client.download import Downloader
from ota.client.floor import Floor
from ota.client.folder import SCHEME, FolderFetcher
from ota.client.offer import Ecu
from ota.client.repository import RepositoryAddress
from ota.client.timekeeper import BatteryTime, TimeKeeper
from ota.client.verifier import Verifier
from ota.errors import OtaError
from ota.metadata.custom import Kind
from tests.support.clock import FakeClock


def main(arguments: Sequence[str] | None = None) -> int:
    """Try one dump; return 0 if it met its code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.attack_try", description="Try an attack written as files."
    )
    parser.add_argument("dump", type=Path)
    dump = parser.parse_args(arguments).dump
    told = json.loads((dump / "attack.json").read_text())
    with tempfile.TemporaryDirectory() as kept:
        first = look(dump / "before", told, Path(kept))
        met = look(dump / "after", told, Path(kept))
    sys.stdout.write(f"{met or 'accepted'}\n")
    if first is not None:
        sys.stderr.write(f"already before the attack: {first}\n")
    return int(met != told["code"])


def look(site: Path, told: dict[str, Any], kept: Path) -> str | None:
    """Verify ``site`` and download what it offers; return the code of a refusal."""
    clock = FakeClock(
        datetime.fromisoformat(told["now"]) if "now" in told else SystemClock().utc_now()
    )
    fetcher, floor = FolderFetcher(site), Floor(kept / "floor.sqlite")
    roots = {name: (site / "roots" / f"{name}.json").read_bytes() for name in ("director", "image")}
    verifier = Verifier(
        vehicle=told["vehicle"],
        ecus=[Ecu(kind=Kind.APP, **ecu) for ecu in told["ecus"]],
        director=RepositoryAddress(
            metadata_url=f"{SCHEME}director/{told['vehicle']}/metadata/", root=roots["director"]
        ),
        image=RepositoryAddress(metadata_url=f"{SCHEME}image/metadata/", root=roots["image"]),
        folder=kept / "metadata",
        fetcher=fetcher,
        floor=floor,
        time=TimeKeeper(clock, [BatteryTime(clock)], floor),
        running=lambda _name: None,
    )
    downloader = Downloader(
        fetcher,
        targets_url=f"{SCHEME}image/targets/",
        folder=kept / "images",
        on_progress=lambda _progress: None,
        clock=clock,
    )
    try:
        for offer in verifier.check():
            downloader.download(offer).unlink()
    except OtaError as error:
        return error.code
    return None


if __name__ == "__main__":
    sys.exit(main())
