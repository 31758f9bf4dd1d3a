"""The 86 legacy Uptane vectors by name, as attacks on our own repositories.

Source of the names: advancedtelematic/tuf-test-vectors, generator ``tuf_vectors/uptane.py``. What
each does is written anew here. Where the old format had no counterpart in TUF 1.0, the nearest
thing is done; the flaw of a root is in the next root, because the first is shipped, not fetched.
"""

from typing import Any

from tests.support.attacks import (
    FLAWS,
    Attack,
    Verb,
    all_of,
    assign_second_image_to_same_ecu,
    assign_to,
    change_under_same_timestamp,
    delegate_from_director,
    edit_first_target,
    flawed,
    for_hardware,
    nothing,
    pad,
    root_of_version,
    rotate_root,
    rotate_root_signed_by,
    serve_longer_image,
    signed_once,
    signed_twice_by_one,
    snapshot_says,
    under_other_key_ids,
    unsigned,
)
from tests.support.attacks import changed as changed_by
from tests.support.repository_simulator import Delegated, RepositorySimulator, Writer

# It wants changed content under an unchanged timestamp version to be accepted; TUF 1.0 keeps what
# it has, and the public conformance suite tests that. What is asserted is TUF 1.0.
WAIVED = "image_repo_metadata_changed_while_version_same"

_MATRIX_ROLES = (
    ("director", "root"),
    ("director", "targets"),
    ("image", "root"),
    ("image", "targets"),
    ("image", "snapshot"),
    ("image", "timestamp"),
)
_NAMES = {"director": "director", "image": "image_repo"}
_OTHER_HASH = {"sha256": "0" * 64}


def _matrix() -> dict[str, Attack]:
    return {
        f"{_NAMES[name]}_{role}_{flaw}": flawed(name, role, flaw)
        for name, role in _MATRIX_ROLES
        for flaw in FLAWS
    }


def _rotations() -> dict[str, Attack]:
    found: dict[str, Attack] = {}
    for name, legacy in _NAMES.items():
        found |= {
            f"{legacy}_root_rotation": Attack(rotate_root(name), None),
            f"{legacy}_root_rotation_multiple": Attack(rotate_root(name, times=3), None),
            f"{legacy}_root_rotation_no_original_signature": Attack(
                rotate_root_signed_by(name, by_new=True), "ota.repository.signature"
            ),
            f"{legacy}_root_rotation_no_new_signature": Attack(
                rotate_root_signed_by(name, by_new=False), "ota.repository.signature"
            ),
            f"{legacy}_root_rotation_version_unchanged": Attack(
                root_of_version(name, 1), "ota.repository.rollback"
            ),
            f"{legacy}_root_rotation_version_skip": Attack(
                root_of_version(name, 3), "ota.repository.mix_and_match"
            ),
        }
    return found


def _delegating(change: Verb = nothing, **fields: Any) -> Verb:
    """Return what lets a delegated role list the app, then does ``change``."""

    def run(simulator: RepositorySimulator) -> None:
        simulator.image.delegate("apps", **fields)
        simulator.image.hand_over("apps")
        change(simulator)

    return run


def _apps(simulator: RepositorySimulator) -> Delegated:
    return simulator.image.delegated["apps"]


def _written(writer: Writer) -> Verb:
    return lambda simulator: simulator.image.write_as("apps", writer)


def _with_delegations(field: str, value: object) -> Writer:
    """Return a writer of targets that sets one ``field`` of each delegation."""
    return changed_by(
        lambda signed: [entry.update({field: value}) for entry in signed["delegations"]["roles"]]
    )


def _without_keys(simulator: RepositorySimulator) -> None:
    writer = changed_by(lambda signed: signed["delegations"].update(keys={}))
    simulator.image.write_as("targets", writer)


def _zero_threshold(simulator: RepositorySimulator) -> None:
    simulator.image.write_as("targets", _with_delegations("threshold", 0))


def _redundant(simulator: RepositorySimulator) -> None:
    simulator.image.delegate("first")
    simulator.image.delegate("second").targets = simulator.image.targets
    simulator.image.hand_over("first")


def _not_served(simulator: RepositorySimulator) -> None:
    del simulator.image.files[simulator.image.current("apps")]


def _emptied(simulator: RepositorySimulator) -> None:
    _apps(simulator).targets = {}
    simulator.image.publish()


def _other_hash(simulator: RepositorySimulator) -> None:
    (file,) = _apps(simulator).targets.values()
    file.hashes = _OTHER_HASH
    simulator.image.publish()


def _expired(simulator: RepositorySimulator) -> None:
    simulator.image.expires["apps"] = simulator.now
    _apps(simulator).expires = simulator.image.now.replace(year=2020)
    simulator.image.publish()


def _not_in_snapshot(simulator: RepositorySimulator) -> None:
    _apps(simulator).is_in_snapshot = False
    simulator.image.publish()


def _other_version_in_snapshot(simulator: RepositorySimulator) -> None:
    files, honest = simulator.image.files, simulator.image.current("apps")
    content = files[honest]
    snapshot_says("apps", version=9, hashes=None, length=None)(simulator)
    files["9.apps.json"] = content


_DELEGATIONS: dict[str, Attack] = {
    "delegation_simple": Attack(_delegating(), None),
    "delegation_redundant": Attack(_redundant, None),
    "delegation_path_mismatch": Attack(
        _delegating(paths=("other/*",)), "ota.repository.missing_target"
    ),
    "delegation_key_missing": Attack(_delegating(_without_keys), "ota.repository.signature"),
    "delegation_unsigned": Attack(_delegating(_written(unsigned)), "ota.repository.signature"),
    "delegation_bad_key_ids": Attack(
        _delegating(_written(under_other_key_ids)), "ota.repository.signature"
    ),
    "delegation_missing": Attack(_delegating(_not_served), "ota.download.refused"),
    "delegation_empty": Attack(_delegating(_emptied), "ota.repository.missing_target"),
    "delegation_hash_mismatch": Attack(_delegating(_other_hash), "ota.repository.image_mismatch"),
    "delegation_expired": Attack(_delegating(_expired), "ota.repository.freeze"),
    "delegation_snapshot_missing": Attack(
        _delegating(_not_in_snapshot), "ota.repository.mix_and_match"
    ),
    "delegation_snapshot_version_mismatch": Attack(
        _delegating(_other_version_in_snapshot), "ota.repository.mix_and_match"
    ),
    "delegation_zero_threshold": Attack(_delegating(_zero_threshold), "ota.repository.malformed"),
    "delegation_unmet_threshold": Attack(
        _delegating(_written(signed_once), threshold=2), "ota.repository.signature"
    ),
    "delegation_two_signatures": Attack(_delegating(threshold=2), None),
    "delegation_non_unique_signatures": Attack(
        _delegating(_written(signed_twice_by_one), threshold=2), "ota.repository.malformed"
    ),
}

_OTHERS: dict[str, Attack] = {
    "director_target_hash_mismatch": Attack(
        edit_first_target("director", hashes=_OTHER_HASH), "ota.repository.image_mismatch"
    ),
    "image_repo_target_hash_mismatch": Attack(
        edit_first_target("image", hashes=_OTHER_HASH), "ota.repository.image_mismatch"
    ),
    "director_target_oversized": Attack(
        edit_first_target("director", length=1), "ota.repository.image_mismatch"
    ),
    "image_repo_target_oversized": Attack(
        edit_first_target("image", length=1), "ota.repository.image_mismatch"
    ),
    "target_oversized": Attack(serve_longer_image, "ota.repository.length_mismatch"),
    "director_bad_hw_id": Attack(assign_to({"ecu-1": "board-9"}), "ota.repository.wrong_hardware"),
    "image_repo_bad_hw_id": Attack(for_hardware("board-9"), "ota.repository.wrong_hardware"),
    "bad_hw_id": Attack(
        all_of(for_hardware("board-9"), assign_to({"ecu-1": "board-9"})),
        "ota.repository.wrong_hardware",
    ),
    "director_bad_ecu_id": Attack(assign_to({"ecu-9": "board-1"}), "ota.repository.unknown_ecu"),
    "director_delegations": Attack(delegate_from_director, "ota.repository.director_delegation"),
    "director_targets_same_ecu": Attack(
        assign_second_image_to_same_ecu, "ota.repository.repeated_ecu"
    ),
    "director_targets_too_large": Attack(
        pad("director", "targets", 65_536), "ota.repository.endless_data"
    ),
    "image_repo_targets_too_large": Attack(
        pad("image", "targets", 8 * 1_048_576), "ota.repository.endless_data"
    ),
    "simple": Attack(nothing, None),
    "image_repo_snapshot_targets_version_mismatch": Attack(
        snapshot_says("targets", version=1), "ota.repository.rollback"
    ),
    WAIVED: Attack(change_under_same_timestamp, None),
}

LEGACY_VECTORS: dict[str, Attack] = _matrix() | _rotations() | _DELEGATIONS | _OTHERS
