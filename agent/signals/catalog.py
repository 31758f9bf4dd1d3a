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
CHARGER_AC_RELAY: Final = f"{OVERLAY}.Charger.IsAcRelayClosed"
CHARGER_QUICK_RELAY: Final = f"{OVERLAY}.Charger.IsQuickRelayClosed"
LIMIT_REASON: Final = f"{OVERLAY}.Battery.LimitReason"
FAILSAFE: Final = f"{OVERLAY}.Battery.FailsafeStatus"
RELAY_CUT: Final = f"{OVERLAY}.Battery.RelayCutRequest"
INTERLOCK: Final = f"{OVERLAY}.Battery.IsInterlockClosed"
IS_EMPTY: Final = f"{OVERLAY}.Battery.IsEmpty"
ISOLATION_FAULT: Final = f"{OVERLAY}.Battery.HasIsolationFault"
ISOLATION_SENSOR: Final = f"{OVERLAY}.Battery.IsolationSensor"
CURRENT_TWIN: Final = f"{OVERLAY}.Battery.CurrentSecondSource"
CABLE_CONNECTED: Final = f"{BATTERY}.Charging.ChargingPort.AnyPosition.IsChargingCableConnected"
IS_CHARGING: Final = f"{BATTERY}.Charging.IsCharging"
IS_DISCHARGING: Final = f"{BATTERY}.Charging.IsDischarging"
CELL_VOLTAGE_MIN: Final = f"{BATTERY}.CellVoltage.Min"
CELL_VOLTAGE_MAX: Final = f"{BATTERY}.CellVoltage.Max"
# from polls: what the battery controller says only when asked
CAPACITY_AH: Final = f"{OVERLAY}.Battery.Capacity"
HX: Final = f"{OVERLAY}.Battery.Hx"  # conductance-like; never to be called health
CELL_TEMPERATURE_MIN: Final = f"{BATTERY}.Temperature.Min"
CELL_TEMPERATURE_AVERAGE: Final = f"{BATTERY}.Temperature.Average"
MAX_CELLS: Final = 96
MAX_THERMISTORS: Final = 4
# VSS has one array each; a signal holds one number, so every cell has a path of its own, from 1
CELL_VOLTAGES: Final = tuple(
    f"{BATTERY}.CellVoltage.CellVoltages.Cell{number}" for number in range(1, MAX_CELLS + 1)
)
CELL_TEMPERATURES: Final = tuple(
    f"{BATTERY}.Temperature.CellTemperature.Cell{number}"
    for number in range(1, MAX_THERMISTORS + 1)
)

GEAR_PARK: Final = 126.0  # VSS: 126 park, 127 drive, 0 neutral, -1 reverse
GEAR_DRIVE: Final = 127.0

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
    ("psi", "kPa"): 6.894757,
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
    Entry(CELL_TEMPERATURE_MIN, "celsius", -40, 100),
    Entry(CELL_TEMPERATURE_AVERAGE, "celsius", -40, 100),
    *(Entry(path, "celsius", -40, 100) for path in CELL_TEMPERATURES),
    *(Entry(path, "V", 0.5, 4.999) for path in CELL_VOLTAGES),  # 5 V and more is "no cell"
    Entry(CELL_VOLTAGE_MIN, "V", 0.5, 4.999),
    Entry(CELL_VOLTAGE_MAX, "V", 0.5, 4.999),
    Entry(f"{BATTERY}.CellVoltage.IdMin", "", 1, MAX_CELLS),
    Entry(f"{BATTERY}.CellVoltage.IdMax", "", 1, MAX_CELLS),
    Entry(f"{BATTERY}.Range", "m", 0, 1e6),
    Entry(f"{BATTERY}.BatteryConditioning.IsActive", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{BATTERY}.BatteryConditioning.IsOngoing", "", 0, 1, Kind.BOOLEAN),
    Entry(IS_CHARGING, "", 0, 1, Kind.BOOLEAN),
    Entry(IS_DISCHARGING, "", 0, 1, Kind.BOOLEAN),
    Entry(CABLE_CONNECTED, "", 0, 1, Kind.BOOLEAN),
    Entry(f"{BATTERY}.Charging.ChargeVoltage.Phase1", "V", 0, 300),
    Entry(f"{BATTERY}.Charging.ChargeVoltage.DC", "V", 0, 1000),
    Entry(f"{BATTERY}.Charging.ChargeCurrent.DC", "A", 0, 500),
    Entry(f"{BATTERY}.Charging.TimeToComplete", "s", 0, 200_000),
    Entry("Vehicle.Powertrain.Range", "m", 0, 1e6),
    Entry("Vehicle.Chassis.Accelerator.PedalPosition", "percent", 0, 100),
    *(
        Entry(f"Vehicle.Chassis.Axle.Row{row}.Wheel.{side}.Tire.Pressure", "kPa", 0, 500)
        for row in (1, 2)
        for side in ("Left", "Right")
    ),
    Entry("Vehicle.Body.Trunk.Rear.IsOpen", "", 0, 1, Kind.BOOLEAN),
    Entry(CAPACITY_AH, "Ah", 1, 400),
    Entry(HX, "percent", 1, 150),
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
    Entry(LIMIT_REASON, "", 0, 7),
    Entry(FAILSAFE, "", 0, 7),
    Entry(RELAY_CUT, "", 0, 3),
    Entry(f"{OVERLAY}.Battery.DischargeLimitKind", "", 0, 3),
    Entry(INTERLOCK, "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.IsFull", "", 0, 1, Kind.BOOLEAN),
    Entry(IS_EMPTY, "", 0, 1, Kind.BOOLEAN),
    Entry(CURRENT_TWIN, "A", -1500, 1500),
    Entry(f"{OVERLAY}.Battery.DischargeLimit", "kW", 0, 300),
    Entry(f"{OVERLAY}.Battery.RegenLimit", "kW", 0, 300),
    Entry(f"{OVERLAY}.Battery.ChargerLimit", "kW", -10, 100),
    Entry(ISOLATION_SENSOR, "V", 0, 5),
    Entry(ISOLATION_FAULT, "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Motor.InverterVoltage", "V", 0, 508),
    Entry(CHARGER_STATUS, "", 0, 63),
    Entry(CHARGER_POWER, "kW", 0, 51),
    Entry(f"{OVERLAY}.Charger.MaxPower", "kW", 0, 51),
    Entry(f"{OVERLAY}.Charger.AcClass", "", 0, 3),
    Entry(CHARGER_AC_RELAY, "", 0, 1, Kind.BOOLEAN),
    Entry(CHARGER_QUICK_RELAY, "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Speed.SecondSource", "km/h", 0, 250),
    Entry(f"{OVERLAY}.Speed.Cluster", "km/h", 0, 260),
    Entry(f"{OVERLAY}.Odometer.IsInMiles", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.RemainingEnergy", "kWh", 0, 200),
    Entry(f"{OVERLAY}.Battery.Temperature", "celsius", -40, 100),
    Entry(f"{OVERLAY}.Battery.IsHeaterRequested", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.TroubleByte", "", 0, 255),
    Entry(f"{OVERLAY}.Battery.IsPlusRelayClosed", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Battery.PolledVoltage", "V", 0, 1000),
    Entry(f"{OVERLAY}.Battery.PolledLowVoltage", "V", 0, 20),
    Entry(f"{OVERLAY}.Battery.PolledStateOfCharge", "percent", 0, 100),
    Entry(f"{OVERLAY}.Battery.PolledStateOfHealth", "percent", 1, 100),
    Entry(f"{OVERLAY}.Brake.IsPressed", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.CarCan.AirTemperature", "celsius", -40, 70),
    Entry(f"{OVERLAY}.CarCan.ClusterSpeed", "km/h", 0, 260),
    Entry(f"{OVERLAY}.CarCan.LowVoltageSystemState", "", 0, 5, Kind.WORD),
    Entry(f"{OVERLAY}.CarCan.SelectedGear", "", -1, 127),
    Entry(f"{OVERLAY}.CarCan.Speed", "km/h", 0, 250),
    Entry(f"{OVERLAY}.CarCan.StateOfHealth", "percent", 1, 100),
    Entry(f"{OVERLAY}.Charger.CableLimit", "A", 0, 80),
    Entry(f"{OVERLAY}.Charger.CommandedPower", "kW", -10, 100),
    Entry(f"{OVERLAY}.Charger.IsLongLifeMode", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Charger.Request", "", 0, 3),
    Entry(f"{OVERLAY}.Charger.State", "", 0, 255),
    Entry(f"{OVERLAY}.Charging.Bars", "", 0, 31),
    Entry(f"{OVERLAY}.Charging.DisplayedMinutes", "min", 0, 2046),
    Entry(f"{OVERLAY}.Charging.IsConnectorEngaged", "", 0, 1, Kind.BOOLEAN),
    *(
        Entry(f"{OVERLAY}.Charging.Minutes{kind}", "min", 0, 8190)
        for kind in (
            "Quick", "ToFull6kW", "ToFull200V", "ToFull100V",
            "To80Percent6kW", "To80Percent200V", "To80Percent100V",
        )
    ),
    Entry(f"{OVERLAY}.Charging.QuickCharges", "", 0, 65_534),
    Entry(f"{OVERLAY}.Charging.NormalCharges", "", 0, 65_534),
    Entry(f"{OVERLAY}.Door.IsDriverLocked", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Door.IsFrontLeftOpen", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Door.IsFrontRightOpen", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Door.IsRearLeftOpen", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Door.IsRearRightOpen", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Motor.InverterTemperature", "celsius", -40, 120),
    Entry(f"{OVERLAY}.Motor.InverterTemperature2", "celsius", -40, 120),
    Entry(f"{OVERLAY}.Motor.IsHighVoltageSupplied", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.Motor.TorqueRequest", "Nm", -500, 500),
    Entry(f"{OVERLAY}.QuickCharge.AvailableCurrent", "A", 0, 255),
    Entry(f"{OVERLAY}.QuickCharge.AvailableVoltage", "V", 0, 1000),
    Entry(f"{OVERLAY}.QuickCharge.Faults", "", 0, 255),
    Entry(f"{OVERLAY}.QuickCharge.IsCharging", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.QuickCharge.IsConnectorLocked", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.QuickCharge.IsEnabled", "", 0, 1, Kind.BOOLEAN),
    Entry(f"{OVERLAY}.QuickCharge.MaximumVoltage", "V", 0, 1000),
    Entry(f"{OVERLAY}.QuickCharge.RequestedCurrent", "A", 0, 255),
    Entry(f"{OVERLAY}.QuickCharge.TargetVoltage", "V", 0, 1000),
    Entry(f"{OVERLAY}.Range.Kind1", "m", 0, 1e6),
    Entry(f"{OVERLAY}.Range.Kind2", "m", 0, 1e6),
    Entry(f"{OVERLAY}.Battery.SleepState", "", 0, 3),
    Entry(f"{OVERLAY}.Motor.Status", "", 0, 63),
    Entry(f"{OVERLAY}.Wheel.First", "km/h", 0, 260),
    Entry(f"{OVERLAY}.Wheel.Second", "km/h", 0, 260),
    *(
        Entry(f"{OVERLAY}.CarCan.Wheel.{row}{which}", "km/h", 0, 260)
        for row in ("Front", "Rear")
        for which in ("First", "Second")
    ),
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
