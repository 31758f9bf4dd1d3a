"""Runs the public TUF conformance suite on both paths, and shows what the Director's xfails are.

``python -m tools.conformance SUITE`` needs a checkout of the suite with an environment of its own
(docs/how-to/run-tuf-conformance.md). Three runs: the Image path, the Director path, and that of a
copy in which the one check "the Director does not delegate" is taken out. What the second refuses
and the third accepts is refused for that reason and no other.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "tests" / "conformance"
PAGE = ROOT / "docs" / "reference" / "conformance.md"
XFAILS = SCRIPTS / "tuf-client-director.xfails"
_CHECK = "    if director.delegations is not None:"
_RESULT = re.compile(
    r"^(PASSED|FAILED|XFAIL|XPASS|ERROR|SKIPPED) (?:\[\d+\] )?\S+?::(.+?)(?: - .*)?$"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all three and write the page; return 0 if all is as promised, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.conformance", description=__doc__)
    parser.add_argument("suite", type=Path, help="checkout of theupdateframework/tuf-conformance")
    parser.add_argument("--python", type=Path, help="of the suite; default: SUITE/env/bin/python")
    asked = parser.parse_args(arguments)
    python = asked.python or asked.suite / "env" / "bin" / "python"
    image = run(asked.suite, python, SCRIPTS / "tuf-client")
    director = run(asked.suite, python, SCRIPTS / "tuf-client-director")
    with without_the_check() as script:
        delegating = run(asked.suite, python, script)
    troubles = list(judge(image, director, delegating))
    for trouble in troubles:
        print(trouble)
    if not troubles:
        PAGE.write_text(page_of(image, director))
        print(f"as promised; written to {PAGE.relative_to(ROOT)}")
    return 1 if troubles else 0


def run(suite: Path, python: Path, script: Path) -> dict[str, str]:
    """Return how each case ended (PASSED, XFAIL, ...), by its name."""
    command = [str(python), "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "tuf_conformance", f"--entrypoint={script}"],
        cwd=suite,
        env={"PATH": "/usr/bin:/bin"},  # a script needs no more
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(results_in(done.stdout))
    print(f"{script.name}: {len(found)} cases, {sum(e == 'PASSED' for e in found.values())} passed")
    return found


def results_in(output: str) -> Iterator[tuple[str, str]]:
    """Yield (case, result) of each line of pytest's summary."""
    for line in output.splitlines():
        if match := _RESULT.match(line):
            yield match[2], match[1]


def judge(
    image: dict[str, str], director: dict[str, str], delegating: dict[str, str]
) -> Iterator[str]:
    """Yield what is not as promised."""
    expected = {name for name in XFAILS.read_text().splitlines() if name}
    refused = {name for name, end in director.items() if end != "PASSED"}
    if not image:
        yield "the suite ran no case"
    if set(image.values()) - {"PASSED"}:
        yield f"the Image path: {[name for name, end in image.items() if end != 'PASSED']}"
    if refused != expected:
        yield f"the Director path refuses {sorted(refused ^ expected)} against the list"
    if late := [name for name, end in delegating.items() if end != "PASSED"]:
        yield f"refused for another reason than delegations: {late}"


def page_of(image: dict[str, str], director: dict[str, str]) -> str:
    """Return the page that holds the result."""
    refused = sorted(name for name, end in director.items() if end != "PASSED")
    passed = len(director) - len(refused)
    rows = (
        ("Image (`tuf-client`)", len(image), len(image), 0),
        ("Director (`tuf-client-director`)", len(director), passed, len(refused)),
        ("Director without that one check", len(director), len(director), 0),
    )
    lines = [
        "# Public TUF conformance suite",
        "",
        "Written by `python -m tools.conformance SUITE`; see `../how-to/run-tuf-conformance.md`.",
        "",
        "| path | cases | passed | refused because they delegate |",
        "|---|---|---|---|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
        "",
        'The third line is why the second is exact: without the check "the Director does not',
        'delegate", taken out of a copy, every case passes. So each of these is refused for that',
        "reason alone:",
        "",
        *(f"* `{name}`" for name in refused),
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def without_the_check() -> Iterator[Path]:
    """Yield the Director's script of a copy that lets a Director delegate, without xfails."""
    with tempfile.TemporaryDirectory(prefix="okdrive-conformance-") as name:
        folder = Path(name)
        shutil.copytree(ROOT / "ota", folder / "ota", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(SCRIPTS, folder / "tests" / "conformance")
        (folder / ".venv").symlink_to(sys.prefix)
        rules = folder / "ota" / "client" / "uptane.py"
        source = rules.read_text()
        if source.count(_CHECK) != 1:
            raise ValueError(f"expected {_CHECK!r} once in ota/client/uptane.py")
        rules.write_text(source.replace(_CHECK, "    if False:"))
        (folder / "tests" / "conformance" / XFAILS.name).write_text("")
        yield folder / "tests" / "conformance" / "tuf-client-director"


if __name__ == "__main__":
    sys.exit(main())
