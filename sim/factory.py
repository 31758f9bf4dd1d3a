"""What the factory did before the story begins: an app that is already in the vehicle."""

from pathlib import Path

from ota.client.floor import Floor
from ota.client.installers.app import AppInstaller
from ota.client.installers.process import OtherUser, UserAppRunner
from ota.client.offer import Offer
from ota.client.watch import Watch
from ota.metadata.models import target_name
from ota.publisher.package import build_package
from ota.publisher.release import RELEASE_NAME, image_custom, load_release


def install_at_factory(spec_dir: Path, *, state_dir: Path, ecu_id: str, app_user: str) -> str:
    """Build the package of ``spec_dir`` and install it below ``state_dir``; return its version.

    The installer is the vehicle's own, the app's check included; only the metadata is missing,
    because a factory does not download.

    Raises:
        InstallError: The app is not well, or cannot run as ``app_user``.
    """
    update = state_dir / "update"
    update.mkdir(parents=True, exist_ok=True)
    package = update / "factory.okp"
    info = build_package(spec_dir, package)
    custom = image_custom(load_release(spec_dir / RELEASE_NAME), info)
    offer = Offer(
        content_hash=info.sha256,
        ecu_id=ecu_id,
        target=target_name(custom.name, custom.version, custom.kind),
        length=info.length,
        hashes={"sha256": info.sha256},
        custom=custom,
    )
    runner = UserAppRunner(OtherUser(app_user))
    try:
        installer = AppInstaller(state_dir / "apps", runner, settle_s=0.5)
        watch = Watch()
        installer.prepare(package, offer, watch)
        installer.switch(offer)
        installer.check(offer, watch)
        installer.commit(offer)
    finally:
        runner.stop_all()
        package.unlink()
    Floor(update / "floor.sqlite").raise_release_counter(ecu_id, custom.release_counter)
    return custom.version
