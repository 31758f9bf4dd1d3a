"""How the daemons log: a fixed event name and its keys, one line for each change of state."""

import logging
import sys
from typing import Final

_OWN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """Writes what was handed over as ``extra`` behind the event, as ``key=value``."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is Python's)
        """Return the line, before any traceback."""
        keys = [
            f"{key}={_shown(value)}"
            for key, value in record.__dict__.items()
            if key not in _OWN and not key.startswith("_")
        ]
        return " ".join([super().formatMessage(record), *keys])


def _shown(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return repr(text) if not text or set(text) & set(" =\n\"'") else text


def start_logging(style: str, *, is_verbose: bool) -> None:
    """Log to standard error from INFO on, or from WARNING on unless ``is_verbose``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter(style))
    logging.basicConfig(handlers=[handler], level=logging.INFO if is_verbose else logging.WARNING)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # its jobs log for themselves
