"""Topics: built and parsed in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.purposes import Purpose
from telemetry.topics import (
    TopicError,
    ack_topic,
    is_ack_topic,
    new_client_id,
    parse_uplink,
    uplink_topic,
)


@pytest.mark.parametrize("purpose", Purpose)
def test_an_uplink_topic_names_its_purpose_and_nothing_else(purpose: Purpose) -> None:
    assert uplink_topic(purpose) == f"okdrive/1/up/{purpose.value}"
    assert parse_uplink(uplink_topic(purpose)) is purpose


@pytest.mark.parametrize(
    "topic",
    ["", "battery", "okdrive/1/up/", "okdrive/1/up/nothing", "okdrive/2/up/battery", "x" * 9999],
)
def test_any_other_topic_is_refused(topic: str) -> None:
    with pytest.raises(TopicError, match="the message is dropped") as caught:
        parse_uplink(topic)
    assert caught.value.code == "telemetry.topic.unknown"
    assert len(str(caught.value)) < 200


@given(st.binary(min_size=16, max_size=16))
def test_a_client_id_has_its_ack_topic(random16: bytes) -> None:
    topic = ack_topic(new_client_id(random16))
    assert topic == "okdrive/1/ack/" + random16.hex()
    assert is_ack_topic(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "okdrive/1/ack/" + "a" * 31,
        "okdrive/1/ack/" + "a" * 33,
        "okdrive/1/ack/" + "A" * 32,
        "okdrive/1/ack/" + "a" * 32 + "\n",
        "okdrive/1/ack/" + "a" * 31 + "/",
        "okdrive/1/ack/#",
        "x" + "okdrive/1/ack/" + "a" * 32,
        "okdrive/1/up/battery",
        "",
    ],
)
def test_ingest_answers_on_nothing_that_only_looks_like_an_ack_topic(topic: str) -> None:
    assert not is_ack_topic(topic)


@given(st.text(max_size=60))
def test_any_text_is_either_a_topic_or_none(text: str) -> None:
    assert not is_ack_topic(text)


def test_a_client_id_of_another_length_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="random16: expected 16 bytes, got 8"):
        new_client_id(bytes(8))
    with pytest.raises(ValueError, match="client_id: expected 32 hex digits"):
        ack_topic("+")
