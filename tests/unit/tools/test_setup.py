import sys

import pytest

from tools import setup


def test_only_parts_that_are_not_there_are_asked_for() -> None:
    parts = {"sh": "dash", "/etc": "base-files", "no-such-program": "nothing", "/no/file": "more"}
    assert set(setup.missing_packages(parts)) - {"python3-venv"} == {"nothing", "more"}


def test_without_root_and_sudo_the_command_to_type_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> list[str]:
        raise setup.SetupError("expected to be root or to find sudo, found neither")

    monkeypatch.setattr(setup, "_as_root", refuse)
    monkeypatch.setattr(setup.shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    with pytest.raises(setup.SetupError, match=r"apt-get install .* mosquitto"):
        setup.install_packages(["mosquitto"])


def test_an_old_interpreter_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup, "OLDEST", (99, 0))
    monkeypatch.setattr(sys, "argv", ["setup", "demo"])
    assert setup.main() == 1
    assert "expected Python >= 3.11, found" in capsys.readouterr().out
