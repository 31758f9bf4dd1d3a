"""What may end a step while it runs: a gate that closed, or a person's word on a trial.

Steps run in threads and ask between two files or two looks at a program; whoever watches the
vehicle speaks from another thread.
"""

import threading
from enum import StrEnum

from ota.client.gates import Refusal
from ota.errors import InterruptedStepError, TakenBackError


class Word(StrEnum):
    """What a person may say about a version on trial."""

    GOOD = "mark-good"
    BACK = "rollback"


class Watch:
    """One update's watch. Every method returns at once and may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed: Refusal | None = None
        self._word: Word | None = None

    def begin(self) -> None:
        """Forget everything: a new step begins under open gates."""
        with self._lock:
            self._closed = self._word = None

    def close(self, refusal: Refusal) -> None:
        """End the step that runs, because a gate has closed; the first reason counts."""
        with self._lock:
            self._closed = self._closed or refusal

    def say(self, word: Word) -> None:
        """Pass on a person's word about the version on trial; the last one counts."""
        with self._lock:
            self._word = word

    def check(self) -> bool:
        """Return whether a person has called the version on trial good.

        Raises:
            InterruptedStepError: A gate has closed; what ran before is to run again.
            TakenBackError: A person has taken the version on trial back.
        """
        with self._lock:
            closed, word = self._closed, self._word
        if word is Word.BACK:
            raise TakenBackError("the trial", expected="to be kept", got="a rollback by hand")
        if closed is not None:
            raise InterruptedStepError(closed.code, closed.sentence)
        return word is Word.GOOD
