"""The Director's private inventory: vehicles, their ECUs, what each is to run, what each reported.

SQLAlchemy Core on SQLite (``synchronous=FULL``): one machine now, PostgreSQL later. The vehicle id
is the random name of its certificate; a VIN has no place here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, IntegrityError

from ota.errors import BundleError, ManifestReplayError
from ota.metadata.custom import Kind
from ota.metadata.models import format_utc, is_app_name, is_identifier
from ota.publisher.errors import BrokenRepositoryError, ConflictError, UnknownVehicleError
from ota.publisher.needs import NO_NEEDS, Needs, decode_needs, encode_needs
from ota.publisher.ports import make_folder

SCHEMA_VERSION = 2
BUSY_TIMEOUT_S = 10.0
_WRITES = "okdrive_writes"

_tables = MetaData()
_vehicles = Table(
    "vehicles",
    _tables,
    Column("vehicle", String, primary_key=True),
    Column("primary_ecu", String, nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # raw Ed25519, 32 bytes
    Column("registered_utc", String, nullable=False),
)
_ecus = Table(
    "ecus",
    _tables,
    Column("ecu_id", String, primary_key=True),  # an ECU is in one vehicle only
    Column("vehicle", ForeignKey("vehicles.vehicle"), nullable=False, index=True),
    Column("hardware_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("wanted", Boolean),  # what the driver said about this app; null: nothing yet
)
_assignments = Table(
    "assignments",
    _tables,
    Column("ecu_id", ForeignKey("ecus.ecu_id"), primary_key=True),
    Column("vehicle", ForeignKey("vehicles.vehicle"), nullable=False, index=True),
    Column("target", String, nullable=False),
    Column("sha256", String, nullable=False),
    Column("length", Integer, nullable=False),
    Column("release_counter", Integer, nullable=False),
    Column("assigned_utc", String, nullable=False),
    Column("withdrawn_code", String),  # null: stands
    Column("campaign", String),  # installed together, all or none
    Column("deadline", String),  # UTC; past it a recall needs no driver's OK
    Column("needs", String),  # JSON of ``Needs``; null: none
)
# Forward only: what an inventory of an older schema lacks.
_STEPS = {
    2: [
        "ALTER TABLE ecus ADD COLUMN wanted BOOLEAN",
        "ALTER TABLE assignments ADD COLUMN campaign VARCHAR",
        "ALTER TABLE assignments ADD COLUMN deadline VARCHAR",
        "ALTER TABLE assignments ADD COLUMN needs VARCHAR",
    ]
}
_manifests = Table(
    "manifests",
    _tables,
    Column("vehicle", String, primary_key=True),
    Column("counter", Integer, primary_key=True, autoincrement=False),
    Column("received_utc", String, nullable=False),
    Column("body", LargeBinary, nullable=False),  # as signed by the vehicle
    ForeignKeyConstraint(["vehicle"], ["vehicles.vehicle"]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuRecord:
    """One updatable part of a vehicle; an app is an ECU of its own, ``name`` says which.

    ``wanted``: what the driver said about a downloadable app; None: nothing yet.
    """

    ecu_id: str
    hardware_id: str
    name: str
    kind: Kind = Kind.APP
    wanted: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleRecord:
    """One vehicle; ``public_key`` is the raw Ed25519 key of the primary ECU, 32 bytes."""

    vehicle: str
    primary_ecu: str
    public_key: bytes
    ecus: tuple[EcuRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """This ECU is to run this image; ``withdrawn_code`` says why it no longer is to.

    ``name`` is that of the ECU's app; ``deadline`` is ``YYYY-MM-DDTHH:MM:SSZ``.
    """

    vehicle: str
    ecu_id: str
    hardware_id: str
    target: str
    sha256: str
    length: int
    release_counter: int
    withdrawn_code: str | None = None
    name: str = ""
    campaign: str | None = None
    deadline: str | None = None
    needs: Needs = NO_NEEDS


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredManifest:
    """A manifest that was accepted: its bytes as the vehicle signed them."""

    counter: int
    received_utc: str
    body: bytes


class Inventory:
    """The inventory in the SQLite file ``path``; made if missing. Close it when done."""

    def __init__(self, path: Path) -> None:
        make_folder(path.parent)
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_S}
        )
        event.listen(self._engine, "connect", _set_durable)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        try:
            with self._writer.begin() as connection:
                _migrate(connection, path)
            self._write_ahead()
        except DatabaseError as error:
            self._engine.dispose()
            raise BrokenRepositoryError(
                str(path), expected="an inventory", got=str(error.orig)
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _write_ahead(self) -> None:
        """One sync for a commit instead of three; never inside a transaction, kept in the file."""
        connection = self._engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()

    def add_vehicle(self, record: VehicleRecord, now: datetime) -> None:
        """Register ``record``.

        Raises:
            ConflictError: The vehicle or one of its ECUs is registered already.
            UnknownVehicleError: An id is not an id.
        """
        _check_ids(record)
        try:
            with self._writer.begin() as connection:
                connection.execute(
                    insert(_vehicles).values(
                        vehicle=record.vehicle,
                        primary_ecu=record.primary_ecu,
                        public_key=record.public_key,
                        registered_utc=format_utc(now),
                    )
                )
                rows = [_ecu_row(record.vehicle, ecu) for ecu in record.ecus]
                if rows:
                    connection.execute(insert(_ecus), rows)
        except IntegrityError as error:
            raise ConflictError(
                record.vehicle, expected="a vehicle and ECUs not registered yet", got="known ones"
            ) from error

    def vehicles(self) -> list[str]:
        """Return the ids of all vehicles, sorted."""
        query = select(_vehicles.c.vehicle).order_by(_vehicles.c.vehicle)
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def vehicle(self, vehicle: str) -> VehicleRecord:
        """Return the record of ``vehicle``; raise UnknownVehicleError if it is not registered."""
        with self._engine.connect() as connection:
            row = connection.execute(
                select(_vehicles).where(_vehicles.c.vehicle == vehicle)
            ).one_or_none()
            if row is None:
                raise UnknownVehicleError(
                    "vehicle", expected="a registered vehicle", got=repr(vehicle[:80])
                )
            ecus = connection.execute(
                select(_ecus).where(_ecus.c.vehicle == vehicle).order_by(_ecus.c.ecu_id)
            ).all()
        return VehicleRecord(
            vehicle=row.vehicle,
            primary_ecu=row.primary_ecu,
            public_key=row.public_key,
            ecus=tuple(_ecu_of(ecu) for ecu in ecus),
        )

    def assignments(self, vehicle: str, *, withdrawn: bool = False) -> list[Assignment]:
        """Return what stands for ``vehicle``, by ECU; with ``withdrawn`` also what does not."""
        query = (
            select(_assignments, _ecus.c.hardware_id, _ecus.c.name)
            .join(_ecus, _ecus.c.ecu_id == _assignments.c.ecu_id)
            .where(_assignments.c.vehicle == vehicle)
            .order_by(_assignments.c.ecu_id)
        )
        if not withdrawn:
            query = query.where(_assignments.c.withdrawn_code.is_(None))
        with self._engine.connect() as connection:
            return [_assignment_of(row) for row in connection.execute(query)]

    def assign(self, assignments: Iterable[Assignment], now: datetime) -> None:
        """Let ``assignments`` stand in place of what their ECUs had, all or none."""
        rows = [_assignment_row(assignment, now) for assignment in assignments]
        with self._writer.begin() as connection:
            ecus = [row["ecu_id"] for row in rows]
            connection.execute(delete(_assignments).where(_assignments.c.ecu_id.in_(ecus)))
            if rows:
                connection.execute(insert(_assignments), rows)

    def note_wish(self, vehicle: str, ecu_id: str, *, is_wanted: bool) -> None:
        """Remember what the driver said about an app; one that is not wanted is not assigned."""
        mine = (_ecus.c.vehicle == vehicle) & (_ecus.c.ecu_id == ecu_id)
        with self._writer.begin() as connection:
            connection.execute(update(_ecus).where(mine).values(wanted=is_wanted))
            if not is_wanted:
                gone = delete(_assignments).where(
                    _assignments.c.vehicle == vehicle, _assignments.c.ecu_id == ecu_id
                )
                connection.execute(gone)

    def accept_manifest(
        self,
        vehicle: str,
        manifest: StoredManifest,
        failures: Sequence[tuple[str, str, str]],
    ) -> None:
        """Store ``manifest``, and withdraw what failed, in one transaction.

        ``failures`` are ``(ecu_id, content hash, code)``: the assignment of that content to that
        ECU no longer stands, and neither does the rest of its campaign in this vehicle.

        Raises:
            ManifestReplayError: The counter is not above the last one; nothing was stored.
        """
        with self._writer.begin() as connection:
            last = _last_counter(connection, vehicle)
            if manifest.counter <= last:
                raise ManifestReplayError(
                    "manifest", expected=f"a counter above {last}", got=str(manifest.counter)
                )
            connection.execute(
                insert(_manifests).values(
                    vehicle=vehicle,
                    counter=manifest.counter,
                    received_utc=manifest.received_utc,
                    body=manifest.body,
                )
            )
            for ecu_id, sha256, code in failures:
                _withdraw(connection, vehicle, (ecu_id, sha256), code)

    def last_manifest(self, vehicle: str) -> StoredManifest | None:
        """Return the newest manifest of ``vehicle``; None if it never reported."""
        query = (
            select(_manifests)
            .where(_manifests.c.vehicle == vehicle)
            .order_by(_manifests.c.counter.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return StoredManifest(counter=row.counter, received_utc=row.received_utc, body=row.body)


def _set_durable(connection: Any, _record: object) -> None:  # noqa: ANN401 (a driver's own type)
    connection.isolation_level = None  # transactions begin in _begin, not at the first write
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: Connection) -> None:
    # A writer begins IMMEDIATE: what it read (the last counter) still holds when it writes.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: Connection, path: Path) -> None:
    found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if found > SCHEMA_VERSION:
        raise BrokenRepositoryError(
            str(path), expected=f"schema {SCHEMA_VERSION} or older", got=f"schema {found}"
        )
    for version in range(found + 1, SCHEMA_VERSION + 1) if found else ():
        for step in _STEPS[version]:
            connection.exec_driver_sql(step)
    _tables.create_all(connection)
    connection.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


def _last_counter(connection: Connection, vehicle: str) -> int:
    query = select(func.max(_manifests.c.counter)).where(_manifests.c.vehicle == vehicle)
    return connection.scalar(query) or 0


def _withdraw(connection: Connection, vehicle: str, failed: tuple[str, str], code: str) -> None:
    found = _assignments.c
    ecu_id, sha256 = failed
    is_it = (found.vehicle == vehicle) & (found.ecu_id == ecu_id) & (found.sha256 == sha256)
    campaign = connection.scalar(select(found.campaign).where(is_it))
    connection.execute(update(_assignments).where(is_it).values(withdrawn_code=code))
    if campaign is not None:
        is_with_it = (found.vehicle == vehicle) & (found.campaign == campaign)
        rest = update(_assignments).where(is_with_it, found.withdrawn_code.is_(None))
        connection.execute(rest.values(withdrawn_code=BundleError.code))


def _check_ids(record: VehicleRecord) -> None:
    for text in (record.vehicle, record.primary_ecu):
        _expect(is_identifier(text), "an id of A-Z, a-z, 0-9, '.', '_' and '-'", text)
    for ecu in record.ecus:
        _expect(is_identifier(ecu.ecu_id), "an ECU id", ecu.ecu_id)
        _expect(is_identifier(ecu.hardware_id), "a hardware id", ecu.hardware_id)
        _expect(is_app_name(ecu.name), "an app name of a-z, 0-9 and -", ecu.name)


def _expect(holds: bool, expected: str, got: str) -> None:  # noqa: FBT001 (a bare condition)
    if not holds:
        raise UnknownVehicleError(
            "vehicle", expected=expected, got=repr(got[:80]), intact="nothing was registered"
        )


def _ecu_row(vehicle: str, ecu: EcuRecord) -> dict[str, str]:
    return {
        "ecu_id": ecu.ecu_id,
        "vehicle": vehicle,
        "hardware_id": ecu.hardware_id,
        "kind": ecu.kind.value,
        "name": ecu.name,
    }


def _ecu_of(row: Any) -> EcuRecord:  # noqa: ANN401 (a row has the columns of its query)
    return EcuRecord(
        ecu_id=row.ecu_id,
        hardware_id=row.hardware_id,
        name=row.name,
        kind=Kind(row.kind),
        wanted=row.wanted,
    )


def _assignment_row(assignment: Assignment, now: datetime) -> dict[str, object]:
    return {
        "ecu_id": assignment.ecu_id,
        "vehicle": assignment.vehicle,
        "target": assignment.target,
        "sha256": assignment.sha256,
        "length": assignment.length,
        "release_counter": assignment.release_counter,
        "assigned_utc": format_utc(now),
        "withdrawn_code": assignment.withdrawn_code,
        "campaign": assignment.campaign,
        "deadline": assignment.deadline,
        "needs": None if assignment.needs == NO_NEEDS else encode_needs(assignment.needs),
    }


def _assignment_of(row: Any) -> Assignment:  # noqa: ANN401 (a row has the columns of its query)
    return Assignment(
        vehicle=row.vehicle,
        ecu_id=row.ecu_id,
        hardware_id=row.hardware_id,
        target=row.target,
        sha256=row.sha256,
        length=row.length,
        release_counter=row.release_counter,
        withdrawn_code=row.withdrawn_code,
        name=row.name,
        campaign=row.campaign,
        deadline=row.deadline,
        needs=NO_NEEDS if row.needs is None else decode_needs(row.needs),
    )
