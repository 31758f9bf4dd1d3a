"""Each kind of trouble: one clear message, a numbered exit code, nothing lost."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.clock import SystemClock
from sim.home import Home, HomeSettings, prepare
from sim.pki import Authority

BIN = Path(sys.executable).parent
pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


@dataclass
class Ended:
    code: int
    said: str


def run(home: Path, program: str, *arguments: str, timeout_s: float = 30.0) -> Ended:
    done = subprocess.run(
        [BIN / program, *arguments],
        env={**os.environ, "OKDRIVE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    return Ended(done.returncode, done.stderr)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return prepare(tmp_path / "home", clock=SystemClock(), settings=HomeSettings())


def edit(home: Home, old: str, new: str) -> None:
    path = home.folder / "agent.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def expect(ended: Ended, code: int, *words: str) -> None:
    """Four lines: what failed, why, what is intact and next, where more with the code."""
    assert ended.code == code, ended.said
    lines = ended.said.strip().splitlines()[-4:]
    assert lines[0].startswith("okdrive-agent: ")
    assert lines[2].strip().startswith("intact ")
    assert lines[3].endswith(f"[exit {code}]")
    for word in words:
        assert word in ended.said


def test_an_unknown_key_is_named_with_its_section(home: Home) -> None:
    edit(home, "hold_s =", "hold_seconds =")
    expect(run(home.folder, "okdrive-agent", "run"), 2, "hold_seconds", "$.uplink")


def test_an_unknown_vehicle_is_refused_and_the_known_ones_are_named(home: Home) -> None:
    edit(home, '"nissan-leaf-ze1"', '"nissan-leaf-zz9"')
    expect(run(home.folder, "okdrive-agent", "run"), 6, "nissan-leaf-zz9", "nissan-leaf-ze1")


def test_a_taken_port_is_named_and_nothing_is_lost(home: Home) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        edit(home, "[screen]\nport = 0", f"[screen]\nport = {port}")
        expect(run(home.folder, "okdrive-agent", "run"), 7, f"port {port}", "free")


def test_a_second_agent_on_the_same_folder_is_refused(home: Home) -> None:
    first = subprocess.Popen(
        [BIN / "okdrive-agent", "run"],
        env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not home.screen_file.exists():
            assert first.poll() is None
        expect(run(home.folder, "okdrive-agent", "run"), 7, "found one running")
    finally:
        first.terminate()
        assert first.wait(20) == 143


def test_a_key_that_others_can_read_is_refused(home: Home) -> None:
    (home.folder / "identity" / "ecu.key").chmod(0o644)
    expect(run(home.folder, "okdrive-agent", "run"), 2, "0600", "ecu.key")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_and_the_state_is_not_half_written(
    home: Home, small_disk: Path
) -> None:
    edit(home, 'state_dir = "agent"', f'state_dir = "{small_disk}"')
    (small_disk / "filler").write_bytes(b"x" * 60_000)
    ended = run(home.folder, "okdrive-agent", "run")
    assert ended.code == 1, ended.said
    assert "okdrive-agent: starting failed" in ended.said
    assert "full" in ended.said or "space" in ended.said


def test_a_truncated_recording_is_decoded_as_far_as_it_goes(tmp_path: Path) -> None:
    log = tmp_path / "cut.log"
    whole = "(0.000000) can0 1DB#FF80C5AA00FFC28E\n"
    log.write_text(whole + whole.replace("0.000000", "0.010000")[:25])
    done = run(
        tmp_path, "okdrive-agent", "vehicle", "decode", str(log), "--vehicle=nissan-leaf-ze1"
    )
    assert done.code == 0, done.said


def test_a_file_that_is_no_recording_is_one_clear_sentence(tmp_path: Path) -> None:
    log = tmp_path / "picture.log"
    log.write_bytes(b"\x89PNG\r\n" * 100)
    ended = run(
        tmp_path, "okdrive-agent", "vehicle", "decode", str(log), "--vehicle", "nissan-leaf-ze1"
    )
    expect(ended, 6, "picture.log")


def test_the_agent_starts_and_waits_while_broker_and_director_are_down(home: Home) -> None:
    agent = subprocess.Popen(
        [BIN / "okdrive-agent", "run"],
        env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not home.screen_file.exists():
            assert agent.poll() is None
        assert run(home.folder, "okdrive-agent", "status").code == 0
    finally:
        agent.terminate()
        _, said = agent.communicate(timeout=20)
    assert agent.returncode == 143
    assert "Traceback" not in said


def test_a_certificate_of_another_authority_is_a_sentence_not_a_trace(
    home: Home, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", name="another CA", now=SystemClock().utc_now())
    foreign = other.issue_client(home.vehicle_id, now=SystemClock().utc_now())
    edit(home, f'certificate = "pki/{home.vehicle_id}.pem"', f'certificate = "{foreign.cert_file}"')
    edit(
        home,
        f'certificate_key = "pki/{home.vehicle_id}.key"',
        f'certificate_key = "{foreign.key_file}"',
    )
    done = subprocess.run(
        [BIN / "okdrive-agent", "doctor"],
        env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = " ".join(done.stdout.split())  # its lines are as narrow as a terminal
    assert "fail certificate expected one of CN=okdrive demo CA, found one of CN=another CA" in said
