"""What the update commands say to the running agent, and how they follow what it does."""

import json
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

from agent.commands.common import Caller

_COLUMNS = 80
_LOOK_S = 0.2  # the agent itself looks twice a second
_CHECK_S = 120.0  # two repositories on a bad network
_INSTALL_S = 3_600.0  # no app takes longer; the agent goes on by itself anyway
_BUSY = frozenset({"verifying", "preparing", "installing", "checking", "committing"})
_BACK = frozenset({"rolling_back", "reporting"})


class AnswerRefusedError(Exception):
    """The agent did not take it; ``code`` is the agent's own."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{sentence} ({code})")
        self.code = code


def ask_agent(caller: Caller, word: str, about: str = "") -> dict[str, Any]:
    """Ask the running agent; return its answer.

    Raises:
        NobodyServesError: No agent runs.
        AnswerRefusedError: It says no, and why.
    """
    from agent.control import ask  # noqa: PLC0415 (only these commands need it)
    from agent.hmi.remote import NobodyServesError  # noqa: PLC0415

    control = caller.folders().control
    said = ask(control, f"{word} {about}".rstrip())
    if said is None:
        raise NobodyServesError(f"{control}: expected a running agent, got none; nothing changed")
    answer: dict[str, Any] = json.loads(said)
    if refused := answer.get("error"):
        raise AnswerRefusedError(refused["code"], refused["message"])
    return answer


def follow_check(caller: Caller) -> dict[str, Any]:
    """Let the agent look for an update; return how it stands once it has looked and fetched."""
    before = ask_agent(caller, "update-check")["checks"]

    def has_ended(view: dict[str, Any]) -> bool:
        is_fetching = view["state"] == "downloading" and view["problem"] is None
        is_busy = is_fetching or view["state"] in _BUSY | _BACK
        return view["checks"] > before and not is_busy

    return _follow(caller, has_ended, timeout_s=_CHECK_S)


def follow_install(caller: Caller) -> dict[str, Any]:
    """Follow an installation that was begun to its end; return how the update stands then.

    Raises:
        AnswerRefusedError: A gate closed in the middle, or the update ended badly.
    """
    seen: set[str] = set()

    def has_ended(view: dict[str, Any]) -> bool:
        seen.add(view["state"])
        is_put_back = view["state"] == "awaiting_ok" and (seen & _BUSY or _reasons(view))
        return view["state"] == "idle" or bool(is_put_back)

    view = _follow(caller, has_ended, timeout_s=_INSTALL_S)
    if view["state"] != "idle":
        why = next(iter(_reasons(view)), {"code": "update", "sentence": "It waits again."})
        raise AnswerRefusedError(why["code"], why["sentence"])
    last = view["last"] or {}
    if last.get("result", {}).get("code") is not None:
        ended = f"{last['sentence']} It ended with {last['result']['code']}."
        raise AnswerRefusedError("update.failed", ended)
    return view


def _reasons(view: dict[str, Any]) -> list[dict[str, str]]:
    """Return why it waits, but for the OK: what was asked a moment ago may still show that."""
    return [each for each in view["refusals"] if each["code"] != "ota.gate.not_approved"]


def _follow(
    caller: Caller, has_ended: Callable[[dict[str, Any]], bool], *, timeout_s: float
) -> dict[str, Any]:
    """Say on standard error what the agent does until ``has_ended``, or for ``timeout_s``."""
    until_s, shown = time.monotonic() + timeout_s, ""
    while not has_ended(view := ask_agent(caller, "update-view")):
        line = next(iter(_steps(view)), "")
        if line != shown:
            sys.stderr.write(f"{line}\n")
            shown = line
        if time.monotonic() > until_s:
            break
        time.sleep(_LOOK_S)
    return view


def _steps(view: dict[str, Any]) -> Iterator[str]:
    if (progress := view["progress"]) is not None:
        yield progress_line(progress)
    yield str(view["state"]).replace("_", " ")


def progress_line(progress: dict[str, Any]) -> str:
    """Return how far a download is: bytes, speed and time left, as far as they are known."""
    done, total = progress["done_bytes"], progress["total_bytes"]
    line = f"downloading {done:,} of {total:,} bytes"
    if (speed := progress["bytes_per_s"]) is not None:
        line += f", {speed / 1_000:,.0f} kB/s"
    if (left := progress["left_s"]) is not None:
        line += f", {left:.0f} s left"
    return line


def view_lines(view: dict[str, Any]) -> Iterator[str]:
    """Yield where the update stands, for a person."""
    yield f"state     {view['state']}"
    if offer := view["offer"]:
        yield from _offer_lines(offer)
    if view["progress"]:
        yield f"          {progress_line(view['progress'])}"
    yield from reason_lines(view)


def _offer_lines(offer: dict[str, Any]) -> Iterator[str]:
    more = f" with {', '.join(offer['others'])}" if offer["others"] else ""
    replaces = f", replaces {offer['from_version']}" if offer["from_version"] else ""
    yield f"offered   {offer['name']} {offer['to_version']}{more} ({offer['criticality']})"
    yield f"          {offer['size_bytes']:,} bytes{replaces}"
    yield f"          {offer['content_hash']}"
    if facts := offer["facts"].get("en"):
        yield from sentence_lines("why", facts["purpose"])
        yield from sentence_lines("takes", f"at most {facts['duration_s']} s")
    if offer["deadline"]:
        yield f"deadline  {offer['deadline']}{', passed' if offer['is_overdue'] else ''}"


def sentence_lines(label: str, sentence: str, *, indent: int = 10) -> Iterator[str]:
    """Yield ``label`` and a sentence, wrapped so that it can be read on any terminal."""
    yield from textwrap.wrap(
        sentence,
        _COLUMNS,
        initial_indent=label.ljust(indent),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def reason_lines(view: dict[str, Any]) -> Iterator[str]:
    """Yield each reason why nothing is installed now, with its code."""
    if refused := view["attack"]:
        yield from sentence_lines("refused", f"{refused['sentence']} ({refused['code']})")
    if problem := view["problem"]:
        yield from sentence_lines("problem", f"{problem['sentence']} ({problem['code']})")
    for refusal in view["refusals"]:
        yield from sentence_lines("waits", f"{refusal['sentence']} ({refusal['code']})")
