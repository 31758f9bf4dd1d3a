"""What commands ask of the running agent's updates: one JSON document per question.

The control socket lies in the state folder, which only the agent's user may enter. Answers to an
update from the command line are held to the same content hash and gates as those on the screen;
only a technician's OK, which says so, skips the countdown.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from agent.updates import UpdateService, UpdateView
from ota.client.gates import COUNTDOWN, Refusal
from ota.client.watch import Word
from ota.errors import InstallError, sentence_of

Ask = Callable[[str], Awaitable[str]]

# What an OK given on the spot opens by itself, and what goes with the next looks at the vehicle.
_OPENED = frozenset(
    {
        COUNTDOWN,
        "ota.gate.not_approved",
        "ota.gate.outside_window",
        "ota.gate.put_off",
        "ota.gate.technician",
    }
)


class Workbench:
    """The words of ``control.Control`` that are about updates."""

    def __init__(self, updates: UpdateService) -> None:
        self._updates = updates

    def questions(self) -> Mapping[str, Ask]:
        """Return each word with what answers it; every answer is one line of JSON."""
        return {
            "update-check": self._check,
            "update-view": self._view,
            "update-install": self._install,
            "update-trial": self._decide_trial,
            "update-manifest": self._manifest,
            "apps": self._apps,
            "app-want": self._want,
            "app-remove": self._remove,
        }

    async def _check(self, _nothing: str) -> str:
        """Answer with the number of checks that had ended before this one was asked for."""
        checks = self._updates.view().checks
        self._updates.check_now()
        return _answer({"checks": checks})

    async def _view(self, _nothing: str) -> str:
        return _answer(document(self._updates.view()))

    async def _install(self, content_hash: str) -> str:
        """Begin at once, or leave everything as it is: an OK that waits is ``update approve``."""
        closed = [each for each in self._updates.view().refusals if each.code not in _OPENED]
        if closed:
            return _taken(closed[0])
        return _taken(await self._updates.approve(content_hash, is_technician=True))

    async def _apps(self, _nothing: str) -> str:
        return _answer({"apps": await self._updates.apps()})

    async def _want(self, name: str) -> str:
        return _taken(await self._updates.wish(name, is_wanted=True))

    async def _remove(self, name: str) -> str:
        return _taken(await self._updates.wish(name, is_wanted=False))

    async def _decide_trial(self, word: str) -> str:
        return _taken(self._updates.decide_trial(Word(word)))

    async def _manifest(self, _nothing: str) -> str:
        try:
            signed = await self._updates.signed_manifest()
        except InstallError as error:
            return _taken(Refusal(error.code, str(error)))
        return _answer({"manifest": signed.decode()})


def document(view: UpdateView) -> dict[str, object]:
    """Return ``view`` as plain objects, with the sentence to every code it names."""
    plain: dict[str, object] = msgspec.to_builtins(view)
    attack = view.attack and {"code": view.attack, "sentence": sentence_of(view.attack)}
    return plain | {"attack": attack}


def _taken(refusal: Refusal | None) -> str:
    if refusal is None:
        return _answer({"taken": True})
    return _answer({"error": {"code": refusal.code, "message": refusal.sentence}})


def _answer(document: Mapping[str, object]) -> str:
    return msgspec.json.encode(document).decode()
