"""Cases of the verifier that need a clock, a power cut or another vehicle."""

from pathlib import Path

import pytest

from tests.support.verifying import CASES, run_case


@pytest.mark.parametrize("name", CASES)
def test_a_case_meets_its_code(name: str, tmp_path: Path) -> None:
    assert run_case(name, tmp_path) == CASES[name][1]
