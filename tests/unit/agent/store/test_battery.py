import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from agent.store.battery import MAX_ALERTS, MAX_EVENT_BYTES, BatteryHistory

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TODAY = date(2026, 11, 22)


@pytest.fixture
def history(tmp_path: Path) -> BatteryHistory:
    return BatteryHistory.open(tmp_path / "battery.sqlite")


def raise_alert(history: BatteryHistory, code: str = "weak_cell", *, hours: int = 0) -> None:
    now = NOON + timedelta(hours=hours)
    history.raise_alert(code=code, severity="warning", now_utc=now, body="{}", event="[]")


def test_measurements_of_a_day_become_one_figure(history: BatteryHistory) -> None:
    for value in (0.050, 0.052, 0.054):
        history.add(TODAY, "resistance", value, place="20..25 C")
    (figure,) = history.figures("resistance")
    assert (figure.count, figure.low, figure.high) == (3, 0.050, 0.054)
    assert figure.mean == pytest.approx(0.052)
    history.close()


def test_figures_are_found_by_kind_and_day_oldest_first(history: BatteryHistory) -> None:
    for days in (2, 0, 1):
        history.add(TODAY + timedelta(days=days), "health", 91.0 - days)
    history.add(TODAY, "capacity", 162.2)
    assert [figure.mean for figure in history.figures("health")] == [91.0, 90.0, 89.0]
    assert len(history.figures(since=TODAY + timedelta(days=1))) == 2
    assert len(history.figures()) == 4
    history.close()


def test_an_alert_goes_on_until_it_is_cleared(history: BatteryHistory) -> None:
    raise_alert(history)
    raise_alert(history, hours=25)
    (alert,) = history.alerts()
    assert (alert.raised_utc, alert.last_utc) == (NOON, NOON + timedelta(hours=25))
    history.clear_alert("weak_cell", now_utc=NOON + timedelta(hours=30))
    raise_alert(history, hours=40)
    assert [alert.cleared_utc is None for alert in history.alerts()] == [True, False]
    history.close()


def test_clearing_what_was_never_raised_is_nothing(history: BatteryHistory) -> None:
    history.clear_alert("weak_cell", now_utc=NOON)
    assert history.alerts() == []
    history.close()


def test_an_event_that_is_too_large_is_left_out(history: BatteryHistory) -> None:
    history.raise_alert(
        code="weak_cell",
        severity="warning",
        now_utc=NOON,
        body="{}",
        event="x" * (MAX_EVENT_BYTES + 1),
    )
    assert history.alerts()[0].event == "[]"
    history.close()


def test_the_oldest_alerts_make_room(history: BatteryHistory) -> None:
    with history._database.transaction():
        for number in range(MAX_ALERTS + 2):
            raise_alert(history, f"code-{number}")
    assert len(history.alerts(limit=-1)) == MAX_ALERTS
    assert history.alerts(limit=-1)[-1].code == "code-2"
    history.close()


def test_what_is_remembered_is_there_after_opening_again(tmp_path: Path) -> None:
    first = BatteryHistory.open(tmp_path / "battery.sqlite")
    assert first.recall("watch") is None
    first.remember("watch", '{"a": 1}')
    first.remember("watch", '{"a": 2}')
    first.close()
    again = BatteryHistory.open_to_read(tmp_path / "battery.sqlite")
    assert again.recall("watch") == '{"a": 2}'
    again.close()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE days SET mean=mean + 1",
        "UPDATE alerts SET code='relay_cut'",
        "UPDATE memory SET body='{}'",
    ],
)
def test_a_row_that_was_changed_on_the_disk_is_counted_and_left_out(
    tmp_path: Path, history: BatteryHistory, edit: str
) -> None:
    history.add(TODAY, "health", 91.0)
    raise_alert(history)
    history.remember("watch", '{"a": 1}')
    with sqlite3.connect(tmp_path / "battery.sqlite") as other:
        other.execute(edit)
    other.close()
    assert history.damaged() == 1
    left = [history.figures(), history.alerts(), history.recall("watch")]
    assert sum(1 for one in left if not one) == 1
    history.close()
