"""The one list of hosts this vehicle talks to, and the guard that every connection passes.

The list is made from the configuration: broker, repositories and, where there is one, gpsd. The
guard is an audit hook of the interpreter: every name that is looked up and every connection that is
opened by this process, by our code or by a library, is checked before a packet leaves. It cannot be
taken away again while the process lives.
"""

import ipaddress
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from agent.config import AgentConfig

log = logging.getLogger(__name__)
_HTTPS_PORT = 443


class EgressError(PermissionError):
    """A connection to a host that is not on the list; nothing was sent.

    A ``PermissionError``, so that libraries treat it like any connection that cannot be made.
    """

    code: ClassVar[str] = "agent.egress"


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts (names or addresses) with the ports at which they may be reached."""

    places: frozenset[tuple[str, int]]

    def check_name(self, host: str) -> None:
        """Raise EgressError unless ``host`` is on the list or is this machine itself."""
        if host not in {name for name, _ in self.places} and not _is_loopback(host):
            raise EgressError(
                f"expected one of {self.names()}, got {host!r}; nothing was sent"
                " (hosts are named in agent.toml)"
            )

    def check_address(self, address: str, port: int) -> None:
        """Raise EgressError unless a listed host can be behind ``address`` and ``port``.

        A host that is listed by name may have any address, so then only its port is compared: its
        name was checked when it was looked up.
        """
        if _is_loopback(address):
            return
        fits = {host for host, listed in self.places if listed == port}
        if address not in fits and not any(_is_name(host) for host in fits):
            raise EgressError(
                f"expected one of {self.names()}, got {address} port {port}; nothing was sent"
            )

    def names(self) -> str:
        """Return the list for a person: ``host:port``, sorted."""
        return ", ".join(sorted(f"{host}:{port}" for host, port in self.places))


def allow_list(config: AgentConfig) -> AllowList:
    """Return the hosts that the configuration names."""
    places = {(config.uplink.broker_host, config.uplink.broker_port)}
    for url in (config.updates.image_url, config.updates.director_url):
        parts = urlsplit(url)
        if parts.hostname:
            places.add((parts.hostname, parts.port or _HTTPS_PORT))
    if config.gnss.enabled:
        places.add((config.gnss.host, config.gnss.port))
    return AllowList(frozenset(places))


def guard_process(allowed: AllowList) -> None:
    """Check every connection of this process from now on, for as long as it lives."""
    sys.addaudithook(hook_for(allowed))


def hook_for(allowed: AllowList) -> Callable[[str, tuple[object, ...]], None]:
    """Return the audit hook: it raises EgressError for what is not on the list."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if not event.startswith("socket."):
            return
        try:
            _check(allowed, event, arguments)
        except EgressError as error:
            log.error("egress_refused", extra={"reason": str(error)})  # noqa: TRY400 (no traceback)
            raise

    return hook


def _check(allowed: AllowList, event: str, arguments: tuple[object, ...]) -> None:
    match event, arguments:
        case "socket.getaddrinfo" | "socket.gethostbyname", (str() | bytes() as host, *_):
            allowed.check_name(host if isinstance(host, str) else host.decode(errors="replace"))
        case (
            "socket.connect" | "socket.sendto" | "socket.sendmsg",
            (_, (str() as address, int() as port, *_)),
        ):
            allowed.check_address(address, port)
        case "socket.gethostbyaddr" | "socket.getnameinfo", _:
            raise EgressError("expected no question who is behind an address, got one")
        case _:
            pass  # AF_UNIX, netlink, listening: nothing leaves this machine


def _is_loopback(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
