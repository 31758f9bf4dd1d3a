"""What is refused before python-tuf sees it, because it persists a role before anybody above; pure.

The same parser reads the bytes here and there: what one takes for a version, a vehicle or a key is
what the other does. Nothing is believed here; signatures are checked afterwards.
"""

import hashlib
from collections.abc import Iterable, Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from ota.errors import (
    FastForwardError,
    ForeignVehicleError,
    MalformedError,
    MixAndMatchError,
    SignatureError,
)
from ota.metadata.models import MAX_VERSION, vehicle_of


def read_any(data: bytes) -> Signed:
    """Return the role that ``data`` holds; raise python-tuf's RepositoryError if it holds none."""
    return Metadata.from_bytes(data).signed


def versions_of(role: Signed) -> dict[str, int]:
    """Return the version of ``role`` and of what it lists, by name."""
    versions = {role.type: role.version}
    if isinstance(role, Timestamp):
        versions[Snapshot.type] = role.snapshot_meta.version
    if isinstance(role, Snapshot):
        versions |= {name: meta.version for name, meta in role.meta.items()}
    return versions


def digests_of(keyids: Iterable[str]) -> frozenset[str]:
    """Return digests of the ids of the keys that may sign a role, as the floor keeps them."""
    return frozenset(hashlib.sha256(keyid.encode()).hexdigest() for keyid in keyids)


def refuse_early(name: str, body: bytes, *, vehicle: str | None, is_plain: bool) -> None:
    """Return if the Updater may have ``body``, served as ``name``; what it cannot read it may have.

    Args:
        name: Of the served file; a name that ends in ``root.json`` serves all vehicles.
        body: As it came.
        vehicle: The one a Director's role must be bound to; None for the Image repository.
        is_plain: It is no Uptane repository: its Timestamp may list no hash.

    Raises:
        ForeignVehicleError: It is another vehicle's, whose higher versions would lock us out.
        FastForwardError: A version that nobody could follow.
        MixAndMatchError: A Timestamp that does not say which bytes its Snapshot has.
        SignatureError: One key counts as two.
        MalformedError: It cannot be read as a Director's role, or lists what is no role.
    """
    try:
        role = read_any(body)
    except TufRepositoryError as error:
        if vehicle is None:
            return  # the Updater says better what is wrong with it
        raise MalformedError(name, expected="signed metadata", got=str(error)) from error
    if vehicle is not None and not name.endswith("root.json"):
        _check_vehicle(name, role, vehicle)
    _check_versions(name, versions_of(role))
    if isinstance(role, Timestamp) and not is_plain:
        _check_hash(name, role)
    if isinstance(role, Snapshot):
        _check_names(name, role)
    check_keys(name, role)


def check_keys(name: str, role: Signed) -> None:
    """Return if no role counts one key twice under two ids; raise SignatureError else.

    Source: Uptane 2.1.0 section 5.2.1 (a key is what its value is) and TUF 1.0.34 section 4.2.
    """
    if isinstance(role, Root):
        _check_distinct(name, role.keys, (each.keyids for each in role.roles.values()))
    elif isinstance(role, Targets) and role.delegations is not None:
        delegations = role.delegations
        groups = [each.keyids for each in (delegations.roles or {}).values()]
        if delegations.succinct_roles is not None:
            groups.append(delegations.succinct_roles.keyids)
        _check_distinct(name, delegations.keys, groups)


def _check_distinct(name: str, keys: Mapping[str, Key], groups: Iterable[list[str]]) -> None:
    for keyids in groups:
        values = [_value_of(keys[keyid]) for keyid in keyids if keyid in keys]
        if len(set(values)) != len(values):
            raise SignatureError(name, expected="each key once", got="one key under two ids")


def _value_of(key: Key) -> bytes:
    """Return what makes ``key`` the key it is, however it is spelled."""
    text = str(key.keyval.get("public", ""))
    try:
        public = load_pem_public_key(text.encode())
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        hexadecimal = "".join(text.split()).lower()  # raw keys: Python's hex may be spaced
        return hexadecimal.encode(errors="replace")


def _check_vehicle(name: str, role: Signed, vehicle: str) -> None:
    named = vehicle_of(role)
    if named != vehicle:
        raise ForeignVehicleError(name, expected=f"vehicle {vehicle}", got=named or "none")


def _check_versions(name: str, versions: Mapping[str, int]) -> None:
    for version in versions.values():
        if type(version) is not int:  # python-tuf takes what compares like a number
            raise MalformedError(name, expected="whole numbers as versions", got=repr(version)[:80])
        if version > MAX_VERSION:
            raise FastForwardError(name, expected=f"versions <= {MAX_VERSION}", got=str(version))


def _check_hash(name: str, timestamp: Timestamp) -> None:
    """Source: Uptane 2.1.0 section 5.2.5, where TUF leaves it open."""
    if not timestamp.snapshot_meta.hashes:
        raise MixAndMatchError(name, expected="a hash of the snapshot", got="none")


def _check_names(name: str, snapshot: Snapshot) -> None:
    """A role's own name is none of these, so that no two share one line of the floor."""
    for listed in snapshot.meta:
        if not listed.endswith(".json"):
            raise MalformedError(name, expected="names of .json files", got=repr(listed)[:80])
