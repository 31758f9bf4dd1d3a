"""The update client, put together from its settings: what the agent opens and drives."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ota.client.documents import Documents, Take
from ota.client.download import Downloader
from ota.client.engine import UpdateEngine
from ota.client.fetch import HttpsFetcher, HttpsSettings
from ota.client.floor import Floor
from ota.client.history import HISTORY_NAME, History
from ota.client.installers.app import AppInstaller
from ota.client.installers.door import Installers
from ota.client.installers.leftovers import RunningFile
from ota.client.installers.process import OtherUser, UserAppRunner
from ota.client.journal import Journal, JournalEntry
from ota.client.offer import Ecu
from ota.client.offline import OfflineVerifier
from ota.client.pace import DataUse, unlimited
from ota.client.ports import AppRunner, Clock, Fetcher
from ota.client.report import Reporter, load_ecu_signer
from ota.client.repository import RepositoryAddress
from ota.client.stick import StickFetcher, StickFile, StickOrNetwork
from ota.client.timekeeper import BatteryTime, TimeKeeper, TimeSource
from ota.client.transfer import Progress
from ota.client.verifier import Verifier
from ota.client.watch import Watch
from ota.client.wishes import WISHES_NAME, Wishes
from ota.client.workflow import Gates, Situation, UpdateSteps
from ota.errors import InstallError
from ota.metadata.custom import Kind
from ota.metadata.manifest import Installed

log = logging.getLogger(__name__)


NO_DOCUMENTS: Mapping[str, Take] = MappingProxyType({})


class RootMissingError(InstallError):
    """The trusted root that was shipped with the vehicle cannot be read."""

    code = "ota.install.root_missing"
    advice = "Restore the root.json files named in the configuration."


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSettings:
    """Who this vehicle is, where its updates come from, and where they are kept.

    ``director_url`` and ``image_url`` are without a final slash, the Director's without the vehicle
    id. ``folder`` holds journal, floor, metadata and images; ``apps`` the installed versions.
    """

    vehicle: str
    primary_ecu: str
    ecus: tuple[Ecu, ...]
    director_url: str
    image_url: str
    director_root: Path
    image_root: Path
    ecu_key: Path
    folder: Path
    apps: Path
    settle_s: float = 3.0


class UpdateClient:
    """One vehicle's updates: an engine, what it works with, and what a person may ask.

    ``entry`` (the journal's, as last seen), ``situation`` and ``progress`` are for looking at; the
    journal on the disk alone decides what happens.
    """

    def __init__(  # noqa: PLR0913 (the doors of the client, all by name)
        self,
        settings: UpdateSettings,
        *,
        fetcher: Fetcher,
        runner: AppRunner,
        clock: Clock,
        gates: Gates,
        data_use: Callable[[], DataUse] = unlimited,
        time_sources: Sequence[TimeSource] | None = None,
        documents: Mapping[str, Take] = NO_DOCUMENTS,
    ) -> None:
        """Put the parts together; read the roots and the ECU key. Blocks.

        ``time_sources`` know the time (None: ``clock`` has a battery); until one of them does, what
        is offered is verified and downloaded, but not installed. ``documents`` say by name who uses
        a signed document.

        Raises:
            InstallError: A root or the key cannot be read.
        """
        self.ecus = settings.ecus
        self.entry = JournalEntry()
        self.progress: Progress | None = None
        self._wishes = Wishes(settings.folder / WISHES_NAME)
        floor = Floor(settings.folder / "floor.sqlite")
        sources = [BatteryTime(clock)] if time_sources is None else time_sources
        self.time = TimeKeeper(clock, sources, floor)
        self._apps = AppInstaller(settings.apps, runner, settle_s=settings.settle_s)
        self._installers = Installers(
            {Kind.APP: self._apps, Kind.EMBEDDED: self._apps}, settings.ecus
        )
        self.stick = StickFile(settings.folder)
        targets_url = f"{settings.image_url}/targets/"
        downloader = Downloader(
            StickFetcher(fetcher, self.stick, targets_url=targets_url),
            targets_url=targets_url,
            folder=settings.folder / "images",
            on_progress=self._note_progress,
            clock=clock,
            data_use=lambda: data_use() if self.stick.read() is None else unlimited(),
        )
        self.stop_download = downloader.stop
        self._reporter = _reporter(
            settings,
            fetcher=fetcher,
            floor=floor,
            clock=self.time,
            installers=self._installers,
            wishes=self._wishes,
        )
        self._steps = UpdateSteps(
            ecus=settings.ecus,
            verifier=_source(
                settings,
                fetcher,
                floor=floor,
                time=self.time,
                installer=self._apps,
                stick=self.stick,
                takers=documents,
            ),
            downloader=downloader,
            installers=self._installers,
            reporter=self._reporter,
            floor=floor,
            history=History(settings.folder / HISTORY_NAME),
            wishes=self._wishes,
            gates=gates,
            clock=self.time,
            is_clock_set=self.time.is_known,
        )
        journal = Journal(settings.folder / "journal")
        self.engine = UpdateEngine(journal, self._steps, self._note_entry)

    @property
    def watch(self) -> Watch:
        """Return what ends a step that runs; may be used from any thread."""
        return self._steps.watch

    @property
    def is_reached(self) -> bool | None:
        """Return whether the last check reached the repositories; None before the first."""
        return self._steps.is_reached

    @property
    def situation(self) -> Situation:
        """Return why the update waits, as far as a person may want to know."""
        return self._steps.situation

    async def start_apps(self) -> None:
        """Start the current version of every app that is down.

        Raises:
            InstallError: One cannot be started.
        """
        for ecu in self.ecus:
            await asyncio.to_thread(self._apps.start, ecu.name)

    async def installed(self) -> dict[str, Installed | None]:
        """Return what each ECU runs, by ECU id; raise InstallError if a record is unreadable."""
        return {
            ecu.ecu_id: await asyncio.to_thread(self._installers.installed, ecu)
            for ecu in self.ecus
        }

    async def wishes(self) -> dict[str, bool]:
        """Return what was said about downloadable apps, by name."""
        return await asyncio.to_thread(self._wishes.read)

    async def wish(self, name: str, *, is_wanted: bool) -> None:
        """Remember whether the downloadable app ``name`` is wanted; one that is not is removed.

        Nothing may be under way. The wish first: an app that was removed half-way is not offered.

        Raises:
            InstallError: The disk did not take it; say it again.
        """
        await asyncio.to_thread(self._wishes.set, name, is_wanted=is_wanted)
        if not is_wanted:
            await asyncio.to_thread(self._apps.remove, name)

    async def signed_manifest(self) -> bytes:
        """Return what the Director would be told now, signed: for whoever carries it there.

        It stays to be told over the network, too: nobody has accepted it yet.

        Raises:
            InstallError: The floor or the record of what is installed cannot be read.
        """
        return await asyncio.to_thread(self._reporter.signed, await self.engine.read())

    async def advance(self) -> JournalEntry:
        """Run until a step has to wait; return the entry it waits in. See ``UpdateEngine``."""
        try:
            return await self.engine.run_until_waiting()
        finally:
            self.progress = None

    def _note_entry(self, entry: JournalEntry) -> None:
        self.entry = entry

    def _note_progress(self, progress: Progress) -> None:
        self.progress = progress


def open_client(  # noqa: PLR0913 (what the vehicle hands in, all by name)
    settings: UpdateSettings,
    tls: HttpsSettings,
    *,
    app_user: str,
    clock: Clock,
    gates: Gates,
    data_use: Callable[[], DataUse] = unlimited,
    time_sources: Sequence[TimeSource] | None = None,
    documents: Mapping[str, Take] = NO_DOCUMENTS,
) -> tuple[UpdateClient, Callable[[], None]]:
    """Return the client over HTTPS with apps under ``app_user``, and what closes it. Blocks.

    Closing stops the apps and the connections, and blocks as well.

    Raises:
        DownloadError: Certificates or their key cannot be used.
        InstallError: A root, the ECU key or the user cannot be used.
    """
    remembered = RunningFile(settings.folder / "running.json")
    user = OtherUser(app_user)
    if not user.has_own_network:
        log.warning("apps_share_network", extra={"user": app_user})
    runner = UserAppRunner(user, remembered)
    fetcher = HttpsFetcher(tls, clock)
    client = UpdateClient(
        settings,
        fetcher=fetcher,
        runner=runner,
        clock=clock,
        gates=gates,
        data_use=data_use,
        time_sources=time_sources,
        documents=documents,
    )

    def close() -> None:
        client.stop_download()
        runner.stop_all()
        fetcher.close()

    return client, close


def _source(  # noqa: PLR0913 (the doors of one decision, all by name)
    settings: UpdateSettings,
    fetcher: Fetcher,
    *,
    floor: Floor,
    time: TimeKeeper,
    installer: AppInstaller,
    stick: StickFile,
    takers: Mapping[str, Take],
) -> StickOrNetwork:
    def running(name: str) -> dict[str, str] | None:
        installed = installer.installed(name)
        return None if installed is None else installed.hashes

    director, image = _read(settings.director_root), _read(settings.image_root)
    director_url = f"{settings.director_url}/{settings.vehicle}/metadata/"
    network = Verifier(
        vehicle=settings.vehicle,
        ecus=settings.ecus,
        director=RepositoryAddress(metadata_url=director_url, root=director),
        image=RepositoryAddress(metadata_url=f"{settings.image_url}/metadata/", root=image),
        folder=settings.folder / "metadata",
        fetcher=fetcher,
        floor=floor,
        time=time,
        running=running,
        documents=Documents(
            fetcher,
            targets_url=f"{settings.image_url}/targets/",
            folder=settings.folder / "documents",
            takers=takers,
        ),
    )
    offline = OfflineVerifier(
        ecus=settings.ecus,
        director_root=director,
        image_root=image,
        folder=settings.folder / "metadata" / "offline",
        floor=floor,
        time=time,
    )
    return StickOrNetwork(
        stick=stick,
        network=network,
        check_stick=offline.check,
        is_running=lambda offer: running(offer.name) == offer.hashes,
    )


def _reporter(  # noqa: PLR0913 (what a report needs, all by name)
    settings: UpdateSettings,
    *,
    fetcher: Fetcher,
    floor: Floor,
    clock: Clock,
    installers: Installers,
    wishes: Wishes,
) -> Reporter:
    return Reporter(
        vehicle=settings.vehicle,
        primary_ecu=settings.primary_ecu,
        ecus=settings.ecus,
        signer=load_ecu_signer(settings.ecu_key),
        url=f"{settings.director_url}/{settings.vehicle}/manifest",
        fetcher=fetcher,
        floor=floor,
        installers=installers,
        wishes=wishes,
        clock=clock,
    )


def _read(root: Path) -> bytes:
    try:
        return root.read_bytes()
    except OSError as error:
        raise RootMissingError(str(root), expected="a trusted root", got=str(error)) from error
