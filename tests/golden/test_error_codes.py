"""docs/reference/error-codes.md says what the code says: ``make golden`` writes it anew."""

import importlib
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import ota
from agent.signals.errors import SignalsError
from ota.client.gates import GATES
from ota.errors import OtaError

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "error-codes.md"
HEAD = """# Error codes of updates and signals

Written by `make golden` from the classes below `OtaError` and `SignalsError`; a test compares. A
code is never used for anything else, and never used again. It stands on the command line and in
the log, that of an update also in the signed vehicle version manifest; the sentence is what a
driver reads, the advice is for who looks after the vehicle. "A sign of" names the attack it would
be, if it was one; mostly it is a mistake. What each family means for a retry is in the title above
its table.

"""
FAMILIES = {
    "ota.repository": "The repository is wrong: do not retry before it changes",
    "ota.download": "The network is wrong: retry with backoff",
    "ota.not_now": "A gate is closed: ask again when the vehicle changes",
    "ota.install": "This vehicle is wrong: what ran before still runs",
    "ota.floor": "The floor is wrong: nothing is verified without it",
    "ota.journal": "The journal is wrong: the update starts anew",
    "ota.manifest": "A vehicle's report is not believed: the Director keeps what it knew",
    "ota.publish": "What a release engineer asked for is refused: nothing was published",
}
GATE_HEAD = """## Why an update waits

Gates are no errors: the update goes on by itself when they open.

"""
SIGNALS_HEAD = """
## Signals: definitions of vehicles, recordings, buses

The message names the file, and the line where there is one.

"""


def test_the_page_of_error_codes_is_fresh() -> None:
    page = write_page()
    if os.environ.get("OKDRIVE_GOLDEN") == "rewrite":
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def test_no_code_is_left_out_of_the_page() -> None:
    page = write_page()
    assert [kind.code for kind in all_errors() if f"`{kind.code}`" not in page] == []


def write_page() -> str:
    parts = [HEAD]
    for family, title in FAMILIES.items():
        kinds = [kind for kind in all_errors() if kind.code.split(".")[:2] == family.split(".")]
        rows = [
            row_of(kind.code, summary_of(kind), kind.attack or "", kind.sentence, kind.advice)
            for kind in kinds
        ]
        head = table("code", "what it is", "a sign of", "to a driver", "advice")
        parts += [f"## {title}\n\n", head, *rows]
        parts.append("\n")
    parts += [GATE_HEAD, table("code", "looks at")]
    parts += [
        row_of(gate.code, gate.refuse.__name__.strip("_").replace("_", " ")) for gate in GATES
    ]
    parts += [SIGNALS_HEAD, table("code", "what it is")]
    parts += [row_of(kind.code, summary_of(kind)) for kind in (SignalsError, *below(SignalsError))]
    return "".join(parts)


def all_errors() -> list[type[OtaError]]:
    """Return every class of the tree, wherever a part of okdrive adds its leaf; by code."""
    for module in pkgutil.walk_packages(ota.__path__, "ota."):
        importlib.import_module(module.name)
    kinds = {kind.code: kind for kind in below(OtaError) if kind.__module__.startswith("ota.")}
    return [kinds[code] for code in sorted(kinds)]


def below(kind: type[OtaError]) -> Iterator[type[OtaError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


def summary_of(kind: type[OtaError]) -> str:
    return (kind.__doc__ or "").splitlines()[0]


def table(*columns: str) -> str:
    return f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"


def row_of(code: str, *cells: str) -> str:
    return f"| `{code}` | {' | '.join(cells)} |\n"
