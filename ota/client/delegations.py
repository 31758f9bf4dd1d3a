"""Who may speak about a target: delegations in their order, by path and by hardware id; pure.

Source: TUF 1.0.34 section 5.6.7 and Uptane 2.1.0 sections 5.4.4.7 and 5.4.4.8. Two signed fields of
a delegation are okdrive's own (``ota.metadata.custom.DelegationCustom``): ``hardware_ids`` limits
it to images for such hardware; ``agree_with`` names roles beside it that must list the very same
image, so that the key of one of them alone releases nothing.
"""

from collections.abc import Callable, Iterator

from tuf.api.metadata import DelegatedRole, Delegations, TargetFile, Targets

from ota.errors import DisagreementError, TooManyDelegationsError
from ota.metadata.custom import parse_delegation_custom

MAX_OPENED = 32  # roles of one search, witnesses too; source: python-tuf's UpdaterConfig

Load = Callable[[str, Targets], Targets]


class Search:
    """One search for one target. ``load`` returns a role's verified Targets, by its delegator.

    ``hardware_id``: of the ECU the image is for; None asks by path alone, as plain TUF does.
    """

    def __init__(self, target: str, *, hardware_id: str | None, load: Load) -> None:
        self._target = target
        self._hardware_id = hardware_id
        self._load = load
        self._visited: set[str] = set()
        self._opened = 0
        self._is_over = False
        self._disagreed: str | None = None

    def run(self, top: Targets) -> TargetFile | None:
        """Return what ``top`` or, in order, its delegations say about the target; None: nothing.

        Raises:
            DisagreementError: Some did, but not all that must agree.
            TooManyDelegationsError: More than MAX_OPENED roles had to be asked.
            CustomFieldError: A signed field of a delegation is not of the agreed shape.
        """
        found = self._ask(top)
        if found is None and self._disagreed is not None:
            raise DisagreementError(
                self._target, expected="roles that agree on the image", got=self._disagreed
            )
        return found

    def _ask(self, role: Targets) -> TargetFile | None:
        found = role.targets.get(self._target)
        if found is not None or role.delegations is None:
            return found
        for name, is_terminating in self._responsible(role.delegations):
            found = self._follow(name, role)
            if found is not None or self._is_over:
                return found
            if is_terminating:  # nobody after this one is asked, here or further up
                self._is_over = True
                return None
        return None

    def _responsible(self, delegations: Delegations) -> Iterator[tuple[str, bool]]:
        for name, is_terminating in delegations.get_roles_for_target(self._target):
            entry = _entry(delegations, name)
            if entry is None or self._is_for_hardware(entry):
                yield name, is_terminating

    def _is_for_hardware(self, entry: DelegatedRole) -> bool:
        listed = parse_delegation_custom(entry.unrecognized_fields).hardware_ids
        return listed is None or self._hardware_id is None or self._hardware_id in listed

    def _follow(self, name: str, delegator: Targets) -> TargetFile | None:
        if name in self._visited:
            return None  # a cycle, or a second way to what was asked already
        self._visited.add(name)
        found = self._ask(self._open(name, delegator))
        if found is None or self._is_agreed(name, found, delegator):
            return found
        return None

    def _open(self, name: str, delegator: Targets) -> Targets:
        if self._opened == MAX_OPENED:
            raise TooManyDelegationsError(
                self._target, expected=f"at most {MAX_OPENED} roles to ask", got="more"
            )
        self._opened += 1
        return self._load(name, delegator)

    def _is_agreed(self, name: str, found: TargetFile, delegator: Targets) -> bool:
        assert delegator.delegations is not None  # noqa: S101 (it named ``name``)
        entry = _entry(delegator.delegations, name)
        if entry is None:
            return True
        for other in parse_delegation_custom(entry.unrecognized_fields).agree_with:
            if other == name or not self._is_confirmed(other, found, delegator):
                self._disagreed = f"{name} without {other}"
                return False
        return True

    def _is_confirmed(self, other: str, found: TargetFile, delegator: Targets) -> bool:
        delegations = delegator.delegations
        entry = None if delegations is None else _entry(delegations, other)
        if entry is None or not entry.is_delegated_path(self._target):
            return False
        said = self._open(other, delegator).targets.get(self._target)
        return said is not None and _says_same(said, found)


def _entry(delegations: Delegations, name: str) -> DelegatedRole | None:
    """Return the entry of ``name``; None for one of a succinct set, which has no fields."""
    return None if delegations.roles is None else delegations.roles.get(name)


def _says_same(one: TargetFile, other: TargetFile) -> bool:
    """Return whether both list the same bytes for the same hardware, in the same release."""
    return (one.length, one.hashes, _must_match(one)) == (
        other.length,
        other.hashes,
        _must_match(other),
    )


def _must_match(file: TargetFile) -> tuple[object, ...]:
    fields = file.custom if isinstance(file.custom, dict) else {}
    return fields.get("hardware_ids"), fields.get("release_counter")
