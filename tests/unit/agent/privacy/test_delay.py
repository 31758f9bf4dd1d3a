import pytest

from agent.privacy.delay import sending_delay_s


@pytest.mark.parametrize(("chance", "hours"), [(0.0, 12), (0.5, 36), (1.0, 60)])
def test_a_record_waits_half_a_day_to_two_and_a_half(chance: float, hours: int) -> None:
    assert sending_delay_s(lambda: chance) == hours * 3_600
