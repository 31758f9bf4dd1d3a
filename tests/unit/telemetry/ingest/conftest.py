"""The fixtures of the stores."""

from tests.support.postgres import postgres  # noqa: F401 (fixture)
from tests.support.workshop import workshop  # noqa: F401 (fixture)
