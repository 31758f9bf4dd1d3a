"""Who may talk to the screen: its own browser or a client with the token, from this machine; pure.

A page elsewhere must not reach a car's screen through the driver's browser, so the Host must be
ours (DNS rebinding), a foreign Origin is refused, and everything but style and icons needs the
token of this boot: as a cookie that only ``/enter`` sets, or as a bearer.
"""

import hashlib
import hmac
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_SAME = frozenset({"same-origin", "none"})  # values of Sec-Fetch-Site that are not cross-site


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned away before anything is looked at."""

    status: int
    code: str
    sentence: str


_HOST = Refusal(421, "screen.wrong_host", "expected a loopback host name; nothing was done")
_ORIGIN = Refusal(403, "screen.foreign_origin", "another page sent this; nothing was done")
NO_TOKEN = Refusal(
    401, "screen.no_token", "expected this boot's token; open the address the agent printed"
)


@dataclass(frozen=True, slots=True)
class Guard:
    """The rules for one boot: its ``token`` and the host names that are us (without port)."""

    token: str
    allowed_hosts: AbstractSet[str] = LOOPBACK_HOSTS

    def session(self) -> str:
        """Return the cookie value that stands for the token; the token itself is not stored."""
        return hashlib.sha256(b"okdrive screen session " + self.token.encode()).hexdigest()

    def is_token(self, offered: str) -> bool:
        """Return whether ``offered`` is the token, in constant time."""
        return hmac.compare_digest(offered.encode(), self.token.encode())

    def check_origin(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Return why Host, Origin or Sec-Fetch-Site are wrong, or None; needs no token."""
        host = headers.get("host", "")
        if _host_name(host) not in self.allowed_hosts:
            return _HOST
        if headers.get("origin", f"http://{host}") != f"http://{host}":
            return _ORIGIN
        is_foreign = headers.get("sec-fetch-site", "none") not in _SAME
        return _ORIGIN if is_foreign and method != "GET" else None

    def check(self, method: str, headers: Mapping[str, str], cookie: str) -> Refusal | None:
        """Return why this request is refused, or None.

        Args:
            method: ``GET`` or ``POST``.
            headers: Names in lower case.
            cookie: Value of the session cookie, or empty.
        """
        refusal = self.check_origin(method, headers)
        if refusal is not None:
            return refusal
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return None if self.is_token(bearer.strip()) else NO_TOKEN
        if not hmac.compare_digest(cookie.encode(), self.session().encode()):
            return NO_TOKEN
        return _ORIGIN if method != "GET" and "origin" not in headers else None


def cookie_name(host: str) -> str:
    """Return the cookie's name for a Host header: cookies do not tell ports apart, names do."""
    return f"okdrive_screen_{_port(host)}"


def _host_name(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def _port(host: str) -> str:
    port = host.rpartition("]")[2].rpartition(":")[2]
    return port if port.isdigit() else "80"
