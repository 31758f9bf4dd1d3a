"""The two conformance scripts hold the protocol, over our own repositories and a real server.

The public suite itself is run apart, see docs/how-to/run-tuf-conformance.md.
"""

import ast
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ota.metadata.models import target_name
from tests.support.attacks import DIGEST, PACKAGE, prepare, unsigned
from tests.support.conformance import ROOT, SCRIPTS, Trial, on_trial
from tests.support.repository_simulator import ECU

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

IMAGE, DIRECTOR = SCRIPTS / "tuf-client", SCRIPTS / "tuf-client-director"
TARGET = target_name(ECU.name, "1.0.0")
ROLES = ("root", "timestamp", "snapshot", "targets")


@pytest.mark.parametrize("script", [IMAGE, DIRECTOR])
def test_a_script_imports_nothing_of_ours_but_the_client(script: Path) -> None:
    tree = ast.parse(script.read_text())
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    own = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert own == {"ota.client.conformance"}


@pytest.mark.parametrize("script", [IMAGE, DIRECTOR])
def test_metadata_is_kept_as_served_and_the_image_is_downloaded_once(
    script: Path, tmp_path: Path
) -> None:
    with on_trial(prepare(), script, tmp_path) as trial:
        assert trial.init() == 0
        assert trial.requests.total() == 0
        assert trial.refresh() == 0
        repository = trial.simulator.director if script == DIRECTOR else trial.simulator.image
        for role in ROLES[1:]:
            served = repository.files[repository.current(role)]
            assert (trial.metadata / f"{role}.json").read_bytes() == served
        assert (trial.metadata / "root.json").read_bytes() == repository.roots[-1]
        assert [*trial.targets.iterdir()] == []
        assert (trial.download(TARGET), trial.download(TARGET)) == (0, 0)
        assert [path.read_bytes() for path in trial.targets.iterdir()] == [PACKAGE]
        (name,) = [name for name in trial.requests if name.endswith(".okp")]
        assert trial.requests[name] == 1


def test_what_no_role_lists_is_not_downloaded(tmp_path: Path) -> None:
    with on_trial(prepare(), IMAGE, tmp_path) as trial:
        assert trial.init() == 0
        assert trial.download("app/none") == 1
        assert trial.said.startswith("ota.repository.missing_target")


# --- each check of the verifier, and what a client without it would do ---------------------------


def delegated_to(trial: Trial, **fields: object) -> None:
    trial.simulator.image.delegate("apps", **fields)
    trial.simulator.image.hand_over("apps")


def delegated_without_signature(trial: Trial) -> int:
    delegated_to(trial)
    trial.simulator.image.write_as("apps", unsigned)
    return trial.download(TARGET)


def delegated_and_expired(trial: Trial) -> int:
    delegated_to(trial)
    role = trial.simulator.image.delegated["apps"]
    role.expires = role.expires.replace(year=2020)
    trial.simulator.image.publish()
    return trial.download(TARGET)


def delegated_and_reserialized(trial: Trial) -> int:
    """Serve other bytes than the snapshot lists, though truly signed."""
    delegated_to(trial)
    image = trial.simulator.image
    name = image.current("apps")
    document = json.loads(image.files[name])
    turned = {key: document[key] for key in reversed(document)}
    image.files[name] = json.dumps(turned, separators=(",", ":")).encode()
    return trial.download(TARGET)


def delegated_behind_the_last(trial: Trial) -> int:
    trial.simulator.image.delegate("last", is_terminating=True)
    delegated_to(trial)
    return trial.download(TARGET)


def rolled_back_after_a_power_cut(trial: Trial) -> int:
    image = trial.simulator.image
    image.publish()
    assert trial.refresh() == 0
    for role in ROLES[1:]:
        (trial.metadata / f"{role}.json").write_bytes(b"")
    for role in image.versions:
        image.versions[role] -= 1
    image.sign_all()
    return trial.refresh()


def director_that_delegates(trial: Trial) -> int:
    trial.simulator.director.delegate("helper")
    trial.simulator.director.publish()
    return trial.refresh()


def longer_image(trial: Trial) -> int:
    trial.simulator.images[DIGEST] += b"more"
    return trial.download(TARGET)


def changed_image(trial: Trial) -> int:
    trial.simulator.images[DIGEST] = bytes(len(PACKAGE))
    return trial.download(TARGET)


Case = tuple[Path, Callable[[Trial], int], str, str, str, str]
CHECKS: dict[str, Case] = {
    "signatures of a delegated role": (
        IMAGE,
        delegated_without_signature,
        "ota.repository.signature",
        "delegated.py",
        "delegator.verify_delegate(",
        "(lambda *_: None)(",
    ),
    "expiry of a delegated role": (
        IMAGE,
        delegated_and_expired,
        "ota.repository.freeze",
        "delegated.py",
        "if role.is_expired(self.now):",
        "if False:",
    ),
    "hashes of a delegated role": (
        IMAGE,
        delegated_and_reserialized,
        "ota.repository.mix_and_match",
        "delegated.py",
        "listed.verify_length_and_hashes(data)",
        "pass",
    ),
    "the end of a search": (
        IMAGE,
        delegated_behind_the_last,
        "ota.repository.missing_target",
        "delegations.py",
        "if is_terminating:",
        "if False:",
    ),
    "the floor": (
        IMAGE,
        rolled_back_after_a_power_cut,
        "ota.repository.rollback",
        "floor.py",
        "if version < lowest.version:",
        "if False:",
    ),
    "no delegations by the director": (
        DIRECTOR,
        director_that_delegates,
        "ota.repository.director_delegation",
        "uptane.py",
        "if director.delegations is not None:",
        "if False:",
    ),
    "the length of an image": (
        IMAGE,
        longer_image,
        "ota.repository.length_mismatch",
        "download.py",
        "",
        "",
    ),
    "the hashes of an image": (
        IMAGE,
        changed_image,
        "ota.repository.hash_mismatch",
        "download.py",
        "if found != offer.hashes:",
        "if False:",
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_refuses_by_its_code(check: str, tmp_path: Path) -> None:
    script, attack, code, *_ = CHECKS[check]
    with on_trial(prepare(), script, tmp_path) as trial:
        assert trial.init() == 0
        assert attack(trial) == 1
        assert trial.said.startswith(code)


@pytest.mark.parametrize("check", [name for name, case in CHECKS.items() if case[4]])
def test_a_verifier_without_the_check_would_accept(check: str, tmp_path: Path) -> None:
    script, attack, _, module, present, absent = CHECKS[check]
    mutant = copy_of_client(tmp_path / "mutant")
    changed = mutant / "ota" / "client" / module
    assert changed.read_text().count(present) == 1
    changed.write_text(changed.read_text().replace(present, absent))
    with on_trial(prepare(), mutant / script.relative_to(ROOT), tmp_path / "trial") as trial:
        assert trial.init() == 0
        assert attack(trial) == 0, trial.said


def copy_of_client(folder: Path) -> Path:
    """Copy what a script needs, with the same interpreter beside it."""
    shutil.copytree(ROOT / "ota", folder / "ota", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SCRIPTS, folder / "tests" / "conformance")
    (folder / ".venv").symlink_to(sys.prefix)
    return folder
