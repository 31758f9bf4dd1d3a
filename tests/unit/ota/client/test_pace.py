"""How fast bytes come, and how fast they may."""

import pytest

from ota.client.pace import SlidingSpeed, TokenBucket


def test_a_trickle_is_noticed_once_a_whole_window_was_slow() -> None:
    speed = SlidingSpeed(30)
    speed.note(0, 0)
    for second in range(1, 30):
        speed.note(second, 2)
        assert not speed.is_below(second, 512)
    speed.note(30, 2)
    assert speed.is_below(30, 512)


def test_a_stream_that_dries_up_is_slow_however_fast_it_began() -> None:
    speed = SlidingSpeed(30)
    speed.note(0, 10_000_000)
    for second in range(1, 40):
        speed.note(second, 2)
    assert speed.is_below(39, 512)
    assert speed.bytes_per_s(39) == pytest.approx(2, rel=0.2)


def test_no_speed_is_told_before_there_is_one() -> None:
    speed = SlidingSpeed(10)
    assert speed.bytes_per_s(5) is None
    speed.note(5, 1_000)
    assert speed.bytes_per_s(5.5) is None
    assert speed.bytes_per_s(7) == 500


def test_a_bucket_lets_its_rate_through_on_average() -> None:
    bucket, now_s = TokenBucket(1_000, burst_bytes=2_000), 0.0
    for _ in range(20):
        now_s += bucket.wait_s(now_s, 1_000)
    assert now_s == pytest.approx((20_000 - 2_000) / 1_000)


def test_a_bucket_without_a_rate_never_waits() -> None:
    assert TokenBucket(None).wait_s(0, 10**9) == 0
