from datetime import UTC

from agent.clock import SystemClock


def test_the_kernel_says_whether_wall_time_is_proven() -> None:
    assert SystemClock().is_proven() in {True, False}


def test_the_two_hands_tell_their_own_time() -> None:
    clock = SystemClock()
    assert clock.utc_now().tzinfo is UTC
    assert clock.monotonic_s() <= clock.monotonic_s()
    assert clock.boot_id() == clock.boot_id()
