from agent.health import Check, Finding, Level, examine, ok


def test_a_check_that_raises_is_a_failure_and_the_rest_still_run() -> None:
    def broken() -> Finding:
        raise OSError("disk gone")

    found = examine([Check(name="disk", look=broken), Check(name="clock", look=lambda: ok("fine"))])
    assert [(name, finding.level) for name, finding in found] == [
        ("disk", Level.FAIL),
        ("clock", Level.OK),
    ]
    assert "disk gone" in found[0][1].text
