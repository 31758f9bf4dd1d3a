"""The catalogue: VSS names, units and physical ranges, and where each row comes from.

A path outside this catalogue cannot be used by a vehicle definition. Paths follow COVESA VSS
7.0-dev; what VSS lacks, or holds too coarsely, stands in the private branch ``Vehicle.OKDrive``.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

BATTERY: Final = "Vehicle.Powertrain.TractionBattery"
OVERLAY: Final = "Vehicle.OKDrive"

SPEED: Final = "Vehicle.Speed"
GEAR: Final = "Vehicle.Powertrain.Transmission.SelectedGear"
IGNITION: Final = "Vehicle.LowVoltageSystemState"
PACK_VOLTAGE: Final = f"{BATTERY}.CurrentVoltage"
PACK_CURRENT: Final = f"{BATTERY}.CurrentCurrent"
PACK_POWER: Final = f"{BATTERY}.CurrentPower"
SOC: Final = f"{BATTERY}.StateOfCharge.Current"
SOC_DISPLAYED: Final = f"{BATTERY}.StateOfCharge.Displayed"
ENERGY: Final = f"{BATTERY}.StateOfCharge.CurrentEnergy"
SOH: Final = f"{BATTERY}.StateOfHealth"
CELL_TEMPERATURE_MAX: Final = f"{BATTERY}.Temperature.Max"
LOW_VOLTAGE: Final = "Vehicle.LowVoltageBattery.CurrentVoltage"
AMBIENT: Final = "Vehicle.Exterior.AirTemperature"
ODOMETER: Final = "Vehicle.TraveledDistance"
MOTOR_SPEED: Final = "Vehicle.Powertrain.ElectricMotor.Speed"
MOTOR_TORQUE: Final = "Vehicle.Powertrain.ElectricMotor.Torque"
GIDS: Final = f"{OVERLAY}.Battery.Gids"
CHARGER_STATUS: Final = f"{OVERLAY}.Charger.Status"
CHARGER_POWER: Final = f"{OVERLAY}.Charger.Power"
POWER_CONNECTED: Final = f"{BATTERY}.IsPowerConnected"

GEAR_PARK: Final = 126.0  # VSS: 126 park, 127 drive, 0 neutral, -1 reverse
GEAR_DRIVE: Final = 127.0
GEAR_NEUTRAL: Final = 0.0
GEAR_REVERSE: Final = -1.0

IGNITION_STATES: Final = ("UNDEFINED", "LOCK", "OFF", "ACC", "ON", "START")  # VSS, its order
IGNITION_OFF: Final = float(IGNITION_STATES.index("OFF"))
IGNITION_ON: Final = float(IGNITION_STATES.index("ON"))


class Kind(StrEnum):
    """How a value reads: a number, a yes or no, or a word."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    WORD = "word"


class Entry(Struct, frozen=True):
    """One row: unit as VSS writes it ("" for none), and the range of a possible value."""

    path: str
    unit: str
    minimum: float
    maximum: float
    kind: Kind = Kind.NUMBER


# factor from a unit in a DBC to the unit of the catalogue
CONVERSIONS: Final[dict[tuple[str, str], float]] = {
    ("Wh", "kWh"): 0.001,
    ("GID", "kWh"): 0.080,  # measured by owners and used by OVMS: 80 Wh each
    ("km", "m"): 1000.0,
    ("mi", "m"): 1609.344,
    ("mV", "V"): 0.001,
    ("kW", "W"): 1000.0,
}

# fmt: off
_ROWS: Final = (
    Entry(SPEED, "km/h", 0, 250),
    Entry(GEAR, "", -1, 127),
    Entry(IGNITION, "", 0, 5, Kind.WORD),
    Entry(PACK_VOLTAGE, "V", 0, 1000),
    Entry(PACK_CURRENT, "A", -1500, 1500),
    Entry(PACK_POWER, "W", -1_000_000, 1_000_000),
    Entry(SOC, "percent", 0, 100),
    Entry(SOC_DISPLAYED, "percent", 0, 100),
    Entry(ENERGY, "kWh", 0, 200),
    Entry(SOH, "percent", 1, 100),
    Entry(CELL_TEMPERATURE_MAX, "celsius", -40, 100),
    Entry(POWER_CONNECTED, "", 0, 1, Kind.BOOLEAN),
    Entry(LOW_VOLTAGE, "V", 0, 20),
    Entry(AMBIENT, "celsius", -40, 70),
    Entry("Vehicle.Cabin.HVAC.AmbientAirTemperature", "celsius", -40, 85),
    Entry(ODOMETER, "m", 0, 2e9),
    Entry(MOTOR_SPEED, "rpm", -12_000, 12_000),
    Entry(MOTOR_TORQUE, "Nm", -500, 500),
    Entry("Vehicle.Chassis.Brake.PedalPosition", "percent", 0, 100),
    Entry("Vehicle.Chassis.ParkingBrake.IsEngaged", "", 0, 1, Kind.BOOLEAN),
    Entry(GIDS, "", 0, 1022),
    Entry(f"{OVERLAY}.Battery.GidsWhenFull", "", 0, 1022),
    Entry(f"{OVERLAY}.Battery.FullEnergy", "kWh", 0, 200),
    Entry(f"{OVERLAY}.Battery.LimitReason", "", 0, 7),
    Entry(f"{OVERLAY}.Battery.FailsafeStatus", "", 0, 7),
    Entry(f"{OVERLAY}.Battery.RelayCutRequest", "", 0, 3),
    Entry(f"{OVERLAY}.Battery.DischargeLimitKind", "", 0, 3),
    Entry(f"{OVERLAY}.Battery.IsInterlockClosed", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.IsFull", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.IsEmpty", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.CurrentSecondSource", "A", -1500, 1500),
    Entry(f"{OVERLAY}.Battery.DischargeLimit", "kW", 0, 300),
    Entry(f"{OVERLAY}.Battery.RegenLimit", "kW", 0, 300),
    Entry(f"{OVERLAY}.Battery.ChargerLimit", "kW", -10, 100),
    Entry(f"{OVERLAY}.Battery.IsolationSensor", "V", 0, 5),
    Entry(f"{OVERLAY}.Battery.HasIsolationFault", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Motor.InverterVoltage", "V", 0, 508),
    Entry(CHARGER_STATUS, "", 0, 63),
    Entry(CHARGER_POWER, "kW", 0, 51),
    Entry(f"{OVERLAY}.Charger.MaxPower", "kW", 0, 51),
    Entry(f"{OVERLAY}.Charger.AcClass", "", 0, 3),
    Entry(f"{OVERLAY}.Charger.IsAcRelayClosed", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Charger.IsQuickRelayClosed", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Speed.SecondSource", "km/h", 0, 250),
    Entry(f"{OVERLAY}.Speed.Cluster", "km/h", 0, 260),
    Entry(f"{OVERLAY}.Odometer.IsInMiles", "", 0, 1, Kind.BOOLEAN),
)
# fmt: on
CATALOG: Final[dict[str, Entry]] = {row.path: row for row in _ROWS}


def present(path: str, value: float | None) -> float | bool | str | None:
    """Return ``value`` as people and JSON read it: a number, true/false, or VSS's word."""
    if value is None:
        return None
    match CATALOG[path].kind:
        case Kind.BOOLEAN:
            return value != 0
        case Kind.WORD:
            return IGNITION_STATES[int(value)]
        case Kind.NUMBER:
            return int(value) if value.is_integer() else value
