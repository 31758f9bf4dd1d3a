"""Every connection of the process is on one list of hosts, or is not made."""

import pytest

from agent.egress import AllowList, EgressError, allow_list, hook_for
from tests.support.configs import agent_config

NAMED = AllowList(frozenset({("broker.example", 8883), ("updates.example", 443)}))
NUMBERED = AllowList(frozenset({("192.0.2.1", 8883)}))


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.getaddrinfo", ("broker.example", 8883, 0, 1, 0)),
        ("socket.getaddrinfo", ("localhost", 8088, 0, 1, 0)),
        ("socket.getaddrinfo", (None, 8088, 0, 1, 0)),
        ("socket.connect", (None, ("198.51.100.7", 8883))),
        ("socket.connect", (None, ("127.0.0.1", 5000))),
        ("socket.connect", (None, ("::1", 5000, 0, 0))),
        ("socket.connect", (None, "/run/okdrive/control.sock")),
        ("socket.bind", (None, ("0.0.0.0", 0))),
        ("open", ("/etc/hosts", "r", 0)),
    ],
)
def test_what_the_configuration_names_may_pass(event: str, arguments: tuple[object, ...]) -> None:
    hook_for(NAMED)(event, arguments)


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.getaddrinfo", ("tracker.example", 443, 0, 1, 0)),
        ("socket.getaddrinfo", (b"tracker.example", 443, 0, 1, 0)),
        ("socket.gethostbyname", ("tracker.example",)),
        ("socket.gethostbyaddr", ("192.0.2.9",)),
        ("socket.connect", (None, ("192.0.2.9", 80))),
        ("socket.sendto", (None, ("192.0.2.9", 53))),
        ("socket.sendmsg", (None, ("2001:db8::1", 53, 0, 0))),
    ],
)
def test_anything_else_is_refused_before_a_packet_leaves(
    event: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(EgressError, match="expected"):
        hook_for(NAMED)(event, arguments)


def test_a_host_listed_by_its_address_is_reached_at_this_address_only() -> None:
    NUMBERED.check_address("192.0.2.1", 8883)
    with pytest.raises(EgressError, match=r"got 192\.0\.2\.2 port 8883"):
        NUMBERED.check_address("192.0.2.2", 8883)


def test_the_list_is_what_the_configuration_names() -> None:
    config = agent_config(
        uplink={"broker_host": "broker.example", "broker_port": 8883},
        updates={
            "image_url": "https://updates.example/image",
            "director_url": "https://director.example:8443/director",
        },
        gnss={"enabled": True},
    )
    assert allow_list(config).names() == (
        "127.0.0.1:2947, broker.example:8883, director.example:8443, updates.example:443"
    )
