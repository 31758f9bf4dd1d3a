"""The fixtures of the real broker."""

from tests.support.broker import broker, pki  # noqa: F401 (fixtures)
