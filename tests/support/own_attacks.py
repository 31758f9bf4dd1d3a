"""Attacks the legacy vectors do not cover, each by a sentence.

Director Timestamp and Snapshot, every rollback, fast-forward and the way out of it, binding to one
vehicle, delegations by hardware and agreement, bounds on every file, and the custom fields.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from securesystemslib.signer import Key, Signer, SSlibKey
from tuf.api.metadata import (
    Delegations,
    MetaFile,
    Root,
    Signed,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

from ota.errors import SlowRetrievalError
from ota.metadata.models import MAX_VERSION
from tests.support.attacks import (
    DIGEST,
    FLAWS,
    PACKAGE,
    Attack,
    Verb,
    all_of,
    changed,
    edit_first_target,
    flawed,
    nothing,
    pad,
    repository_of,
    root_of_version,
    serve_endless,
    signed_by_stranger,
    snapshot_says,
    swap_old_for_new,
)
from tests.support.repository_simulator import (
    VEHICLE,
    RepositorySimulator,
    SimulatedRepository,
    set_field,
    write_honestly,
)

_TOP = ("timestamp", "snapshot", "targets")
_BOTH = ("director", "image")
_METADATA = {"director": f"director/{VEHICLE}/metadata", "image": "image/metadata"}


def _director_flaws() -> dict[str, Attack]:
    return {
        f"the director's {role}: {flaw}": flawed("director", role, flaw)
        for role in ("timestamp", "snapshot")
        for flaw in FLAWS
    }


# --- versions ----------------------------------------------------------------------------------


def _go_back(name: str, role: str) -> Verb:
    return lambda simulator: repository_of(simulator, name).go_back_under_newer(role)


def _set_versions(name: str, version: int, *roles: str) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        repository = repository_of(simulator, name)
        for role in _TOP:
            repository.versions[role] = version if role in roles else repository.versions[role]
        repository.publish()

    return run


def _replace_keys(name: str, *roles: str) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        for role in roles:
            repository_of(simulator, name).replace_keys(role)

    return run


def _versions() -> dict[str, Attack]:
    found: dict[str, Attack] = {}
    for name in _BOTH:
        for role in _TOP:
            found[f"{name} {role} goes back under newer roles"] = Attack(
                _go_back(name, role), "ota.repository.rollback"
            )
            jump = _set_versions(name, MAX_VERSION - 1, role)
            keys = {"timestamp": ("timestamp",), "snapshot": ("snapshot", "timestamp")}
            found[f"{name} {role} jumped ahead and goes back under its old keys"] = Attack(
                _set_versions(name, 10, role), "ota.repository.rollback", before=jump
            )
            found[f"{name} {role} jumped ahead and goes back under new keys"] = Attack(
                all_of(
                    _replace_keys(name, *keys.get(role, ("snapshot",))),
                    _set_versions(name, 10, role),
                ),
                None,
                before=jump,
            )
    return found


def _fast_forwards() -> dict[str, Attack]:
    found = {
        f"the {name} {role} has a version nobody could follow": Attack(
            _set_versions(name, MAX_VERSION, role), "ota.repository.fast_forward"
        )
        for name in _BOTH
        for role in _TOP
    }
    return found | {
        "a root has a version that fits no number": Attack(
            root_of_version("image", 2**64), "ota.repository.fast_forward"
        ),
        "the snapshot lists a version nobody could follow": Attack(
            snapshot_says("targets", version=MAX_VERSION + 1), "ota.repository.fast_forward"
        ),
    }


def _old_timestamp_again(simulator: RepositorySimulator) -> None:
    """Serve the timestamp of the very first publication."""
    simulator.image.versions = dict.fromkeys(_TOP, 1)
    simulator.image.sign_all()


def _snapshot_forgets_delegate(simulator: RepositorySimulator) -> None:
    simulator.image.delegated["apps"].is_in_snapshot = False
    simulator.image.publish()


def _delegate_goes_back(simulator: RepositorySimulator) -> None:
    simulator.image.delegated["apps"].version -= 2
    simulator.image.publish()


# --- one vehicle -------------------------------------------------------------------------------


def _says_vehicle(role: str, vehicle: object) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        simulator.director.edits[role] = set_field("vehicle", vehicle)
        simulator.director.publish()

    return run


def _other_vehicles_set(simulator: RepositorySimulator) -> None:
    """Serve another vehicle's newer set, without a single target."""
    simulator.director.vehicle = "vehicle-b"
    simulator.director.targets = {}
    simulator.director.versions = dict.fromkeys(_TOP, 899)
    simulator.director.publish()


def _vehicles() -> dict[str, Attack]:
    found: dict[str, Attack] = {
        "another vehicle's newer and empty set": Attack(
            _other_vehicles_set, "ota.repository.foreign_vehicle"
        )
    }
    for role in _TOP:
        found[f"the director's {role} is another vehicle's"] = Attack(
            _says_vehicle(role, "vehicle-b"), "ota.repository.foreign_vehicle"
        )
        found[f"the director's {role} is for no vehicle"] = Attack(
            _says_vehicle(role, None), "ota.repository.foreign_vehicle"
        )
        found[f"the director's {role} is for a number"] = Attack(
            _says_vehicle(role, 7), "ota.repository.malformed"
        )
    return found


# --- delegations -------------------------------------------------------------------------------


def _delegating(change: Verb = nothing, *, name: str = "apps", **fields: Any) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        simulator.image.delegate(name, **fields)
        simulator.image.hand_over(name)
        change(simulator)

    return run


def _behind(**first: Any) -> Verb:
    """Return what lets an empty role of ``first`` fields be asked before the right one."""

    def run(simulator: RepositorySimulator) -> None:
        simulator.image.delegate("first", **first)
        simulator.image.delegate("apps")
        simulator.image.hand_over("apps")

    return run


def _delegate_turned_round(simulator: RepositorySimulator) -> None:
    """Serve the same role, truly signed, with its parts in another order."""
    image = simulator.image
    document = json.loads(image.files[image.current("apps")])
    turned = {key: document[key] for key in reversed(document)}
    image.files[image.current("apps")] = json.dumps(turned, separators=(",", ":")).encode()


def _as_a_snapshot(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Sign a snapshot where targets belong."""
    return write_honestly(Snapshot(version=role.version, expires=role.expires), signers)


def _with_witness(change: Callable[[TargetFile], object] | None, **fields: Any) -> Verb:
    """Return what lets a second role list a copy of the app, after ``change``; None: nothing."""

    def run(simulator: RepositorySimulator) -> None:
        image = simulator.image
        witness = image.delegate("witness", **fields)
        image.delegate("apps", agree_with=("witness",), is_terminating=True)
        image.delegated = dict(reversed(image.delegated.items()))  # "apps" is asked first
        if change is not None:
            for path, file in image.targets.items():
                copied = deepcopy(file)
                change(copied)
                witness.targets[path] = copied
        image.hand_over("apps")

    return run


def _other_counter(file: TargetFile) -> None:
    file.custom["release_counter"] = 9


def _chain(length: int, **last: Any) -> Verb:
    """Return what delegates from role to role, ``length`` times, before one lists the app."""

    def run(simulator: RepositorySimulator) -> None:
        before = delegator = "targets"
        for number in range(length):
            fields = last if number == length - 1 else {}
            simulator.image.delegate(f"role-{number}", delegator=delegator, **fields)
            before, delegator = delegator, f"role-{number}"
        for witness in last.get("agree_with", ()):  # asked after the one it agrees with
            simulator.image.delegate(witness, delegator=before)
        simulator.image.hand_over(delegator)

    return run


def _circle(simulator: RepositorySimulator) -> None:
    """Let two roles delegate to each other, and neither list anything."""
    image = simulator.image
    image.delegate("one")
    image.delegate("two", delegator="one")

    def back(role: Signed) -> None:
        assert isinstance(role, Targets)
        role.delegations = image._delegations("targets")

    image.edits["two"] = back
    image.targets = {}
    image.publish()


def _second_delegator_with_other_keys(simulator: RepositorySimulator) -> None:
    """Let two roles pass on to one; it is signed for the first, asked by way of the second."""
    image = simulator.image
    image.delegate("left", paths=("left/*",))
    image.delegate("right")
    image.delegate("apps", delegator="left")

    def delegate_with_stranger(role: Signed) -> None:
        assert isinstance(role, Targets)
        stranger = SimulatedRepository(simulator.now)
        stranger.delegate("apps")
        role.delegations = stranger._delegations("targets")

    image.edits["right"] = delegate_with_stranger
    image.hand_over("apps")


_DELEGATIONS: dict[str, Attack] = {
    "a delegation for other hardware is not followed": Attack(
        _delegating(hardware_ids=("board-9",)), "ota.repository.missing_target"
    ),
    "a delegation for this hardware is followed": Attack(
        _delegating(hardware_ids=("board-9", "board-1")), None
    ),
    "hardware ids of a delegation are no list": Attack(
        _delegating(hardware_ids=()), "ota.repository.custom_field"
    ),
    "a terminating delegation ends the search": Attack(
        _behind(is_terminating=True), "ota.repository.missing_target"
    ),
    "a terminating delegation of other paths ends nothing": Attack(
        _behind(is_terminating=True, paths=("other/*",)), None
    ),
    "a terminating delegation for other hardware ends nothing": Attack(
        _behind(is_terminating=True, hardware_ids=("board-9",)), None
    ),
    "two roles agree on an image": Attack(_with_witness(lambda _: None), None),
    "the second of two roles says nothing": Attack(
        _with_witness(None), "ota.repository.disagreement"
    ),
    "the second of two roles says another length": Attack(
        _with_witness(lambda file: setattr(file, "length", 1)), "ota.repository.disagreement"
    ),
    "the second of two roles says another hash": Attack(
        _with_witness(lambda file: file.hashes.update(sha256="0" * 64)),
        "ota.repository.disagreement",
    ),
    "the second of two roles says another release": Attack(
        _with_witness(_other_counter), "ota.repository.disagreement"
    ),
    "a role must agree with one that does not exist": Attack(
        _delegating(agree_with=("nobody",)), "ota.repository.disagreement"
    ),
    "a role that must agree with itself": Attack(
        _delegating(agree_with=("apps",)), "ota.repository.disagreement"
    ),
    "a chain of delegations as long as allowed": Attack(_chain(32), None),
    "a chain of delegations without an end in sight": Attack(
        _chain(33), "ota.repository.too_many_delegations"
    ),
    "a role that must agree with too many": Attack(
        _chain(32, agree_with=("witness",)), "ota.repository.too_many_delegations"
    ),
    "delegations in a circle": Attack(_circle, "ota.repository.missing_target"),
    "what was signed for one delegator is asked through another": Attack(
        _second_delegator_with_other_keys, "ota.repository.signature"
    ),
    "a delegated role signed by strangers": Attack(
        _delegating(lambda simulator: simulator.image.write_as("apps", signed_by_stranger)),
        "ota.repository.signature",
    ),
    "a delegated role in other bytes than the snapshot lists": Attack(
        _delegating(_delegate_turned_round), "ota.repository.mix_and_match"
    ),
    "a delegated role is a snapshot": Attack(
        _delegating(lambda simulator: simulator.image.write_as("apps", _as_a_snapshot)),
        "ota.repository.malformed",
    ),
    "the second of two roles may not speak about the image": Attack(
        _with_witness(lambda _: None, paths=("other/*",)), "ota.repository.disagreement"
    ),
    "a delegated role goes back": Attack(
        _delegate_goes_back,
        "ota.repository.rollback",
        before=_delegating(lambda simulator: simulator.image.publish()),
    ),
    "a delegated role vanishes from the snapshot": Attack(
        _snapshot_forgets_delegate, "ota.repository.rollback", before=_delegating()
    ),
    "a delegated role is too large": Attack(
        _delegating(pad("image", "apps", 5_000_000)), "ota.repository.endless_data"
    ),
    "a role whose name fits no file": Attack(
        _delegating(name="a" * 300), "ota.repository.malformed"
    ),
    "a role whose name climbs out of its folder": Attack(_delegating(name="../../../apps"), None),
}


# --- bounds ------------------------------------------------------------------------------------


def _endless(name: str, role: str) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        repository = repository_of(simulator, name)
        repository.publish()
        file = f"{len(repository.roots) + 1}.root.json"
        if role != "root":
            file = repository.current(role)
        serve_endless(f"{_METADATA[name]}/{file}")(simulator)

    return run


def _slow(simulator: RepositorySimulator) -> None:
    """Send a byte, and then so little that the connection is given up."""

    def trickle() -> Iterator[bytes]:
        yield b"{"
        raise SlowRetrievalError("timestamp.json", expected=">= 512 bytes/s", got="2")

    simulator.bodies["image/metadata/timestamp.json"] = trickle


def _image_bytes(change: Callable[[bytes], bytes]) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        simulator.images[DIGEST] = change(simulator.images[DIGEST])

    return run


def _captive_portal(simulator: RepositorySimulator) -> None:
    simulator.image.files["timestamp.json"] = b"<html>sign in first</html>"


_BOUNDS: dict[str, Attack] = {
    f"the {name} {role} never ends": Attack(_endless(name, role), "ota.repository.endless_data")
    for name in _BOTH
    for role in ("root", *_TOP)
} | {
    "the image timestamp trickles": Attack(_slow, "ota.download.slow_retrieval"),
    "a captive portal answers": Attack(_captive_portal, "ota.repository.malformed"),
    "an old image snapshot under a new name": Attack(
        swap_old_for_new("snapshot"), "ota.repository.mix_and_match"
    ),
    "old image targets under a new name": Attack(
        swap_old_for_new("targets"), "ota.repository.mix_and_match"
    ),
    "the very first image set again": Attack(_old_timestamp_again, "ota.repository.rollback"),
    "the image is cut short": Attack(
        _image_bytes(lambda image: image[:-1]), "ota.repository.length_mismatch"
    ),
    "one byte of the image is another": Attack(
        _image_bytes(lambda image: bytes([image[0] ^ 1]) + image[1:]),
        "ota.repository.hash_mismatch",
    ),
}


# --- custom fields and names -------------------------------------------------------------------


def _named(path: str) -> Verb:
    """Return what lets both repositories list the app under ``path``."""

    def rename(role: Signed) -> None:
        assert isinstance(role, Targets)
        (file,) = role.targets.values()
        role.targets = {path: TargetFile.from_dict(file.to_dict(), path)}

    def run(simulator: RepositorySimulator) -> None:
        for repository in (simulator.image, simulator.director):
            repository.edits["targets"] = rename
            repository.publish()

    return run


def _custom(name: str, **changes: Any) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        repository = repository_of(simulator, name)
        for file in repository.targets.values():
            file.custom.update(changes)
        repository.publish()

    return run


def _other_release_counter(simulator: RepositorySimulator) -> None:
    simulator.assign("1.0.0", counter=9)


def _never_released(simulator: RepositorySimulator) -> None:
    simulator.image.targets.clear()
    simulator.image.publish()


def _for_another_app(simulator: RepositorySimulator) -> None:
    simulator.image.targets.clear()
    simulator.put_image(PACKAGE, "1.0.0", counter=1, kind_name="horn")


_NAMES: Mapping[str, str] = {
    "a parent folder": "app/../../../etc/passwd.okp",
    "the root folder": "/etc/okdrive/agent.toml",
    "a NUL": "app/trip-light/1.0.0/trip-light-1.0.0.okp\0",
    "a look-alike letter": "app/trip-l\u0456ght/1.0.0/trip-l\u0456ght-1.0.0.okp",
    "an escaped slash": "app%2ftrip-light/1.0.0/trip-light-1.0.0.okp",
    "another version in its file": "app/trip-light/1.0.0/trip-light-1.0.1.okp",
}
_FIELDS: dict[str, Attack] = {
    f"a target name with {what}": Attack(_named(path), "ota.repository.custom_field")
    for what, path in _NAMES.items()
} | {
    "a release counter of zero": Attack(
        _custom("image", release_counter=0), "ota.repository.custom_field"
    ),
    "a release counter beyond every store": Attack(
        _custom("image", release_counter=2**63), "ota.repository.custom_field"
    ),
    "a release counter that is a text": Attack(
        _custom("image", release_counter="1"), "ota.repository.custom_field"
    ),
    "an image of a kind nobody knows": Attack(
        _custom("image", kind="firmware"), "ota.repository.custom_field"
    ),
    "an image needs an app that is not there": Attack(
        _custom("image", requires={"horn": 1}), "ota.repository.dependency"
    ),
    "an image is in conflict with an app that is not there": Attack(
        _custom("image", conflicts=["horn"]), None
    ),
    "an image is in conflict with itself": Attack(
        _custom("image", conflicts=["trip-light"]), "ota.repository.custom_field"
    ),
    "an image for no hardware": Attack(
        _custom("image", hardware_ids=[]), "ota.repository.custom_field"
    ),
    "an image without a word for the driver": Attack(
        _custom("image", release=None), "ota.repository.custom_field"
    ),
    "a director target for no ecu": Attack(
        _custom("director", ecus={}), "ota.repository.custom_field"
    ),
    "an image without a sha256": Attack(
        all_of(
            edit_first_target("director", hashes={"sha512": "0" * 128}),
            edit_first_target("image", hashes={"sha512": "0" * 128}),
        ),
        "ota.repository.malformed",
    ),
    "the director names another release counter": Attack(
        _other_release_counter, "ota.repository.image_mismatch"
    ),
    "the director names what was never released": Attack(
        _never_released, "ota.repository.missing_target"
    ),
    "the image is another app": Attack(_for_another_app, "ota.repository.wrong_hardware"),
    "the image timestamp does not say when it was issued": Attack(
        lambda simulator: _edit_timestamp(simulator, None), "ota.repository.malformed"
    ),
    "the image timestamp was issued on no day": Attack(
        lambda simulator: _edit_timestamp(simulator, "2026-02-30T00:00:00Z"),
        "ota.repository.malformed",
    ),
}


def _edit_timestamp(simulator: RepositorySimulator, issued: str | None) -> None:
    simulator.image.edits["timestamp"] = set_field("issued", issued)
    simulator.image.publish()


# --- what two parsers, or two libraries, might see differently ----------------------------------


def _hidden_fast_forward(simulator: RepositorySimulator) -> None:
    """Jump ahead beside a field that another reader might stumble over first."""
    image = simulator.image
    image.edits["timestamp"] = set_field("vehicle", 7)
    image.versions["timestamp"] = 2**62
    image.sign_all()


def _timestamp_without_hash(name: str) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        def edit(role: Signed) -> None:
            assert isinstance(role, Timestamp)
            role.snapshot_meta.hashes = None

        repository = repository_of(simulator, name)
        repository.edits["timestamp"] = edit
        repository.publish()

    return run


def _snapshot_lists(name: str) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        def edit(role: Signed) -> None:
            assert isinstance(role, Snapshot)
            role.meta[name] = MetaFile(1)

        simulator.image.edits["snapshot"] = edit
        simulator.image.publish()

    return run


def _snapshot_forgets_targets(simulator: RepositorySimulator) -> None:
    def edit(role: Signed) -> None:
        assert isinstance(role, Snapshot)
        del role.meta["targets.json"]

    simulator.image.edits["snapshot"] = edit
    simulator.image.publish()


def _version_that_is_true(simulator: RepositorySimulator) -> None:
    simulator.image.write_as("snapshot", changed(lambda signed: signed.update(version=True)))


def _in_pieces(public: str) -> str:
    """Spell a raw key as Python reads it, and nobody writes it."""
    return " ".join(public[at : at + 2] for at in range(0, len(public), 2))


def _second_name(key: Key, spell: Callable[[str], str] = str.upper) -> SSlibKey:
    """Return ``key`` under another id, spelled in another way."""
    public = spell(str(key.keyval["public"]))
    return SSlibKey("f" * 64, key.keytype, key.scheme, {"public": public})


def _sign_under_two_names(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Let the same signature stand under both ids of the key."""
    document = json.loads(write_honestly(role, signers))
    (signature,) = document["signatures"]
    document["signatures"].append({**signature, "keyid": "f" * 64})
    return json.dumps(document).encode()


def _root_counts_one_key_twice(name: str, spell: Callable[[str], str] = str.upper) -> Verb:
    def run(simulator: RepositorySimulator) -> None:
        def edit(role: Signed) -> None:
            assert isinstance(role, Root)
            again = _second_name(role.keys[role.roles["targets"].keyids[0]], spell)
            role.keys[again.keyid] = again
            role.roles["targets"].keyids.append(again.keyid)
            role.roles["targets"].threshold = 2

        repository = repository_of(simulator, name)
        repository.edits["root"] = edit
        repository.publish_root()
        repository.write_as("targets", _sign_under_two_names)

    return run


def _delegation_counts_one_key_twice(simulator: RepositorySimulator) -> None:
    def edit(role: Signed) -> None:
        assert isinstance(role, Targets)
        assert role.delegations is not None
        assert role.delegations.roles is not None
        entry = role.delegations.roles["apps"]
        again = _second_name(role.delegations.keys[entry.keyids[0]])
        role.delegations.keys[again.keyid] = again
        entry.keyids.append(again.keyid)
        entry.threshold = 2

    simulator.image.delegate("apps")
    simulator.image.edits["targets"] = edit
    simulator.image.writers["apps"] = _sign_under_two_names
    simulator.image.hand_over("apps")


def _succinct_roles_count_one_key_twice(simulator: RepositorySimulator) -> None:
    """Hash bins, all of one key that is listed under two ids."""
    signers = simulator.image.delegate("bins-0").signers

    def edit(role: Signed) -> None:
        assert isinstance(role, Targets)
        key = signers[0].public_key
        again = _second_name(key)
        bins = SuccinctRoles([key.keyid, again.keyid], 2, bit_length=1, name_prefix="bins")
        keys: dict[str, Key] = {key.keyid: key, again.keyid: again}
        role.delegations = Delegations(keys, succinct_roles=bins)

    simulator.image.edits["targets"] = edit
    simulator.image.publish()


def _both_say(**hashes: str) -> Verb:
    """Let both repositories list the image with ``hashes`` besides or instead of its own."""
    both = {"hashes": {"sha256": DIGEST} | hashes}
    return all_of(edit_first_target("director", **both), edit_first_target("image", **both))


_READERS: dict[str, Attack] = {
    "a version nobody could follow beside a field of another kind": Attack(
        _hidden_fast_forward, "ota.repository.fast_forward"
    ),
    "a version that is no number": Attack(_version_that_is_true, "ota.repository.malformed"),
    "the director's timestamp gives no hash of its snapshot": Attack(
        _timestamp_without_hash("director"), "ota.repository.mix_and_match"
    ),
    "the image timestamp gives no hash of its snapshot": Attack(
        _timestamp_without_hash("image"), "ota.repository.mix_and_match"
    ),
    "the snapshot lists what is no file of a role": Attack(
        _snapshot_lists("root"), "ota.repository.malformed"
    ),
    "the snapshot does not list targets any more": Attack(
        _snapshot_forgets_targets, "ota.repository.rollback"
    ),
    "the director's root counts one key twice": Attack(
        _root_counts_one_key_twice("director"), "ota.repository.signature"
    ),
    "the image root counts one key twice": Attack(
        _root_counts_one_key_twice("image"), "ota.repository.signature"
    ),
    "the image root counts one key twice, spelled with spaces": Attack(
        _root_counts_one_key_twice("image", _in_pieces), "ota.repository.signature"
    ),
    "succinct roles count one key twice": Attack(
        _succinct_roles_count_one_key_twice, "ota.repository.signature"
    ),
    "a hash that nobody can check": Attack(_both_say(md4="0" * 32), "ota.repository.malformed"),
    "a sha256 in capitals": Attack(_both_say(sha256=DIGEST.upper()), "ota.repository.malformed"),
    "a sha256 that climbs out of its folder": Attack(
        _both_say(sha256="../" * 20 + "etc"), "ota.repository.malformed"
    ),
    "a second hash that does not hold": Attack(
        _both_say(sha512="0" * 128), "ota.repository.hash_mismatch"
    ),
    "a delegation counts one key twice": Attack(
        _delegation_counts_one_key_twice, "ota.repository.signature"
    ),
}

OWN_ATTACKS: dict[str, Attack] = (
    _director_flaws()
    | _versions()
    | _fast_forwards()
    | _vehicles()
    | _DELEGATIONS
    | _BOUNDS
    | _FIELDS
    | _READERS
)
