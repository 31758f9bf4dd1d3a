"""Where the agent keeps what, below its state folder."""

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Paths below ``root``, the state folder."""

    root: Path

    @property
    def state(self) -> Path:
        """Trips, offers, consents, ledger and outbox."""
        return self.root / "state.sqlite"

    @property
    def battery(self) -> Path:
        """The battery's local history."""
        return self.root / "battery.sqlite"

    @property
    def segments(self) -> Path:
        """One file of samples per trip."""
        return self.root / "segments"

    @property
    def ingest_keys(self) -> Path:
        """The newest set of ingest keys that came through the update chain."""
        return self.update / "documents" / "ingest-keys.json"

    @property
    def events(self) -> Path:
        """What was read around named moments, one file each."""
        return self.root / "events"

    @property
    def update(self) -> Path:
        """Journal, floor, metadata and images of the update client."""
        return self.root / "update"

    @property
    def apps(self) -> Path:
        """Installed apps."""
        return self.root / "apps"

    @property
    def run(self) -> Path:
        """What is true for this start only: sockets, the screen's address."""
        return self.root / "run"

    @property
    def vitals(self) -> Path:
        """What the running agent counts."""
        return self.run / "vitals.json"

    @property
    def control(self) -> Path:
        """The socket on which commands reach the daemon."""
        return self.run / "control.sock"

    @property
    def owner(self) -> Path:
        """The socket of the owner's read API."""
        return self.run / "owner.sock"

    @property
    def token(self) -> Path:
        """Who may talk to the screen in this boot; 0600."""
        return self.root / "screen.token"

    @property
    def desk(self) -> Path:
        """What the screen must not forget."""
        return self.root / "desk.json"

    @property
    def wipe(self) -> Path:
        """Is there while the drivers' data are being wiped."""
        return self.root / "wipe"

    @property
    def lock(self) -> Path:
        """Held by the one daemon of this folder."""
        return self.root / "agent.lock"

    def make(self) -> None:
        """Make the folders that everything else expects; what was true for a start is gone."""
        shutil.rmtree(self.run, ignore_errors=True)
        for folder in (self.root, self.segments, self.update, self.apps, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
