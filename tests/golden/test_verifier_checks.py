"""No check of the verifier can be taken out without a case that turns red; the table says which.

``make golden`` writes docs/reference/verifier-checks.md anew.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mutants import MUTANTS, ROOT
from tests.support.verifying import expected_code

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200)]

PAGE = ROOT / "docs" / "reference" / "verifier-checks.md"
HEAD = """# The verifier's checks, each taken out once

Written by `tests/golden/test_verifier_checks.py`. Each line is a check of the product (not of
python-tuf, whose own are tried by the public conformance suite), the case that notices when it is
missing, the code this case must meet, and what it met without the check. `accepted`: nothing else
stood behind it. Another code: a later check refused, under a name that is not the attack's. The
edits are in `tests/support/mutants.py`; the cases are in `tests/support/verifying.py`, and the
attacks of `python -m tests.support.repository_simulator --list`.

| check | in | case | must meet | without the check |
|---|---|---|---|---|
"""


@pytest.fixture(scope="module")
def met() -> list[str]:
    command = [sys.executable, "-m", "tests.support.mutants"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [json.loads(line)["met"] for line in done.stdout.splitlines()]


def test_without_a_check_its_case_turns_red(met: list[str]) -> None:
    assert len(met) == len(MUTANTS)
    spared = [
        mutant.check
        for mutant, code in zip(MUTANTS, met, strict=True)
        if code == (expected_code(mutant.case) or "accepted")
    ]
    assert spared == []


def test_the_page_of_checks_is_fresh(met: list[str]) -> None:
    page = HEAD + "".join(map(row_of, range(len(MUTANTS)), met))
    if os.environ.get("OKDRIVE_GOLDEN") == "rewrite":
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def row_of(index: int, code: str) -> str:
    mutant = MUTANTS[index]
    places = dict.fromkeys(
        f"`{Path(*m.split('.')).with_suffix('.py')}`" for m, _, _ in mutant.edits
    )
    must = expected_code(mutant.case) or "accepted"
    cells = (mutant.check, ", ".join(places), mutant.case, f"`{must}`", f"`{code}`")
    return f"| {' | '.join(cells)} |\n"
