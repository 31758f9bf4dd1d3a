"""Attacks on a vehicle's two repositories, each by its name, with the code that must refuse it.

An attack is a function of a ``RepositorySimulator`` that has released one app. What is refused must
be refused by the right code; what is no attack at all (``code`` None) must lead to an offer.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from securesystemslib.formats import encode_canonical
from securesystemslib.signer import Signer
from tuf.api.metadata import Signed, Snapshot, Targets

from tests.support.packages import make_package
from tests.support.repository_simulator import (
    RepositorySimulator,
    SimulatedRepository,
    Writer,
    endless,
    new_signers,
    set_field,
    write_honestly,
)

PACKAGE = make_package()
DIGEST = hashlib.sha256(PACKAGE).hexdigest()
Verb = Callable[[RepositorySimulator], object]


@dataclass(frozen=True, slots=True)
class Attack:
    """What is done to the repositories, and the code of the refusal; None: it is accepted.

    ``before`` is done before the vehicle looks for the first time.
    """

    run: Verb
    code: str | None
    before: Verb = lambda simulator: None


def prepare() -> RepositorySimulator:
    """Return repositories with one release, as they are before the attack."""
    simulator = RepositorySimulator()
    simulator.release(PACKAGE, "1.0.0", counter=1)
    return simulator


def repository_of(simulator: RepositorySimulator, name: str) -> SimulatedRepository:
    """Return the ``director`` or the ``image`` repository."""
    return simulator.director if name == "director" else simulator.image


# --- how a role becomes bytes when somebody cheats ---------------------------------------------


def unsigned(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Sign with nobody's key."""
    return write_honestly(role, ())


def signed_once(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Sign with the first key only."""
    return write_honestly(role, signers[:1])


def signed_by_stranger(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Sign with keys nobody knows."""
    return write_honestly(role, new_signers(len(signers)))


def signed_twice_by_one(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Let the first key's signature stand twice."""
    document = json.loads(write_honestly(role, signers[:1]))
    document["signatures"] *= 2
    return json.dumps(document).encode()


def under_other_key_ids(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Name other key ids beside true signatures."""
    document = json.loads(write_honestly(role, signers))
    for signature in document["signatures"]:
        signature["keyid"] = "0" + signature["keyid"][:-1]
    return json.dumps(document).encode()


def changed(change: Callable[[dict[str, Any]], object]) -> Writer:
    """Return a writer that changes a role as python-tuf never would, and signs it truly."""

    def write(role: Signed, signers: Sequence[Signer]) -> bytes:
        signed = json.loads(write_honestly(role, ()))["signed"]
        change(signed)
        canonical = encode_canonical(signed)
        assert canonical is not None
        signatures = [signer.sign(canonical.encode()).to_dict() for signer in signers]
        return json.dumps({"signatures": signatures, "signed": signed}).encode()

    return write


def of_no_known_type(signed: dict[str, Any]) -> None:
    """Call a role something it is not."""
    signed["_type"] = "invalid"


# --- the seven things that can be wrong with any role ------------------------------------------


def zero_threshold(repository: SimulatedRepository, role: str) -> None:
    """Say that nobody needs to sign ``role``."""

    def change(signed: dict[str, Any]) -> None:
        signed["roles"][role]["threshold"] = 0

    repository.write_as("root", changed(change))


def with_higher_threshold(writer: Writer) -> Callable[[SimulatedRepository, str], None]:
    """Return what publishes a role by ``writer`` once it needs two signatures."""

    def run(repository: SimulatedRepository, role: str) -> None:
        repository.raise_threshold(role)
        repository.write_as(role, writer)

    return run


def written_as(writer: Writer) -> Callable[[SimulatedRepository, str], None]:
    """Return what publishes a role by ``writer``."""
    return lambda repository, role: repository.write_as(role, writer)


FLAWS: Mapping[str, tuple[Callable[[SimulatedRepository, str], None], str]] = {
    "zero_threshold": (zero_threshold, "ota.repository.malformed"),
    "expired": (SimulatedRepository.expire, "ota.repository.freeze"),
    "unmet_threshold": (with_higher_threshold(signed_once), "ota.repository.signature"),
    "non_unique_signatures": (
        with_higher_threshold(signed_twice_by_one),
        "ota.repository.malformed",
    ),
    "unsigned": (written_as(unsigned), "ota.repository.signature"),
    "bad_key_ids": (written_as(under_other_key_ids), "ota.repository.signature"),
    "role_type_mismatch": (written_as(changed(of_no_known_type)), "ota.repository.malformed"),
}


def flawed(name: str, role: str, flaw: str) -> Attack:
    """Return the attack that gives ``role`` of the repository ``name`` one of FLAWS."""
    spoil, code = FLAWS[flaw]
    return Attack(lambda simulator: spoil(repository_of(simulator, name), role), code)


# --- verbs on targets --------------------------------------------------------------------------


def edit_first_target(name: str, **fields: object) -> Verb:
    """Return what publishes Targets of the repository ``name`` whose first entry has ``fields``."""

    def run(simulator: RepositorySimulator) -> None:
        def edit(role: Signed) -> None:
            assert isinstance(role, Targets)
            for field, value in fields.items():
                setattr(next(iter(role.targets.values())), field, value)

        repository = repository_of(simulator, name)
        repository.edits["targets"] = edit
        repository.publish()

    return run


def for_hardware(*hardware_ids: str) -> Verb:
    """Return what releases the app anew, for other hardware; the Director goes along."""

    def run(simulator: RepositorySimulator) -> None:
        simulator.image.targets.clear()
        simulator.put_image(PACKAGE, "1.0.0", counter=1, hardware_ids=hardware_ids)

    return run


def assign_to(ecus: Mapping[str, str]) -> Verb:
    """Return what lets the Director give the app to ``ecus`` (id to hardware id)."""
    return lambda simulator: simulator.assign("1.0.0", counter=1, ecus=ecus)


def all_of(*verbs: Verb) -> Verb:
    """Return what does one verb after the other."""

    def run(simulator: RepositorySimulator) -> None:
        for verb in verbs:
            verb(simulator)

    return run


def pad(name: str, role: str, size: int) -> Verb:
    """Return what publishes ``role`` with ``size`` bytes more than it needs."""

    def run(simulator: RepositorySimulator) -> None:
        repository = repository_of(simulator, name)
        repository.edits[role] = set_field("padding", "x" * size)
        repository.publish_role(role)

    return run


def serve_longer_image(simulator: RepositorySimulator) -> None:
    """Send more bytes of the image than were signed."""
    simulator.images[DIGEST] += b"more"


def serve_endless(path: str) -> Verb:
    """Return what lets ``path`` never end."""

    def run(simulator: RepositorySimulator) -> None:
        simulator.bodies[path] = endless

    return run


def delegate_from_director(simulator: RepositorySimulator) -> None:
    """Let the Director pass its right on."""
    simulator.director.delegate("helper")
    simulator.director.publish()


def assign_second_image_to_same_ecu(simulator: RepositorySimulator) -> None:
    """Give one ECU two images."""
    simulator.put_image(make_package(version="1.1.0"), "1.1.0", counter=2)
    before = dict(simulator.director.targets)
    simulator.assign("1.1.0", counter=2)
    simulator.director.targets |= before
    simulator.director.publish()


# --- verbs on roots ----------------------------------------------------------------------------


def rotate_root(name: str, *, times: int = 1) -> Verb:
    """Return what replaces the root keys, properly, ``times`` times."""

    def run(simulator: RepositorySimulator) -> None:
        for _ in range(times):
            repository_of(simulator, name).replace_keys("root")

    return run


def rotate_root_signed_by(name: str, *, by_new: bool) -> Verb:
    """Return what replaces the root keys, signed by the new ones only or the old ones only."""

    def run(simulator: RepositorySimulator) -> None:
        repository = repository_of(simulator, name)
        before = repository.signers["root"]
        repository.signers["root"] = new_signers(1)
        chosen = repository.signers["root"] if by_new else before
        repository.writers["root"] = lambda role, _: write_honestly(role, chosen)
        repository.publish_root()

    return run


def root_of_version(name: str, version: int) -> Verb:
    """Return what serves, as the next root, one that calls itself ``version``."""

    def run(simulator: RepositorySimulator) -> None:
        def edit(role: Signed) -> None:
            role.version = version

        repository = repository_of(simulator, name)
        repository.edits["root"] = edit
        repository.publish_root()

    return run


# --- verbs on snapshot and timestamp -----------------------------------------------------------


def snapshot_says(name: str, **fields: object) -> Verb:
    """Return what publishes a snapshot whose entry for the role ``name`` has ``fields``."""

    def run(simulator: RepositorySimulator) -> None:
        def edit(role: Signed) -> None:
            assert isinstance(role, Snapshot)
            for field, value in fields.items():
                setattr(role.meta[f"{name}.json"], field, value)

        simulator.image.edits["snapshot"] = edit
        simulator.image.publish()

    return run


def change_under_same_timestamp(simulator: RepositorySimulator) -> None:
    """Publish other contents, and sign the timestamp anew under its old version."""
    simulator.image.targets.clear()
    simulator.image.versions["timestamp"] -= 1
    simulator.image.publish()


def swap_old_for_new(role: str) -> Verb:
    """Return what serves an honest but older ``role`` under the name of the newer one."""

    def run(simulator: RepositorySimulator) -> None:
        files = simulator.image.files
        old = files[simulator.image.current(role)]
        simulator.image.publish()
        files[simulator.image.current(role)] = old

    return run


def nothing(_: RepositorySimulator) -> None:
    """Leave all as it is."""
