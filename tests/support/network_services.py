"""A private D-Bus daemon with a NetworkManager and a ModemManager that say what a test wants."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from dbus_fast import PropertyAccess
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusObjectPath, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_property

MANAGER = "org.freedesktop.NetworkManager"
MODEMS = "org.freedesktop.ModemManager1"
MANAGER_PATH = "/org/freedesktop/NetworkManager"
ACTIVE_PATH = f"{MANAGER_PATH}/ActiveConnection/7"
DEVICE_PATH = f"{MANAGER_PATH}/Devices/3"
MODEM_PATH = "/org/freedesktop/ModemManager1/Modem/0"

Paths = Annotated[list[str], DBusSignature("ao")]

_CONFIG = """
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def system_bus(folder: Path) -> Iterator[str]:
    """Run a bus of our own; give its address."""
    config = folder / "bus.conf"
    config.write_text(_CONFIG.format(socket=folder / "bus.sock"))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline(), "dbus-daemon ended before it listened"
        yield f"unix:path={folder / 'bus.sock'}"
        daemon.terminate()


class _Manager(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(MANAGER)
        self.state, self.metered = 70, 2
        self.kind, self.primary = "802-11-wireless", ACTIVE_PATH

    @dbus_property(access=PropertyAccess.READ)
    def State(self) -> DBusUInt32:  # noqa: N802 (NetworkManager's word, as below)
        return self.state

    @dbus_property(access=PropertyAccess.READ)
    def Metered(self) -> DBusUInt32:  # noqa: N802
        return self.metered

    @dbus_property(access=PropertyAccess.READ)
    def PrimaryConnectionType(self) -> DBusStr:  # noqa: N802
        return self.kind

    @dbus_property(access=PropertyAccess.READ)
    def PrimaryConnection(self) -> DBusObjectPath:  # noqa: N802
        return self.primary


class _Active(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MANAGER}.Connection.Active")

    @dbus_property(access=PropertyAccess.READ)
    def Devices(self) -> Paths:  # noqa: N802
        return [DEVICE_PATH]


class _Device(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MANAGER}.Device")

    @dbus_property(access=PropertyAccess.READ)
    def Udi(self) -> DBusStr:  # noqa: N802
        return MODEM_PATH


class _Modem(ServiceInterface):
    def __init__(self) -> None:
        super().__init__(f"{MODEMS}.Modem.Modem3gpp")
        self.registration = 1

    @dbus_property(access=PropertyAccess.READ)
    def RegistrationState(self) -> DBusUInt32:  # noqa: N802
        return self.registration


class NetworkServices:
    """Both services on one connection; every verb tells the bus what has changed."""

    def __init__(self) -> None:
        self._manager, self._modem = _Manager(), _Modem()
        self._bus: MessageBus | None = None

    async def start(self, address: str) -> None:
        bus = self._bus = await MessageBus(bus_address=address).connect()
        bus.export(MANAGER_PATH, self._manager)
        bus.export(ACTIVE_PATH, _Active())
        bus.export(DEVICE_PATH, _Device())
        bus.export(MODEM_PATH, self._modem)
        await bus.request_name(MODEMS)
        await bus.request_name(MANAGER)

    async def stop(self) -> None:
        if self._bus is not None:
            self._bus.disconnect()
            await self._bus.wait_for_disconnect()

    def wireless(self, *, metered: int) -> None:
        self._connect("802-11-wireless", state=70, metered=metered)

    def modem(self, *, metered: int = 1, registration: int = 1) -> None:
        self._modem.registration = registration
        self._connect("gsm", state=70, metered=metered)

    def register(self, registration: int) -> None:
        """Let the modem move to another network under the same connection."""
        self._modem.registration = registration
        self._modem.emit_properties_changed({"RegistrationState": registration})

    def disconnect(self) -> None:
        self._connect("", state=20, metered=0, primary="/")

    def _connect(self, kind: str, *, state: int, metered: int, primary: str = ACTIVE_PATH) -> None:
        manager = self._manager
        manager.kind, manager.state, manager.metered = kind, state, metered
        manager.primary = primary
        manager.emit_properties_changed({"State": state, "Metered": metered})
