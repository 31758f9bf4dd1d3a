"""Each check of the verifier, taken out of a copy, and the case that then turns red.

``python -m tests.support.mutants`` runs them all and prints one JSON object a line: check, case,
the code the case must meet, and what it meets without the check. Each runs in a child that is
forked before the product is imported, and imports it with the check taken out.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from tests.support.mutant import Mutant, one
from tests.support.stick_mutants import STICK_MUTANTS

ROOT = Path(__file__).parent.parent.parent
ACCEPTED = "accepted"


_EARLY, _UPTANE = "ota.client.early", "ota.client.uptane"
_ROLE, _SEARCH = "ota.client.delegated", "ota.client.delegations"
_REPOSITORY, _FLOOR = "ota.client.repository", "ota.client.floor"
_VERIFIER, _DOWNLOAD = "ota.client.verifier", "ota.client.download"
_TRANSFER, _TIME = "ota.client.transfer", "ota.client.timekeeper"

_ONLINE: tuple[Mutant, ...] = (
    # --- before python-tuf persists anything -----------------------------------------------------
    one(
        "the vehicle, before a role is kept",
        "another vehicle's v900, then our own v6",
        _EARLY,
        "    if named != vehicle:",
        "    if False:",
    ),
    Mutant(
        "the vehicle, in both places",
        "the director's snapshot is another vehicle's",
        (
            (_EARLY, "    if named != vehicle:", "    if False:"),
            (_UPTANE, "        if named != vehicle:", "        if False:"),
        ),
    ),
    one(
        "versions that nobody could follow",
        "the image timestamp has a version nobody could follow",
        _EARLY,
        "        if version > MAX_VERSION:",
        "        if False:",
    ),
    one(
        "versions are numbers",
        "a version that is no number",
        _EARLY,
        "        if type(version) is not int:",
        "        if False:",
    ),
    one(
        "a Timestamp gives a hash of its Snapshot",
        "the image timestamp gives no hash of its snapshot",
        _EARLY,
        "    if not timestamp.snapshot_meta.hashes:",
        "    if False:",
    ),
    one(
        "a Snapshot lists files of roles",
        "the snapshot lists what is no file of a role",
        _EARLY,
        '        if not listed.endswith(".json"):',
        "        if False:",
    ),
    one(
        "one key counts once",
        "the image root counts one key twice",
        _EARLY,
        "        if len(set(values)) != len(values):",
        "        if False:",
    ),
    one(
        "the Director's Targets are small",
        "director_targets_too_large",
        _REPOSITORY,
        "            return MAX_DIRECTOR_TARGETS_BYTES",
        "            return MAX_TARGETS_BYTES",
    ),
    one(
        "no body is longer than its limit",
        "a delegated role is too large",
        "ota.client.translate",
        "        if len(body) > max_bytes:",
        "        if False:",
    ),
    # --- floor and time --------------------------------------------------------------------------
    one(
        "the floor of versions",
        "older roles after a power cut emptied the files",
        _FLOOR,
        "        if version < lowest.version:",
        "        if False:",
    ),
    one(
        "a floor that one more key does not end",
        "an older timestamp under one more key, after a power cut",
        _FLOOR,
        "    return not any(before <= role.keys for role in signers)",
        "    return not any(before == role.keys for role in signers)",
    ),
    one(
        "a floor that ends with its keys",
        "new keys after a fast-forward and a power cut",
        _FLOOR,
        "            continue  # the floor of the old keys ended with them",
        "            pass",
    ),
    one(
        "a version that went back is called so",
        "image snapshot goes back under newer roles",
        _REPOSITORY,
        "            raise self._find_rollback() or error from error.__cause__",
        "            raise",
    ),
    one(
        "expiry by the vehicle's own time",
        "expired by the vehicle's own clock",
        _REPOSITORY,
        "        if role.is_expired(now):",
        "        if False:",
    ),
    one(
        "what both have signed counts as time",
        "a Director frozen while the clock stood still",
        _VERIFIER,
        "self._floor.lowest_time(states)",
        "None",
    ),
    one(
        "a new root resets the time",
        "a new root after a stolen timestamp key moved the time",
        _FLOOR,
        "    if before is not None and not _is_new_root(times, state):",
        "    if before is not None:",
    ),
    one(
        "a time that has not come yet",
        "a timestamp from a future that NTS denies",
        _TIME,
        "        if issued > reading.utc + TOLERANCE:",
        "        if False:",
    ),
    # --- delegated roles -------------------------------------------------------------------------
    one(
        "signatures of a delegated role",
        "delegation_unsigned",
        _ROLE,
        "        delegator.verify_delegate(",
        "        (lambda *_: None)(",
    ),
    one(
        "hashes of a delegated role",
        "a delegated role in other bytes than the snapshot lists",
        _ROLE,
        "        listed.verify_length_and_hashes(data)",
        "        pass",
    ),
    one(
        "the version of a delegated role",
        "delegation_snapshot_version_mismatch",
        _ROLE,
        "        if role.version != listed.version:",
        "        if False:",
    ),
    one(
        "a delegated role is of type targets",
        "a delegated role is a snapshot",
        _ROLE,
        "        if role.type != Targets.type:",
        "        if False:",
    ),
    one(
        "a delegated role is listed in the Snapshot",
        "delegation_snapshot_missing",
        _ROLE,
        "        if listed is None:",
        "        listed = listed or MetaFile(self.snapshot.version)\n        if False:",
    ),
    one(
        "a delegated role's expiry",
        "a delegated role expired by the vehicle's own clock",
        _ROLE,
        "        if role.is_expired(self.now):",
        "        if False:",
    ),
    one(
        "one key of a delegation counts once",
        "a delegation counts one key twice",
        _EARLY,
        "    elif isinstance(role, Targets) and role.delegations is not None:",
        "    elif False:",
    ),
    one(
        "nor one key of succinct roles",
        "succinct roles count one key twice",
        _EARLY,
        "        if delegations.succinct_roles is not None:",
        "        if False:",
    ),
    one(
        "a key is what its value is, however it is spelled",
        "the image root counts one key twice, spelled with spaces",
        _EARLY,
        '"".join(text.split()).lower()',
        "text.strip().lower()",
    ),
    one(
        "nobody is a witness of itself",
        "a role that must agree with itself",
        _SEARCH,
        "            if other == name or ",
        "            if ",
    ),
    one(
        "a role's name fits a file",
        "a role whose name fits no file",
        _ROLE,
        "        if len(quoted) > MAX_NAME:",
        "        if False:",
    ),
    # --- the search through delegations ----------------------------------------------------------
    one(
        "a delegation is for this hardware",
        "a delegation for other hardware is not followed",
        _SEARCH,
        "            if entry is None or self._is_for_hardware(entry):",
        "            if True:",
    ),
    one(
        "a terminating delegation ends the search",
        "a terminating delegation ends the search",
        _SEARCH,
        "            if is_terminating:",
        "            if False:",
    ),
    one(
        "a circle is left",
        "delegations in a circle",
        _SEARCH,
        "        if name in self._visited:",
        "        if False:",
    ),
    one(
        "a search has an end",
        "a chain of delegations without an end in sight",
        _SEARCH,
        "        if self._opened == MAX_OPENED:",
        "        if False:",
    ),
    one(
        "roles that must agree do",
        "the second of two roles says another length",
        _SEARCH,
        "    return (one.length, one.hashes, _must_match(one)) == (",
        "    return True or (one.length, one.hashes, _must_match(one)) == (",
    ),
    one(
        "they agree on release and hardware too",
        "the second of two roles says another release",
        _SEARCH,
        '    return fields.get("hardware_ids"), fields.get("release_counter")',
        "    return ()",
    ),
    one(
        "who agrees may speak about the image",
        "the second of two roles may not speak about the image",
        _SEARCH,
        "        if entry is None or not entry.is_delegated_path(self._target):",
        "        if entry is None:",
    ),
    # --- the rules of Uptane ---------------------------------------------------------------------
    one(
        "the Director does not delegate",
        "director_delegations",
        _UPTANE,
        "    if director.delegations is not None:",
        "    if False:",
    ),
    one(
        "no ECU is named twice",
        "director_targets_same_ecu",
        _UPTANE,
        "            if ecu_id in assigned:",
        "            if False:",
    ),
    one(
        "every ECU is this vehicle's",
        "director_bad_ecu_id",
        _UPTANE,
        "    ecu = inventory.get(ecu_id)",
        "    ecu = inventory.get(ecu_id) or next(iter(inventory.values()))",
    ),
    one(
        "the Director's hardware id",
        "director_bad_hw_id",
        _UPTANE,
        "    if word.hardware_id != ecu.hardware_id:",
        "    if False:",
    ),
    one(
        "the image's hardware ids",
        "image_repo_bad_hw_id",
        _UPTANE,
        "    if ecu.hardware_id not in custom.hardware_ids:",
        "    if False:",
    ),
    Mutant(
        "the image is for this app",
        "the image is another app",
        (
            (
                _UPTANE,
                "(custom.kind, *named) != (ecu.kind, ecu.name, custom.version)",
                "not custom",
            ),
            (_UPTANE, " or custom.name != ecu.name:", ":"),
        ),
    ),
    one(
        "the Image repository has released it",
        "the director names what was never released",
        _UPTANE,
        "    if image is None:",
        "    image = image or assignment.file\n    if False:",
    ),
    one(
        "both say the same length",
        "director_target_oversized",
        _UPTANE,
        "    if director.length != image.length:",
        "    if False:",
    ),
    one(
        "both say the same hashes",
        "director_target_hash_mismatch",
        _UPTANE,
        "    if director.hashes != image.hashes:",
        "    if False:",
    ),
    one(
        "both say the same release",
        "the director names another release counter",
        _UPTANE,
        "    if custom.release_counter != assignment.release_counter:",
        "    if False:",
    ),
    one(
        "the floor of release counters",
        "a release below the committed counter",
        _UPTANE,
        "    if offer.release_counter < counter_floor:",
        "    if False:",
    ),
    one(
        "a release of what runs raises its counter",
        "a release that was taken back, offered again",
        _VERIFIER,
        "        self._commit_running(offers)",
        "        pass",
    ),
    one(
        "what an image needs is there",
        "an image needs an app that is not there",
        _UPTANE,
        "            if counters.get(name, 0) < least:",
        "            if False:",
    ),
    one(
        "what an image cannot be beside is not",
        "an image in conflict with what runs",
        _UPTANE,
        "            if counters.get(name, 0) > 0:",
        "            if False:",
    ),
    Mutant(
        "a target name never becomes a path, in both places",
        "a target name with a parent folder",
        (
            (_UPTANE, "    parse_target_name(file.path)\n    custom", "    custom"),
            (_UPTANE, "parse_target_name(offer.target)", "(ecu.name, custom.version)"),
        ),
    ),
    # --- the image -------------------------------------------------------------------------------
    Mutant(
        "the length of an image, as said and as it comes",
        "target_oversized",
        (
            (
                "ota.client.transfer",
                "            if at > stop == self._length:",
                "            if 0:",
            ),
            (
                "ota.client.transfer",
                "        if answer.total is not None and ",
                "        if 0 and ",
            ),
        ),
    ),
    one(
        "the hashes of an image",
        "one byte of an image without pieces",
        _DOWNLOAD,
        "    if found != offer.hashes:",
        "    if False:",
    ),
    Mutant(
        "the pieces of an image, and its hashes",
        "one byte of the image is another",
        (
            (_DOWNLOAD, "    if found != offer.hashes:", "    if False:"),
            (
                "ota.metadata.chunks",
                "        return len(content) == stop - first and ",
                "        return True or ",
            ),
        ),
    ),
)

MUTANTS: tuple[Mutant, ...] = (*_ONLINE, *STICK_MUTANTS)


# What a child need not import again; nothing of the product is among it.
_LIBRARIES = (
    "tuf.ngclient",
    "securesystemslib.signer",
    "msgspec",
    "urllib3",
    "hypothesis",
    "sqlalchemy",
    "cryptography.x509",
)


class _Mutation(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds the modules of ``edits`` and loads them without what they check."""

    def __init__(self, edits: Sequence[tuple[str, str, str]]) -> None:
        self._edits = edits

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if all(module != fullname for module, _, _ in self._edits):
            return None
        return importlib.util.spec_from_file_location(fullname, _path(fullname), loader=self)

    def get_filename(self, fullname: str) -> str:
        return str(_path(fullname))

    def get_data(self, path: str) -> bytes:
        source = Path(path).read_text()
        for module, present, absent in self._edits:
            if str(_path(module)) == path:
                if source.count(present) != 1:
                    raise ValueError(f"{module}: expected {present!r} once")
                source = source.replace(present, absent)
        return source.encode()

    def path_stats(self, path: str) -> Mapping[str, int]:
        raise OSError("a mutant is never cached")


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def run(mutant: Mutant) -> str:
    """Return what the case of ``mutant`` meets without the check, from a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, _met(mutant).encode()[:4_000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        met = said.read().decode()
    os.waitpid(child, 0)
    return met


def _met(mutant: Mutant) -> str:
    sys.meta_path.insert(0, _Mutation(mutant.edits))
    try:
        verifying = importlib.import_module("tests.support.verifying")
        with tempfile.TemporaryDirectory() as folder:
            return verifying.run_case(mutant.case, Path(folder)) or ACCEPTED
    except Exception as error:  # noqa: BLE001 (a verifier that breaks is not one that accepts)
        sys.stderr.write(f"{mutant.check}\n{traceback.format_exc()}")
        return f"{type(error).__name__}"


def main() -> None:
    """Run every mutant and print what it meets."""
    for warm in _LIBRARIES:
        importlib.import_module(warm)
    for mutant in MUTANTS:
        told = {"check": mutant.check, "case": mutant.case, "met": run(mutant)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
