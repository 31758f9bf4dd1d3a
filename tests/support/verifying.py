"""Cases of the verifier that need more than one attack: a clock, a power cut, another vehicle.

Each is a function of a folder and returns the code of the refusal, or None if all is accepted.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from ota.client.floor import Floor
from ota.client.timekeeper import Witness
from ota.errors import OtaError
from tests.support.attacks import DIGEST, PACKAGE, Attack, prepare
from tests.support.clock import FakeClock
from tests.support.legacy_vectors import LEGACY_VECTORS
from tests.support.own_attacks import OWN_ATTACKS
from tests.support.packages import make_package
from tests.support.repository_simulator import ECU, VEHICLE, RepositorySimulator
from tests.support.stick_cases import STICK_CASES
from tests.support.update_client import make_verifier, verify_and_download

Case = Callable[[Path], str | None]
ATTACKS: Mapping[str, Attack] = LEGACY_VECTORS | OWN_ATTACKS


class Witnessed:
    """A time source that says what it is told to say."""

    def __init__(self, witness: Witness, utc: datetime | None = None) -> None:
        self.witness = witness
        self.utc = utc

    def read(self) -> datetime | None:
        return self.utc


def code_of(look: Callable[[], object]) -> str | None:
    """Return the code by which ``look`` is refused; None if it is not."""
    try:
        look()
    except OtaError as error:
        return error.code
    return None


def run_case(name: str, folder: Path) -> str | None:
    """Run the case or the attack ``name`` in the empty ``folder``; return the code it met."""
    if name in CASES:
        return CASES[name][0](folder)
    attack, simulator = ATTACKS[name], prepare()
    attack.before(simulator)
    for image in verify_and_download(simulator, folder):
        image.unlink()
    attack.run(simulator)
    return code_of(lambda: verify_and_download(simulator, folder))


def expected_code(name: str) -> str | None:
    """Return the code that the case or the attack ``name`` must meet."""
    return CASES[name][1] if name in CASES else ATTACKS[name].code


def foreign_set_then_own(folder: Path) -> str | None:
    """Another vehicle's v900, then our own v6."""
    simulator = prepare()
    make_verifier(simulator, folder).check()
    ours, director = dict(simulator.director.files), simulator.director
    director.vehicle = "vehicle-b"
    director.versions = dict.fromkeys(director.versions, 899)
    director.publish()
    code_of(make_verifier(simulator, folder).check)
    director.files, director.vehicle = ours, VEHICLE
    director.versions = dict.fromkeys(director.versions, 5)
    director.publish()
    return code_of(make_verifier(simulator, folder).check)


def _emptied(folder: Path, simulator: RepositorySimulator, name: str) -> None:
    make_verifier(simulator, folder).check()
    for path in (folder / "metadata" / name).glob("*.json"):
        if path.name != "root.json":
            path.write_bytes(b"")


def rolled_back_after_a_power_cut(folder: Path) -> str | None:
    """Metadata files that a power cut has emptied, then older roles."""
    simulator = prepare()
    simulator.image.publish()
    _emptied(folder, simulator, "image")
    simulator.image.versions = dict.fromkeys(simulator.image.versions, 1)
    simulator.image.sign_all()
    return code_of(make_verifier(simulator, folder).check)


def older_timestamp_under_one_more_key(folder: Path) -> str | None:
    """An older timestamp after a power cut, signed by the old key and by a new one beside it."""
    simulator = prepare()
    simulator.image.publish()
    _emptied(folder, simulator, "image")
    simulator.image.raise_threshold("timestamp")
    simulator.image.versions["timestamp"] = 1
    simulator.image.sign_all()
    return code_of(make_verifier(simulator, folder).check)


def recovered_by_a_new_root(folder: Path) -> str | None:
    """A timestamp that jumped ahead, emptied files, and new keys for an honest one."""
    simulator = prepare()
    simulator.image.versions["timestamp"] = 2_000_000
    simulator.image.publish()
    _emptied(folder, simulator, "image")
    simulator.image.replace_keys("timestamp")
    simulator.image.versions["timestamp"] = 10
    simulator.image.publish()
    return code_of(make_verifier(simulator, folder).check)


def expired_by_our_clock(folder: Path) -> str | None:
    """The vehicle's own clock is past the expiry, whatever the system's says."""
    simulator = prepare()
    make_verifier(simulator, folder).check()
    clock = FakeClock(simulator.now + timedelta(days=31))
    return code_of(make_verifier(simulator, folder, clock=clock).check)


def delegated_and_expired_by_our_clock(folder: Path) -> str | None:
    """A delegated role that has expired by the vehicle's own clock."""
    simulator = prepare()
    simulator.image.delegate("apps").expires = simulator.now + timedelta(days=2)
    simulator.image.hand_over("apps")
    clock = FakeClock(simulator.now + timedelta(days=3))
    return code_of(make_verifier(simulator, folder, clock=clock).check)


def frozen_while_the_clock_stood_still(folder: Path) -> str | None:
    """Only the Image repository's own time moves on."""
    simulator = prepare()
    make_verifier(simulator, folder).check()
    image = simulator.image
    image.now = simulator.now + timedelta(days=40)
    image.expires = dict.fromkeys(image.expires, image.now + timedelta(days=30))
    image.publish_root()
    image.publish()
    return code_of(make_verifier(simulator, folder, clock=FakeClock(simulator.now)).check)


def freed_by_a_new_root(folder: Path) -> str | None:
    """A stolen timestamp key has moved the time; a new root ends that."""
    simulator = prepare()
    image, honest = simulator.image, simulator.now
    make_verifier(simulator, folder).check()
    image.now = image.expires["root"] - timedelta(seconds=1)
    image.publish()
    make_verifier(simulator, folder).check()
    image.now, image.expires["timestamp"] = honest, honest + timedelta(days=1)
    image.replace_keys("timestamp")
    image.publish()
    return code_of(make_verifier(simulator, folder).check)


def from_a_future_that_nts_denies(folder: Path) -> str | None:
    """A Timestamp issued tomorrow, while NTS says that it is today."""
    simulator = prepare()
    nts = Witnessed(Witness.NTS, simulator.now)
    make_verifier(simulator, folder, time_sources=[nts]).check()
    simulator.image.now += timedelta(days=1)
    simulator.image.publish()
    return code_of(make_verifier(simulator, folder, time_sources=[nts]).check)


def below_the_committed_counter(folder: Path) -> str | None:
    """An older release than the one that was committed."""
    Floor(folder / "floor.sqlite").raise_release_counter(ECU.ecu_id, 2)
    return code_of(make_verifier(prepare(), folder).check)


def taken_back_and_offered_again(folder: Path) -> str | None:
    """Running 1.0.0; released anew as counter 3; then 1.1.0 of counter 2 once more."""
    simulator = RepositorySimulator()
    running = {ECU.name: dict(_hashes())}
    simulator.release(PACKAGE, "1.0.0", counter=3)
    make_verifier(simulator, folder, running=running).check()
    simulator.release(make_package(version="1.1.0"), "1.1.0", counter=2)
    return code_of(make_verifier(simulator, folder, running=running).check)


def _hashes() -> Mapping[str, str]:
    return next(iter(prepare().image.targets.values())).hashes


def conflicting_with_what_runs(folder: Path) -> str | None:
    """An image that must not be beside the app of another ECU."""
    simulator = prepare()
    for file in simulator.image.targets.values():
        file.custom["conflicts"] = ["horn"]
    simulator.image.publish()
    other = type(ECU)(ecu_id="ecu-2", hardware_id="board-2", kind=ECU.kind, name="horn")
    Floor(folder / "floor.sqlite").raise_release_counter("ecu-2", 1)
    return code_of(make_verifier(simulator, folder, ecus=(ECU, other)).check)


def image_changed_on_the_server_without_pieces(folder: Path) -> str | None:
    """One byte of an image that has no list of pieces."""
    simulator = prepare()
    for file in simulator.image.targets.values():
        del file.custom["chunks"]
    simulator.image.publish()
    simulator.images[DIGEST] = bytes([PACKAGE[0] ^ 1]) + PACKAGE[1:]
    return code_of(lambda: verify_and_download(simulator, folder))


CASES: Mapping[str, tuple[Case, str | None]] = {
    "another vehicle's v900, then our own v6": (foreign_set_then_own, None),
    "older roles after a power cut emptied the files": (
        rolled_back_after_a_power_cut,
        "ota.repository.rollback",
    ),
    "an older timestamp under one more key, after a power cut": (
        older_timestamp_under_one_more_key,
        "ota.repository.rollback",
    ),
    "new keys after a fast-forward and a power cut": (recovered_by_a_new_root, None),
    "expired by the vehicle's own clock": (expired_by_our_clock, "ota.repository.freeze"),
    "a delegated role expired by the vehicle's own clock": (
        delegated_and_expired_by_our_clock,
        "ota.repository.freeze",
    ),
    "a Director frozen while the clock stood still": (
        frozen_while_the_clock_stood_still,
        "ota.repository.freeze",
    ),
    "a new root after a stolen timestamp key moved the time": (freed_by_a_new_root, None),
    "a timestamp from a future that NTS denies": (
        from_a_future_that_nts_denies,
        "ota.repository.future",
    ),
    "a release below the committed counter": (
        below_the_committed_counter,
        "ota.repository.release_counter",
    ),
    "a release that was taken back, offered again": (
        taken_back_and_offered_again,
        "ota.repository.release_counter",
    ),
    "an image in conflict with what runs": (
        conflicting_with_what_runs,
        "ota.repository.conflict",
    ),
    "one byte of an image without pieces": (
        image_changed_on_the_server_without_pieces,
        "ota.repository.hash_mismatch",
    ),
    **STICK_CASES,
}
