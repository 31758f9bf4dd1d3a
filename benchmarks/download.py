"""The download's budgets, beside python-tuf's ``download_target`` in the same run.

Everything goes through real TLS with client certificates on loopback, and onto the disk that the
system's temporary folder is on (not a tmpfs: that writes nothing). ``write_bytes`` are the
kernel's; memory is the peak of the process's resident set, reset before the download.
"""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner

from agent.clock import SystemClock
from benchmarks.download_child import describe_file
from benchmarks.result import Result
from ota.publisher.roles import ROLES, new_root, sign
from sim.pki import Authority

MIB = 1_048_576
MID, LARGE = 100 * MIB, 1_024 * MIB
_PATIENCE_S = 600.0
_LOOK_S = 65  # at what is never given up


def measure(*, quick: bool = False) -> list[Result]:
    """Measure writes, resume, memory and the slow server; three minutes, 2.2 GB of disk."""
    mid, large = (8 * MIB, 8 * MIB) if quick else (MID, LARGE)
    with _bench(mid) as folder:
        ours, peer = _run("ours", folder), _run("tuf", folder)
        results = [_written(ours, peer, mid)]
    with _bench(mid) as folder:
        found = [_kill_and_go_on(folder, what, mid) for what in ("ours", "tuf")]
        results.append(_resumed(*found))
    with _bench(large) as folder:
        ours = _run("ours", folder)
        (folder / "images").rename(folder / "done")
        results.append(_memory(ours, _run("tuf", folder)))
    if not quick:  # it is a matter of waiting
        with _bench(mid) as folder:
            results.append(_slow(_run("slow", folder), _seconds_before_giving_up(folder)))
    return results


def _written(ours: dict[str, Any], peer: dict[str, Any], length: int) -> Result:
    value, other = ours["written"] / length, peer["written"] / length
    return Result(
        name="download: written / size, 100 MiB (peer: python-tuf)",
        value=value,
        unit="x",
        peer=other,
        ratio=None,
        must=1.05,
        aim=1.02,
        ok=value <= 1.05,  # noqa: PLR2004 (the design's budget)
    )


def _kill_and_go_on(folder: Path, what: str, length: int) -> dict[str, Any]:
    """Kill a download at half of its bytes and let another process go on; its bytes alone count."""
    before = _sent(folder)
    with _child(what, folder) as process:
        _wait(lambda: _sent(folder) - before >= length // 2)
        process.send_signal(signal.SIGKILL)
    again = _run(what, folder)
    return again | {"again": again["sent"] - before - length}


def _resumed(ours: dict[str, Any], peer: dict[str, Any]) -> Result:
    what = "fetched again after SIGKILL at 50 % of 100 MiB"
    return _at_most(what, ours, peer, of="again", must_mib=4.0, aim_mib=1.0)


def _memory(ours: dict[str, Any], peer: dict[str, Any]) -> Result:
    what = "resident set grown by 1 GiB"
    return _at_most(what, ours, peer, of="grown_bytes", must_mib=24.0, aim_mib=8.0)


def _at_most(  # noqa: PLR0913 (one row of the table)
    what: str,
    ours: dict[str, Any],
    peer: dict[str, Any],
    *,
    of: str,
    must_mib: float,
    aim_mib: float,
) -> Result:
    """Return the row of a figure of a download that ended well; smaller is better."""
    value = ours[of] / MIB
    return Result(
        name=f"download: {what} (peer: python-tuf)",
        value=value,
        unit="MiB",
        peer=peer[of] / MIB,
        ratio=None,
        must=must_mib,
        aim=aim_mib,
        ok=ours["code"] is None and value <= must_mib,
    )


def _seconds_before_giving_up(folder: Path) -> float:
    """Return how long python-tuf stays with a server of 2 bytes/s; looked at for _LOOK_S only."""
    began_s = time.monotonic()
    with _child("tuf-slow", folder) as process, contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LOOK_S)
    return time.monotonic() - began_s


def _slow(found: dict[str, Any], peer_s: float) -> Result:
    is_named = found["code"] == "ota.download.slow_retrieval"
    return Result(
        name=f"download: a server of 2 bytes/s is given up (python-tuf: watched {_LOOK_S} s)",
        value=found["seconds"],
        unit="s",
        peer=peer_s,
        ratio=None,
        must=60.0,
        aim=None,
        ok=is_named and found["seconds"] <= 60,  # noqa: PLR2004 (the design's budget)
    )


@contextmanager
def _bench(length: int) -> Iterator[Path]:
    """Yield a folder with a running server of a file of ``length`` bytes."""
    with tempfile.TemporaryDirectory(prefix="okdrive-bench-") as name:
        folder = Path(name)
        _prepare(folder, length)
        with _child("serve", folder) as server:
            _wait((folder / "port").exists)
            yield folder
            server.terminate()


def _prepare(folder: Path, length: int) -> None:
    now = SystemClock().utc_now()
    authority = Authority.create(folder / "pki", name="benchmark", now=now)
    server = authority.issue_server("server", hosts=("127.0.0.1",), now=now)
    client = authority.issue_client("vehicle", now=now)
    sha256, chunks = describe_file(length)
    setting = {
        "length": length,
        "sha256": sha256,
        "chunks": chunks.hex(),
        "ca": str(client.ca_file),
        "cert": str(client.cert_file),
        "key": str(client.key_file),
        "server_cert": str(server.cert_file),
        "server_key": str(server.key_file),
    }
    (folder / "setting.json").write_text(json.dumps(setting))
    signers = {role: [CryptoSigner.generate_ed25519()] for role in ROLES}
    keys = {role: [signer.public_key for signer in each] for role, each in signers.items()}
    root = new_root(keys, expires=now + timedelta(days=1))
    (folder / "root.json").write_bytes(sign(root, signers["root"]))
    (folder / "metadata").mkdir()


def _sent(folder: Path) -> int:
    """Return how many bytes of the file the server has sent by now."""
    counted = folder / "sent"
    return int(counted.read_text() or 0) if counted.exists() else 0


def _run(what: str, folder: Path) -> dict[str, Any]:
    with _child(what, folder) as process:
        said, _ = process.communicate(timeout=_PATIENCE_S)
    found: dict[str, Any] = json.loads(said)
    return found


@contextmanager
def _child(what: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "benchmarks.download_child", what, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 (ourselves)
        try:
            yield process
        finally:
            process.kill()


def _wait(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > end_s:
            raise TimeoutError("the benchmark's other process did not answer")
        time.sleep(0.002)


if __name__ == "__main__":
    for result in measure():
        print(result)
