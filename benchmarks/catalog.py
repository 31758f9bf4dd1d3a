"""What can be measured: a line for each benchmark. Each is the module of its name."""

from dataclasses import dataclass
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark: ``about_s`` is what it takes on two quiet cores.

    ``needs``: the folder of the recordings without which it measures nothing; "" if it has data of
    its own.
    """

    name: str
    about: str
    about_s: int
    needs: str = ""


CATALOG = (
    Bench("wire_size", "bytes of real trips beside four other forms", 60, needs="trips"),
    Bench("decode", "frames to signals, beside cantools", 40),
    Bench("live_path", "read, decode, sessions, segments in real time", 35),
    Bench("recording", "bytes the disk writes for each byte of a segment", 30),
    Bench("agent_memory", "memory and processor time of the whole agent on a drive", 60),
    Bench("running", "start to first stored sample, status, a check for updates", 40),
    Bench("page", "the driver's page with all it needs", 15),
    Bench("ingest_rate", "trip batches opened, decoded and stored by one core", 40, needs="trips"),
    Bench("ingest_workers", "one and two receivers behind a broker", 45),
    Bench("director", "manifests in, signed metadata out", 20),
    Bench("download", "written, fetched again, memory; beside python-tuf", 200),
    Bench("extraction", "what unpacking an app writes, apart from its download", 15),
)
BENCHES = {bench.name: bench for bench in CATALOG}


def missing(bench: Bench, recordings: Path = RECORDINGS) -> str | None:
    """Return in a sentence what ``bench`` lacks to be measured here; None if nothing."""
    folder = recordings / bench.needs
    if not bench.needs or folder.is_dir():
        return None
    return (
        f"{bench.name} needs the recordings in ../shared/data/{bench.needs}, and they are not "
        "there; it was left out"
    )
