import logging

import pytest

from telemetry.logs import EventFormatter

STYLE = "%(levelname)s %(name)s %(message)s"


def line(extra: dict[str, object], style: str = STYLE) -> str:
    log = logging.getLogger("agent.uplink")
    return EventFormatter(style).format(
        log.makeRecord(
            log.name, logging.INFO, "uplink.py", 1, "uplink_failed", (), None, None, extra
        )
    )


def test_an_event_shows_the_keys_it_was_logged_with() -> None:
    shown = line({"code": "link.refused", "permanent": False, "retry_s": 1.25})
    assert shown == "INFO agent.uplink uplink_failed code=link.refused permanent=False retry_s=1.25"


@pytest.mark.parametrize("text", ["two words", "two\nlines", "a=b", "", 'say "no"'])
def test_a_text_that_could_be_taken_for_more_is_quoted(text: str) -> None:
    shown = line({"reason": text})
    assert shown == f"INFO agent.uplink uplink_failed reason={text!r}"
    assert "\n" not in shown


def test_an_event_without_keys_is_the_event_alone() -> None:
    assert line({}) == "INFO agent.uplink uplink_failed"
    assert line({}, "%(asctime)s %(message)s").endswith(" uplink_failed")
