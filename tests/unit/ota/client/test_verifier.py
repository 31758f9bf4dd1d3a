"""Each attack is refused by its name, and leaves metadata and floor as they were."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tuf.api.metadata import DelegatedRole, Delegations, Signed, Targets

from ota.client.floor import Floor
from ota.client.offer import Ecu
from ota.client.verifier import Verifier
from ota.errors import FreezeError, OtaError, ReleaseCounterError, RollbackError
from ota.metadata.custom import Kind
from tests.support.clock import FakeClock
from tests.support.packages import make_package
from tests.support.repository_simulator import (
    ECU,
    VEHICLE,
    RepositorySimulator,
    endless,
    set_field,
)
from tests.support.update_client import make_verifier as new_verifier

PACKAGE = make_package()
OTHER_ECU = Ecu(ecu_id="ecu-2", hardware_id="board-2", kind=Kind.APP, name="horn")
DIRECTOR = f"director/{VEHICLE}/metadata"


@pytest.fixture
def simulator() -> RepositorySimulator:
    made = RepositorySimulator()
    made.release(PACKAGE, "1.0.0", counter=1)
    return made


def make_verifier(
    simulator: RepositorySimulator, folder: Path, clock: FakeClock | None = None
) -> Verifier:
    return new_verifier(simulator, folder, clock=clock, ecus=(ECU, OTHER_ECU))


def read_all(folder: Path) -> dict[str, bytes]:
    """Return every file below ``folder``: what a refusal must leave alone."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_both_repositories_agree_on_is_offered(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    (offer,) = make_verifier(simulator, tmp_path).check()
    assert (offer.ecu_id, offer.name, offer.version) == ("ecu-1", "trip-light", "1.0.0")
    assert (offer.length, offer.release_counter) == (len(PACKAGE), 1)
    assert set(offer.hashes) == {"sha256", "sha512"}
    assert offer.content_hash == offer.hashes["sha256"]


def test_a_second_check_with_nothing_new_fetches_only_timestamps_and_the_next_roots(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    verifier = make_verifier(simulator, tmp_path)
    verifier.check()
    simulator.fetched.clear()
    verifier.check()
    assert set(simulator.fetched) == {
        f"{DIRECTOR}/2.root.json",
        f"{DIRECTOR}/timestamp.json",
        "image/metadata/2.root.json",
        "image/metadata/timestamp.json",
    }


def read_floor(folder: Path) -> dict[tuple[str, str], int]:
    """Return the lowest version still accepted of each role of each repository."""
    with closing(sqlite3.connect(folder / "floor.sqlite")) as database:
        rows = database.execute("SELECT repository, name, version FROM role").fetchall()
    return {(repository, name): version for repository, name, version in rows}


# --- the table of attacks ----------------------------------------------------------------------


def reassign(simulator: RepositorySimulator, ecus: dict[str, str]) -> None:
    simulator.assign("1.0.0", counter=1, ecus=ecus)


def delegate(role: Signed) -> None:
    assert isinstance(role, Targets)
    helper = DelegatedRole("helper", [], 1, terminating=False, paths=["*"])
    role.delegations = Delegations({}, {"helper": helper})


def with_director(edit: Callable[[Targets], None]) -> Callable[[RepositorySimulator], None]:
    def attack(simulator: RepositorySimulator) -> None:
        def on_targets(role: Signed) -> None:
            assert isinstance(role, Targets)
            edit(role)

        simulator.director.edits["targets"] = on_targets
        simulator.director.publish()

    return attack


def first(role: Targets, **fields: object) -> None:
    target = next(iter(role.targets.values()))
    for name, value in fields.items():
        setattr(target, name, value)


def add_second_target_for_the_same_ecu(simulator: RepositorySimulator) -> None:
    simulator.put_image(make_package(version="1.1.0"), "1.1.0", counter=2)
    before = dict(simulator.director.targets)
    simulator.assign("1.1.0", counter=2)
    simulator.director.targets |= before
    simulator.director.publish()


def serve_endless(name: str) -> Callable[[RepositorySimulator], None]:
    def attack(simulator: RepositorySimulator) -> None:
        simulator.bodies[name] = endless

    return attack


def rename_to_traversal(role: Targets) -> None:
    path, target = next(iter(role.targets.items()))
    del role.targets[path]
    target.path = "app/../../../etc/x.okp"
    role.targets[target.path] = target


def only_below_threshold(simulator: RepositorySimulator) -> None:
    simulator.image.drop_signature("targets")


def forget_in_image(simulator: RepositorySimulator) -> None:
    simulator.image.targets.clear()
    simulator.image.publish()


def foreign_release_fields(simulator: RepositorySimulator) -> None:
    simulator.image.targets.clear()
    simulator.put_image(PACKAGE, "1.0.0", counter=1, kind_name="horn")
    simulator.director.publish()


def other_counter(simulator: RepositorySimulator) -> None:
    simulator.assign("1.0.0", counter=9)


def image_for_other_hardware(simulator: RepositorySimulator) -> None:
    simulator.image.targets.clear()
    simulator.put_image(PACKAGE, "1.0.0", counter=1, hardware_ids=("board-9",))
    simulator.director.publish()


def swap_snapshot(simulator: RepositorySimulator) -> None:
    """Serve an honest but older snapshot under the name of the newer one."""
    files = simulator.image.files
    old = files[simulator.image.current("snapshot")]
    simulator.image.publish()
    files[simulator.image.current("snapshot")] = old


def swap_targets(simulator: RepositorySimulator) -> None:
    files = simulator.image.files
    old = files[simulator.image.current("targets")]
    simulator.image.publish()
    files[simulator.image.current("targets")] = old


ATTACKS: dict[str, tuple[Callable[[RepositorySimulator], None], str]] = {
    "the director's timestamp is tampered with": (
        lambda s: (s.director.publish(), s.director.tamper("timestamp.json"))[0],
        "ota.repository.signature",
    ),
    "the image timestamp is tampered with": (
        lambda s: (s.image.publish(), s.image.tamper("timestamp.json"))[0],
        "ota.repository.signature",
    ),
    "the director's snapshot is tampered with": (
        lambda s: (s.director.publish(), s.director.tamper(s.director.current("snapshot")))[0],
        "ota.repository.mix_and_match",
    ),
    "the image targets are tampered with": (
        lambda s: (s.image.publish(), s.image.tamper(s.image.current("targets")))[0],
        "ota.repository.mix_and_match",
    ),
    "an old image snapshot stands in for the new": (swap_snapshot, "ota.repository.mix_and_match"),
    "old image targets stand in for the new": (swap_targets, "ota.repository.mix_and_match"),
    "the director's root has expired": (
        lambda s: s.director.expire("root"),
        "ota.repository.freeze",
    ),
    "the director's timestamp has expired": (
        lambda s: s.director.expire("timestamp"),
        "ota.repository.freeze",
    ),
    "the director's snapshot has expired": (
        lambda s: s.director.expire("snapshot"),
        "ota.repository.freeze",
    ),
    "the director's targets have expired": (
        lambda s: s.director.expire("targets"),
        "ota.repository.freeze",
    ),
    "the image root has expired": (lambda s: s.image.expire("root"), "ota.repository.freeze"),
    "the image timestamp has expired": (
        lambda s: s.image.expire("timestamp"),
        "ota.repository.freeze",
    ),
    "the image snapshot has expired": (
        lambda s: s.image.expire("snapshot"),
        "ota.repository.freeze",
    ),
    "the image targets have expired": (
        lambda s: s.image.expire("targets"),
        "ota.repository.freeze",
    ),
    "image targets lack a signature": (only_below_threshold, "ota.repository.signature"),
    "director metadata names another vehicle": (
        lambda s: (
            s.director.edits.update(timestamp=set_field("vehicle", "vehicle-b")),
            s.director.publish(),
        )[1],
        "ota.repository.foreign_vehicle",
    ),
    "director targets name another vehicle": (
        lambda s: (
            s.director.edits.update(targets=set_field("vehicle", "vehicle-b")),
            s.director.publish(),
        )[1],
        "ota.repository.foreign_vehicle",
    ),
    "director snapshot names no vehicle": (
        lambda s: (
            s.director.edits.update(snapshot=set_field("vehicle", None)),
            s.director.publish(),
        )[1],
        "ota.repository.foreign_vehicle",
    ),
    "the director gives an ecu other hardware": (
        lambda s: reassign(s, {"ecu-1": "board-9"}),
        "ota.repository.wrong_hardware",
    ),
    "the image is for other hardware": (image_for_other_hardware, "ota.repository.wrong_hardware"),
    "the image is another app": (foreign_release_fields, "ota.repository.wrong_hardware"),
    "the image goes to an ecu of another app": (
        lambda s: reassign(s, {"ecu-2": "board-2"}),
        "ota.repository.wrong_hardware",
    ),
    "the director names an unknown ecu": (
        lambda s: reassign(s, {"ecu-9": "board-1"}),
        "ota.repository.unknown_ecu",
    ),
    "the director names an ecu twice": (
        add_second_target_for_the_same_ecu,
        "ota.repository.repeated_ecu",
    ),
    "the director delegates": (with_director(delegate), "ota.repository.director_delegation"),
    "the director gives another length": (
        with_director(lambda role: first(role, length=1)),
        "ota.repository.image_mismatch",
    ),
    "the director gives another hash": (
        with_director(lambda role: first(role, hashes={"sha256": "0" * 64})),
        "ota.repository.image_mismatch",
    ),
    "the director gives another release counter": (other_counter, "ota.repository.image_mismatch"),
    "the director names what was never released": (
        forget_in_image,
        "ota.repository.missing_target",
    ),
    "a target name climbs out of its folder": (
        with_director(rename_to_traversal),
        "ota.repository.custom_field",
    ),
    "a director target has no ecus": (
        with_director(lambda role: first(role, unrecognized_fields={"custom": {"ecus": {}}})),
        "ota.repository.custom_field",
    ),
    "the director's timestamp never ends": (
        serve_endless(f"{DIRECTOR}/timestamp.json"),
        "ota.repository.endless_data",
    ),
    "the next image root never ends": (
        serve_endless("image/metadata/2.root.json"),
        "ota.repository.endless_data",
    ),
    "a timestamp is no metadata": (
        lambda s: s.image.files.update({"timestamp.json": b"<html>sign in first</html>"}),
        "ota.repository.malformed",
    ),
    "a timestamp does not say when it was issued": (
        lambda s: (
            s.image.edits.update(timestamp=lambda role: role.unrecognized_fields.clear()),
            s.image.publish(),
        )[1],
        "ota.repository.malformed",
    ),
}


@pytest.mark.parametrize(("attack", "code"), ATTACKS.values(), ids=list(ATTACKS))
def test_an_attack_is_refused_by_its_name(
    attack: Callable[[RepositorySimulator], None],
    code: str,
    simulator: RepositorySimulator,
    tmp_path: Path,
) -> None:
    make_verifier(simulator, tmp_path).check()
    before = read_floor(tmp_path)
    attack(simulator)
    with pytest.raises(OtaError, match="expected") as refusal:
        make_verifier(simulator, tmp_path).check()
    assert refusal.value.code == code
    after = read_floor(tmp_path)
    assert all(after[role] >= version for role, version in before.items())


@pytest.mark.parametrize("repository", ["director", "image"])
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_role_that_goes_back_is_a_rollback(
    repository: str, role: str, simulator: RepositorySimulator, tmp_path: Path
) -> None:
    make_verifier(simulator, tmp_path).check()
    attacked = simulator.director if repository == "director" else simulator.image
    attacked.go_back(role)
    if role != "timestamp":  # a newer timestamp leads to what is older
        attacked.versions["timestamp"] += 1
    if role == "targets":
        attacked.versions["snapshot"] += 1
    attacked.sign_all()
    with pytest.raises(RollbackError, match=f"{repository} {role}.*expected version >="):
        make_verifier(simulator, tmp_path).check()


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_truncated_metadata_file_does_not_open_the_way_back(
    role: str, simulator: RepositorySimulator, tmp_path: Path
) -> None:
    simulator.image.publish()
    make_verifier(simulator, tmp_path).check()
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        (tmp_path / "metadata" / "image" / name).write_bytes(b"")
    simulator.image.go_back(role)
    with pytest.raises(RollbackError, match=f"image {role}.*nothing changed"):
        make_verifier(simulator, tmp_path).check()


def test_a_newer_set_of_another_vehicle_locks_nobody_out(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    make_verifier(simulator, tmp_path).check()
    before = read_all(tmp_path)
    ours = dict(simulator.director.files)
    simulator.director.vehicle = "vehicle-b"
    simulator.director.versions = dict.fromkeys(simulator.director.versions, 899)
    simulator.director.publish()
    with pytest.raises(OtaError, match="expected vehicle vehicle-a, got vehicle-b") as refusal:
        make_verifier(simulator, tmp_path).check()
    assert refusal.value.code == "ota.repository.foreign_vehicle"
    assert read_all(tmp_path) == before
    simulator.director.files = ours
    simulator.director.vehicle = VEHICLE
    simulator.director.versions = dict.fromkeys(simulator.director.versions, 5)
    simulator.director.publish()
    assert [offer.version for offer in make_verifier(simulator, tmp_path).check()] == ["1.0.0"]


def test_new_timestamp_keys_end_a_fast_forward(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    simulator.image.versions["timestamp"] = 2_000_000
    simulator.image.publish()
    make_verifier(simulator, tmp_path).check()
    simulator.image.replace_keys("timestamp")
    simulator.image.versions["timestamp"] = 10
    simulator.image.publish()
    assert make_verifier(simulator, tmp_path).check()


def test_what_has_expired_by_our_own_clock_is_frozen(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    make_verifier(simulator, tmp_path).check()
    clock = FakeClock(simulator.now)
    clock.advance_s(31 * 86_400)
    with pytest.raises(FreezeError, match="director root: expected metadata valid at"):
        make_verifier(simulator, tmp_path, clock).check()


def test_a_clock_that_was_set_back_does_not_thaw_what_is_frozen(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    make_verifier(simulator, tmp_path).check()
    simulator.image.now = simulator.image.expires["snapshot"]
    simulator.image.expires["timestamp"] = simulator.image.expires["root"]
    simulator.image.publish()
    clock = FakeClock(simulator.now)
    clock.jump_wall_s(-10 * 365 * 86_400)
    with pytest.raises(FreezeError, match="director root"):
        make_verifier(simulator, tmp_path, clock).check()


def test_a_release_below_the_committed_counter_is_refused(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    Floor(tmp_path / "floor.sqlite").raise_release_counter("ecu-1", 2)
    with pytest.raises(ReleaseCounterError, match="ecu-1: expected release counter >= 2, got 1"):
        make_verifier(simulator, tmp_path).check()


def test_the_same_counter_may_be_offered_again(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    Floor(tmp_path / "floor.sqlite").raise_release_counter("ecu-1", 1)
    assert make_verifier(simulator, tmp_path).check()


def test_two_of_two_signatures_are_enough_and_one_is_not(tmp_path: Path) -> None:
    simulator = RepositorySimulator(threshold=2)
    simulator.release(PACKAGE, "1.0.0", counter=1)
    assert make_verifier(simulator, tmp_path).check()
    simulator.director.drop_signature("targets")
    with pytest.raises(OtaError, match="director") as refusal:
        make_verifier(simulator, tmp_path).check()
    assert refusal.value.code == "ota.repository.signature"


def test_a_full_disk_is_not_called_an_attack(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    (tmp_path / "metadata").write_text("a file where a folder should be")
    with pytest.raises(OtaError, match="expected room to keep it") as refusal:
        make_verifier(simulator, tmp_path).check()
    assert refusal.value.code == "ota.install.storage"


def test_an_address_with_another_root_is_not_believed(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    simulator.director.roots[0] = RepositorySimulator().director.roots[0]  # what is shipped
    with pytest.raises(OtaError, match="director") as refusal:
        make_verifier(simulator, tmp_path).check()
    assert refusal.value.code == "ota.repository.signature"
