"""When a record may be sent: not when it was made.

Whoever watches the broker sees when a vehicle sends. A record therefore waits for a time that has
nothing to do with what it says: half a day to two and a half days, drawn at random. ``battery``
does not wait: its readings carry no time that could be guessed from the moment of sending.
"""

from collections.abc import Callable

MIN_DELAY_S, MAX_DELAY_S = 12 * 3_600.0, 60 * 3_600.0


def sending_delay_s(chance: Callable[[], float]) -> float:
    """Return how many seconds a record waits; ``chance`` draws a number from 0 to 1."""
    return MIN_DELAY_S + (MAX_DELAY_S - MIN_DELAY_S) * chance()
