"""What the legacy vectors leave out: each attack is refused by its code, and costs no floor."""

from pathlib import Path

import pytest

from ota.errors import OtaError
from tests.support.attacks import prepare
from tests.support.own_attacks import OWN_ATTACKS
from tests.support.update_client import floors_of, verify_and_download

REFUSED = [name for name, attack in OWN_ATTACKS.items() if attack.code]
ACCEPTED = [name for name, attack in OWN_ATTACKS.items() if not attack.code]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_an_attack_is_refused_by_its_code(name: str, tmp_path: Path) -> None:
    attack, simulator = OWN_ATTACKS[name], prepare()
    attack.before(simulator)
    for image in verify_and_download(simulator, tmp_path):
        image.unlink()
    before = floors_of(tmp_path)
    attack.run(simulator)
    with pytest.raises(OtaError, match="expected") as refusal:
        verify_and_download(simulator, tmp_path)
    assert refusal.value.code == attack.code
    after = floors_of(tmp_path)
    assert all(after[role] >= version for role, version in before.items())
    assert [*(tmp_path / "images").glob("*")] == [*(tmp_path / "images").glob("*.part")]


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_no_attack_is_accepted(name: str, tmp_path: Path) -> None:
    attack, simulator = OWN_ATTACKS[name], prepare()
    attack.before(simulator)
    verify_and_download(simulator, tmp_path / "vehicle")
    attack.run(simulator)
    assert len(verify_and_download(simulator, tmp_path / "vehicle")) == 1
    kept = {path.parent for path in tmp_path.rglob("*.json")}
    folder = tmp_path / "vehicle" / "metadata"
    assert {path for path in kept if path.name != "root_history"} == {
        folder / "director",
        folder / "image",
    }
