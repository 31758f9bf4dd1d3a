"""Updates on a stick (Uptane PURE-2): two more roles of the Director, and where things lie.

::

    STICK/director/N.root.json           every root of the Director, from 1
    STICK/director/offline-snapshot.json which offline-targets is the newest
    STICK/director/offline-targets.json  what may be installed from this stick, by hardware id
    STICK/image/metadata/                every root of the Image repository, Snapshot, all Targets
    STICK/image/targets/                 every image the stick offers, and its list of pieces

The Director's root names who may sign the two roles in a signed field of its own, because TUF 1.0
knows no roles but its four::

    "offline_roles": {"offline-snapshot": {"keyids": [id, ...], "threshold": int},
                      "offline-targets": {...}}

A target of ``offline-targets`` has ``{"hardware_ids": [id, ...], "release_counter": int}``: a stick
is for many vehicles, so it names no vehicle and no ECU.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from tuf.api.metadata import DelegatedRole, Delegations, Root, Targets

from ota.errors import CustomFieldError
from ota.metadata.custom import Counter
from ota.metadata.models import is_identifier

ROLES_FIELD = "offline_roles"
REPORTS_FOLDER = "reports"  # signed manifests on their way back, <vehicle>.<counter>.json
SNAPSHOT, TARGETS = "offline-snapshot", "offline-targets"


class OfflineRole(Struct, frozen=True, kw_only=True):
    """Who may sign one of the two roles."""

    keyids: Annotated[tuple[str, ...], Meta(min_length=1, max_length=16)]
    threshold: Annotated[int, Meta(ge=1, le=16)]


class OfflineCustom(Struct, frozen=True, kw_only=True):
    """For which hardware an image on a stick is, and which release it is."""

    hardware_ids: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    release_counter: Counter

    def __post_init__(self) -> None:
        for hardware_id in self.hardware_ids:
            if not is_identifier(hardware_id):
                raise ValueError(f"hardware_ids: expected ids, got {hardware_id[:80]!r}")


def parse_offline_custom(custom: object) -> OfflineCustom:
    """Return the typed custom field; raise CustomFieldError if it is not of the module's shape."""
    try:
        return msgspec.convert(custom, type=OfflineCustom)
    except (ValueError, TypeError, RecursionError) as error:
        raise CustomFieldError("offline custom", expected="its shape", got=str(error)) from error


def offline_roles(root: Root) -> Mapping[str, OfflineRole]:
    """Return the two roles that ``root`` names; empty if it knows nothing of sticks.

    Raises:
        CustomFieldError: The field is there, and not of the module's shape.
    """
    field = root.unrecognized_fields.get(ROLES_FIELD)
    if field is None:
        return {}
    try:
        found = msgspec.convert(field, type=dict[str, OfflineRole])
    except (ValueError, TypeError, RecursionError) as error:
        raise CustomFieldError(ROLES_FIELD, expected="its shape", got=str(error)) from error
    if set(found) != {SNAPSHOT, TARGETS}:
        raise CustomFieldError(ROLES_FIELD, expected="both roles", got=", ".join(sorted(found)))
    return found


def offline_delegator(root: Root) -> Targets:
    """Return a Targets by which python-tuf checks the signatures of the two roles.

    Raises:
        CustomFieldError: ``root`` names no such roles, or not in the module's shape.
    """
    roles = offline_roles(root)
    if not roles:
        raise CustomFieldError("director root", expected="roles for sticks", got="none")
    entries = {
        name: DelegatedRole(name, list(role.keyids), role.threshold, terminating=True, paths=["*"])
        for name, role in roles.items()
    }
    return Targets(delegations=Delegations(dict(root.keys), entries))
