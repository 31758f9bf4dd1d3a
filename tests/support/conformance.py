"""What the public conformance suite does to a client, over our own repositories: serve and run."""

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.repository_simulator import VEHICLE, RepositorySimulator

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ROOT / "tests" / "conformance"


@dataclass
class Trial:
    """One client script, its folders, and the repositories that are served to it.

    ``requests`` counts what was asked, by the path behind the repository's own.
    """

    simulator: RepositorySimulator
    script: Path
    folder: Path
    port: int
    requests: Counter[str] = field(default_factory=Counter)
    said: str = ""

    @property
    def metadata(self) -> Path:
        """Return where the client keeps what it trusts."""
        return self.folder / "metadata"

    @property
    def targets(self) -> Path:
        """Return where the client puts what it downloads."""
        return self.folder / "targets"

    def publish(self) -> None:
        """Serve what the simulator holds now."""
        self.simulator.dump(self.folder / "site")

    def init(self) -> int:
        """Run ``init`` with the repository's first root; return the exit code."""
        self.publish()
        self.metadata.mkdir()
        self.targets.mkdir()
        name = "director" if self._is_director else "image"
        return self._run("init", str(self.folder / "site" / "roots" / f"{name}.json"))

    def refresh(self) -> int:
        """Run ``refresh`` against what is served; return the exit code."""
        self.publish()
        return self._run("--metadata-url", self._url("metadata"), "refresh")

    def download(self, *targets: str) -> int:
        """Run ``download`` of ``targets``, by their names; return the exit code."""
        self.publish()
        names = [word for target in targets for word in ("--target-name", target)]
        where = ["--target-base-url", self._targets_url, "--target-dir", str(self.targets)]
        return self._run("--metadata-url", self._url("metadata"), *names, *where, "download")

    @property
    def _is_director(self) -> bool:
        return self.script.name.endswith("director")

    @property
    def _targets_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/image/targets/"

    def _url(self, kind: str) -> str:
        repository = f"director/{VEHICLE}" if self._is_director else "image"
        return f"http://127.0.0.1:{self.port}/{repository}/{kind}/"

    def _run(self, *arguments: str) -> int:
        command = [str(self.script), "--metadata-dir", str(self.metadata), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        self.said = done.stderr
        return done.returncode


@contextmanager
def on_trial(simulator: RepositorySimulator, script: Path, folder: Path) -> Iterator[Trial]:
    """Serve ``simulator`` on loopback for ``script``; what both keep is below ``folder``."""
    (folder / "site").mkdir(parents=True)
    requests: Counter[str] = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            requests[self.path.rpartition("/")[2]] += 1
            super().do_GET()

        def log_message(self, *_args: object) -> None:
            return

    handler = partial(Handler, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Trial(simulator, script, folder, server.server_port, requests)
        finally:
            server.shutdown()
            thread.join()
