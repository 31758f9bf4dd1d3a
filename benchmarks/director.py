"""How many vehicles one core of the Director serves: manifest in, signed metadata out.

The real desk of the service on real repositories on disk: ``accept`` checks and stores a signed
manifest, ``prepare`` makes what the vehicle is told. Once where the vehicle is told what it was
told before, once where its manifest says that the last update is installed and another one waits,
so that all its metadata is signed anew. CPU time; HTTP and TLS are not in it.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from agent.clock import SystemClock
from benchmarks.result import Result
from ota.metadata.manifest import EcuReport, VehicleManifest, sign_manifest
from ota.publisher.inventory import Assignment, EcuRecord, Inventory, VehicleRecord
from ota.publisher.layout import Layout, Repositories, init_repositories
from ota.publisher.orders import Orders

_HARDWARE = "board-1"
_VEHICLES = 40
_ROUNDS = 8  # manifests of each vehicle


def measure(*, quick: bool = False) -> list[Result]:
    """Return vehicles a second of CPU time: with nothing new, and with everything signed anew."""
    vehicles, rounds = (4, 2) if quick else (_VEHICLES, _ROUNDS)
    with tempfile.TemporaryDirectory(prefix="okdrive-bench-") as folder:
        fleet = _Fleet(Path(folder), vehicles)
        try:
            quiet = [fleet.round_s(number, is_new=False) for number in range(1, rounds + 1)]
            busy = [fleet.round_s(rounds + n, is_new=True) for n in range(1, rounds + 1)]
        finally:
            fleet.inventory.close()
    return [
        _result("Director, nothing new", vehicles / statistics.median(quiet[1:]), is_bound=False),
        _result("Director, all signed anew", vehicles / statistics.median(busy), is_bound=True),
    ]


def _result(name: str, rate: float, *, is_bound: bool) -> Result:
    return Result(
        name=f"{name}: manifest in, signed metadata out, per core and second",
        value=round(rate, 1),
        unit="1/s",
        peer=None,
        ratio=None,
        must=500 if is_bound else None,
        aim=1_500 if is_bound else None,
        ok=rate >= 500 if is_bound else None,  # noqa: PLR2004 (the design's budget)
    )


class _Fleet:
    def __init__(self, folder: Path, vehicles: int) -> None:
        self._clock = SystemClock()
        repositories = Repositories(layout=Layout.at(folder), clock=self._clock)
        init_repositories(repositories)
        self.inventory = Inventory(repositories.layout.inventory)
        self._orders = Orders(repositories, self.inventory)
        self._signers = {f"car-{number}": _signer() for number in range(vehicles)}
        for vehicle, signer in self._signers.items():
            key = bytes.fromhex(signer.public_key.keyval["public"])
            record = VehicleRecord(
                vehicle=vehicle,
                primary_ecu=f"{vehicle}-primary",
                public_key=key,
                ecus=(_ecu(vehicle),),
            )
            self.inventory.add_vehicle(record, self._clock.utc_now())

    def round_s(self, number: int, *, is_new: bool) -> float:
        """Let every vehicle report once; return the Director's CPU time in seconds."""
        if is_new:
            self._assign(number)
        bodies = list(self._bodies(number))
        began_s = time.process_time()
        for vehicle, body in bodies:
            self._orders.accept(vehicle, body)
            self._orders.prepare(vehicle)
        return time.process_time() - began_s

    def _bodies(self, number: int) -> Iterator[tuple[str, bytes]]:
        for vehicle, signer in self._signers.items():
            ecu_id = _ecu(vehicle).ecu_id
            report = EcuReport(ecu_id=ecu_id, hardware_id=_HARDWARE, installed=None)
            manifest = VehicleManifest(
                vehicle=vehicle,
                primary_ecu=f"{vehicle}-primary",
                counter=number,
                time="2026-11-22T12:00:00Z",
                ecus=(report,),
            )
            yield vehicle, sign_manifest(manifest, signer)

    def _assign(self, number: int) -> None:
        one = Assignment(
            vehicle="",
            ecu_id="",
            hardware_id=_HARDWARE,
            target=f"app/light/1.{number}.0/light-1.{number}.0.okp",
            sha256=f"{number:064x}",
            length=1_000_000,
            release_counter=number,
            name="light",
        )
        assigned = [
            replace(one, vehicle=vehicle, ecu_id=_ecu(vehicle).ecu_id) for vehicle in self._signers
        ]
        self.inventory.assign(assigned, self._clock.utc_now())


def _ecu(vehicle: str) -> EcuRecord:
    return EcuRecord(ecu_id=f"{vehicle}-light", hardware_id=_HARDWARE, name="light")


def _signer() -> CryptoSigner:
    key = Ed25519PrivateKey.generate()
    return CryptoSigner(key, SSlibKey.from_crypto(key.public_key()))
