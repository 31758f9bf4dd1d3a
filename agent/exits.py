"""How okdrive-agent ends: one exit code per family of errors, and the four lines a person reads.

Families are named by the prefix of their stable code, so that this table imports none of them and
`status` starts quickly. Source of the numbers: docs/reference/exit-codes.md.
"""

from typing import NamedTuple

from agent.wording import COLUMNS, labelled


class Family(NamedTuple):
    """What errors whose code starts with ``prefix`` mean for the shell and for a person."""

    prefix: str
    exit_code: int
    intact: str
    advice: str


_NOTHING_STARTED = "nothing was started and no file was changed"
_FAMILIES = (  # first match counts
    Family(
        "agent.config", 2, _NOTHING_STARTED, "correct the file; `okdrive-agent config validate`"
    ),
    Family("agent.token", 2, "what is stored is intact", "look at [token] in the configuration"),
    Family("agent.no_token", 2, "nothing was changed", "docs/reference/at-rest.md"),
    Family("agent.key_file", 2, _NOTHING_STARTED, "restore the key file, mode 0600"),
    Family("agent.running", 7, "the running agent goes on", "stop it first"),
    Family("agent.not_running", 4, "what is stored is intact", "start `okdrive-agent run`"),
    Family("agent.answer_refused", 4, "nothing was changed", "`okdrive-agent update why-not`"),
    Family(
        "agent.not_found",
        6,
        "nothing was changed",
        "name one that is listed",
    ),
    Family("update.failed", 1, "what ran before still runs", "`okdrive-agent update history`"),
    Family("update", 4, "the update stands where it stood", "`okdrive-agent update why-not`"),
    Family("ota.gate", 4, "the update stands where it stood", "`okdrive-agent update why-not`"),
    Family("signals.path", 6, "nothing was changed", "`okdrive-agent vehicle decode` names them"),
    Family("signals.definition", 1, "no table was changed", "correct the definition"),
    Family("signals.vehicle", 6, _NOTHING_STARTED, "`okdrive-agent vehicle list` names them"),
    Family("signals", 6, "nothing that was recorded before is lost", "name another file"),
    Family(
        "screen.port_taken", 7, "trips and queue are intact", "free the port or set another one"
    ),
    Family("screen", 2, "trips and queue are intact", "correct [screen] in the configuration"),
    Family("erase", 6, "nothing was erased", "`okdrive-agent trips list` names them"),
    Family("export.nothing", 6, "nothing was written", "`okdrive-agent trips list` names them"),
    Family("export.parquet", 2, "nothing was written", "`--format csv` needs no extra"),
    Family("export", 7, "what the vehicle keeps is untouched", "name another place"),
    Family("consent.signing_key", 3, "the ledger is as it was found", "look at [token]"),
    Family("consent.ledger_broken", 3, "the ledger is as it was found", "restore the state file"),
    Family("consent.receipt", 3, "the ledger is as it was", "`okdrive-agent consent history`"),
    Family("consent.export", 6, _NOTHING_STARTED, "name a file that `consent history -o` wrote"),
    Family("consent.not_on_offer", 6, "nothing was changed", "`okdrive-agent preview` names them"),
    Family("zones.not_found", 6, "nothing was changed", "`okdrive-agent zones list` names them"),
    Family("zones.no_position", 6, "nothing was changed", "give it: --at LATITUDE,LONGITUDE"),
    Family("zones.unreadable", 1, "nothing with a place is offered", "remove --all, draw again"),
    Family("zones", 2, "the drawn places are as they were", "`okdrive-agent zones list`"),
    Family("driver", 4, "nothing was changed", "`okdrive-agent driver list`"),
    Family("consent", 4, "consents and queue are as they were", "`okdrive-agent consent show`"),
    Family("store.busy", 8, "what was stored before is intact", "try again"),
    Family("store.full", 1, "what was stored before is intact", "make room on that disk"),
    Family("store.missing", 6, "nothing was changed", "start `okdrive-agent run` once"),
    Family("store", 1, "what was stored before is intact", "`okdrive-agent doctor`"),
    Family("link", 8, "what the driver confirmed stays in the queue", "it is tried again"),
    Family("ota.install", 1, "the installed apps are as they were", "`okdrive-agent doctor`"),
    Family("ota", 3, "the installed apps are as they were", "`okdrive-agent update show`"),
)
_UNEXPECTED = Family("", 1, "what was stored before is intact", "run it with --debug and report it")


def family(error: BaseException) -> Family:
    """Return the family of ``error``; a group has that of its first member."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    code = str(getattr(error, "code", ""))
    return next((known for known in _FAMILIES if code.startswith(known.prefix)), _UNEXPECTED)


def explain(doing: str, error: BaseException, *, columns: int | None = None) -> str:
    """Return four lines: what failed, expected and found, what is intact and next, the code.

    With ``columns``, the width of a terminal, a longer line goes on below itself.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    known = family(error)
    code = getattr(error, "code", type(error).__name__)
    told = {
        "  why       ": str(error),
        "  intact    ": f"{known.intact}. Next: {known.advice}",
        "  see       ": f"docs/reference/exit-codes.md  {code}  [exit {known.exit_code}]",
    }
    lines = [f"{label}{text}" for label, text in told.items()]
    if columns is not None:
        lines = [
            line for item in told.items() for line in labelled(*item, columns=max(columns, COLUMNS))
        ]
    return "\n".join([f"okdrive-agent: {doing} failed", *lines])
