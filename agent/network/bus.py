"""NetworkManager and ModemManager over D-Bus; the only module that knows dbus-fast.

Messages are written out instead of generated from introspection: four properties and three
signals are all we want, and a bus without these services answers each question with an error.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from dbus_fast import Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusError, InvalidAddressError

from agent.network.model import MODEM_KINDS, ROAMING_STATES, NetworkBusError, NetworkFacts

T = TypeVar("T")
_MANAGER = "org.freedesktop.NetworkManager"
_MANAGER_PATH = "/org/freedesktop/NetworkManager"
_MODEMS = "org.freedesktop.ModemManager1"
_MODEM_3GPP = "org.freedesktop.ModemManager1.Modem.Modem3gpp"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_ANSWER_S = 10.0
_NO_OBJECT = "/"

# narrow, or every scan for access points and every change of signal strength would wake us
_CHANGED = f"type='signal',interface='{_PROPERTIES}',member='PropertiesChanged'"
_OWNER = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged'"
_MATCHES = (
    f"{_CHANGED},sender='{_MANAGER}',path='{_MANAGER_PATH}'",
    f"{_CHANGED},sender='{_MODEMS}',arg0='{_MODEM_3GPP}'",
    f"{_OWNER},arg0='{_MANAGER}'",
    f"{_OWNER},arg0='{_MODEMS}'",
)


class NetworkBus:
    """One connection to the system bus. Every method raises NetworkBusError and nothing else."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus

    @classmethod
    async def open(cls, address: str, on_signal: Callable[[], None]) -> "NetworkBus":
        """Connect, and call ``on_signal`` in the loop whenever an answer may have changed."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                opened = cls(await MessageBus(bus_address=address).connect())
        except (OSError, EOFError, AuthError, DBusError, InvalidAddressError) as error:
            raise NetworkBusError(f"{address}: expected a D-Bus daemon, got {error!r}") from error
        opened._bus.add_message_handler(lambda message: _on_message(message, on_signal))
        for match in _MATCHES:
            await opened._call(_daemon_call("AddMatch", match))
        return opened

    async def facts(self) -> NetworkFacts | None:
        """Return what is known about the connection in use; None where nobody manages networks."""
        known = await self._get_all(_MANAGER, _MANAGER_PATH, _MANAGER)
        if known is None:
            return None
        kind = _expect(known, "PrimaryConnectionType", str)
        primary = _expect(known, "PrimaryConnection", str)
        is_modem = kind in MODEM_KINDS and primary != _NO_OBJECT
        return NetworkFacts(
            state=_expect(known, "State", int),
            metered=_expect(known, "Metered", int),
            kind=kind,
            is_roaming=await self._is_roaming(primary) if is_modem else None,
        )

    async def wait_lost(self) -> None:
        """Return when the connection to the bus is gone."""
        with contextlib.suppress(OSError, EOFError, DBusError, AuthError):
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Leave the bus."""
        if self._bus.connected:
            self._bus.disconnect()

    async def _is_roaming(self, primary: str) -> bool | None:
        active = await self._get_all(_MANAGER, primary, f"{_MANAGER}.Connection.Active")
        for device in (active or {}).get("Devices", []):
            known = await self._get_all(_MANAGER, device, f"{_MANAGER}.Device")
            path = str((known or {}).get("Udi", ""))  # of a modem: its path in ModemManager
            modem = await self._get_all(_MODEMS, path, _MODEM_3GPP) if path[:1] == "/" else None
            if modem is not None:
                return _expect(modem, "RegistrationState", int) in ROAMING_STATES
        return None

    async def _get_all(self, service: str, path: str, interface: str) -> dict[str, Any] | None:
        reply = await self._call(
            Message(
                destination=service,
                path=path,
                interface=_PROPERTIES,
                member="GetAll",
                signature="s",
                body=[interface],
                flags=MessageFlag.NO_AUTOSTART,
            )
        )
        if reply.message_type is MessageType.ERROR:  # no such service, or it has gone meanwhile
            return None
        if reply.signature != "a{sv}":
            raise NetworkBusError(f"{service}: expected properties, got {reply.signature!r}")
        return {name: variant.value for name, variant in reply.body[0].items()}

    async def _call(self, message: Message) -> Message:
        try:
            async with asyncio.timeout(_ANSWER_S):
                reply = await self._bus.call(message)
        except (OSError, DBusError, EOFError) as error:
            raise NetworkBusError(f"{message.destination}: expected a reply, got none") from error
        if reply is None:
            raise NetworkBusError(f"{message.destination}: expected a reply, got none")
        return reply


def _on_message(message: Message, on_signal: Callable[[], None]) -> None:
    if message.message_type is MessageType.SIGNAL:
        on_signal()


def _daemon_call(member: str, argument: str) -> Message:
    return Message(
        destination="org.freedesktop.DBus",
        path="/org/freedesktop/DBus",
        interface="org.freedesktop.DBus",
        member=member,
        signature="s",
        body=[argument],
    )


def _expect(known: dict[str, Any], name: str, kind: type[T]) -> T:
    value = known.get(name)
    if not isinstance(value, kind):
        raise NetworkBusError(f"{name}: expected {kind.__name__}, got {value!r:.80}")
    return value
