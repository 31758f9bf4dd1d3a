"""The examples behind the golden files of sealing: two keys that everybody knows, one batch.

Sealing is random: the files were written once, by ``python -m tests.golden.sealed_examples``, and
every later release opens them.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from telemetry.purposes import Purpose
from telemetry.seal import OpeningKey, seal
from tests.golden.codec_examples import EXAMPLES

FOLDER = Path(__file__).parent / "sealed"
BATCH = EXAMPLES["battery_1_one_sample.hex"]
_X25519 = X25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {
    "x25519.hex": OpeningKey(_X25519),
    "mlkem768-x25519.hex": OpeningKey(
        _X25519, MLKEM768PrivateKey.from_seed_bytes(bytes(range(64)))
    ),
}


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, key in KEYS.items():
        sealed = seal(BATCH, purpose=Purpose.BATTERY, key=key.public)
        (FOLDER / name).write_text(sealed.hex() + "\n")


if __name__ == "__main__":
    write()
