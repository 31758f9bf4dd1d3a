"""An update in each of its phases: five facts, planned, countdown, progress; pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.hmi.pages.words import Button, Fact, cut, sentence
from agent.hmi.texts import DEFAULT_LANGUAGE, Texts
from agent.hmi.views import (
    Criticality,
    Decision,
    Fetching,
    GateLine,
    Progress,
    UpdateCard,
    UpdateFacts,
    UpdatePhase,
)

MAX_CHANGES = 3  # lines of changes on the screen; the release record allows more


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateView:
    """An update that asks, waits, counts down or runs."""

    title: str
    tag: str
    tag_icon: str
    phase: str
    sub: str = ""
    facts: tuple[Fact, ...] = ()
    gates: tuple[Fact, ...] = ()
    gates_title: str = ""
    countdown_s: int | None = None
    countdown: str = ""
    percent: int | None = None
    bar: str = ""
    note: str = ""
    buttons: tuple[Button, ...] = ()


def facts_in(facts: Mapping[str, UpdateFacts], language: str) -> UpdateFacts:
    """Return the facts in ``language``, else English, else any; there is always at least one."""
    chosen = facts.get(language) or facts.get(DEFAULT_LANGUAGE)
    return chosen or next(iter(facts.values()))


def update_view(update: UpdateCard, texts: Texts) -> UpdateView:
    """Return the update as its phase shows it."""
    if update.phase is UpdatePhase.READY:
        return _ready_view(update, texts)
    if update.phase is UpdatePhase.SCHEDULED:
        return _scheduled_view(update, texts)
    if update.phase is UpdatePhase.COUNTDOWN:
        return _countdown_view(update, texts)
    return _running_view(update, texts)


def fetching_view(fetching: Fetching, texts: Texts) -> UpdateView:
    """Return an update that is on its way into the vehicle."""
    done = fetching.done_bytes
    share = None if done is None else 100 * done // max(1, fetching.total_bytes)
    return UpdateView(
        title=texts.say("fetching.title"),
        tag=texts.say("update.title", **_called(fetching)),
        tag_icon="clock",
        phase="fetching",
        sub=_come(fetching, texts),
        percent=None if share is None else min(share, 100),
        bar=texts.say("fetching.bar"),
        note=texts.say("fetching.drive"),
    )


def fetching_text(fetching: Fetching, texts: Texts) -> str:
    """Return in one line what is on its way, and how far it is."""
    return f"{texts.say('update.title', **_called(fetching))}: {_come(fetching, texts)}"


def _called(fetching: Fetching) -> dict[str, str]:
    return {"name": cut(fetching.name)[:40], "version": fetching.to_version[:20]}


def _come(fetching: Fetching, texts: Texts) -> str:
    """Return bytes, speed and time left as far as they are known, or why nothing comes."""
    if fetching.why_not:
        return cut(texts.find(f"reason.{fetching.code}", fetching.why_not))
    total = texts.size(fetching.total_bytes)
    if fetching.done_bytes is None:
        return texts.say("fetching.begins", total=total)
    parts = [texts.say("fetching.of", done=texts.size(fetching.done_bytes), total=total)]
    if fetching.bytes_per_s is not None:
        parts.append(f"{texts.size(round(fetching.bytes_per_s))}/s")
    if fetching.left_s is not None:
        parts.append(texts.say("installing.left", time=texts.duration(fetching.left_s)))
    return " · ".join(parts)


def _tag(update: UpdateCard, texts: Texts) -> str:
    if update.criticality is Criticality.RECALL and update.recall_number:
        return texts.say("update.kind.recall_number", number=update.recall_number[:20])
    return texts.say(f"update.kind.{update.criticality}")


_TAG_ICONS = {
    Criticality.FEATURE: "star",
    Criticality.SECURITY: "shield",
    Criticality.RECALL: "warning",
}


def _named(update: UpdateCard) -> dict[str, str]:
    return {"name": cut(update.name)[:40], "version": update.to_version[:20]}


def _ready_view(update: UpdateCard, texts: Texts) -> UpdateView:
    facts = facts_in(update.facts, texts.language)
    change = texts.say("update.new")
    if update.from_version is not None:
        change = texts.say("update.from", version=update.from_version[:20])
    return UpdateView(
        title=texts.say("update.title", **_named(update)),
        tag=_tag(update, texts),
        tag_icon=_TAG_ICONS[update.criticality],
        phase=update.phase,
        sub=cut(facts.purpose),
        facts=_five_facts(facts, texts),
        gates=tuple(_gate(gate, texts) for gate in update.gates),
        gates_title=texts.say("update.needs"),
        note=f"{change} · {texts.say('update.size', size=texts.size(update.size_bytes))}",
        buttons=_update_buttons(update, texts),
    )


def _five_facts(facts: UpdateFacts, texts: Texts) -> tuple[Fact, ...]:
    takes = texts.say("update.takes", time=texts.duration(facts.duration_s))
    changes = tuple(cut(change) for change in facts.changes[:MAX_CHANGES])
    return (
        Fact(icon="list", label=texts.say("update.changes"), lines=changes),
        Fact(icon="clock", label=takes, lines=(sentence([facts.unavailable]),)),
        Fact(icon="hand", label=texts.say("update.you"), lines=(cut(facts.instructions),)),
    )


def _gate(gate: GateLine, texts: Texts) -> Fact:
    otherwise = texts.find(f"gate.{gate.code}", gate.text or gate.code)
    words = otherwise if gate.ok else texts.find(f"gate.{gate.code}.no", gate.text or otherwise)
    state = texts.say("gate.met" if gate.ok else "gate.not_met")
    return Fact(icon="check" if gate.ok else "cross", label=state, lines=(cut(words),))


def _update_buttons(update: UpdateCard, texts: Texts) -> tuple[Button, ...]:
    icons = {Decision.NOW: "play", Decision.TONIGHT: "moon", Decision.LATER: "clock"}
    if not all(gate.ok for gate in update.gates):
        del icons[Decision.NOW]  # the list of what is needed says why
    if not update.can_defer:
        del icons[Decision.LATER]
    return tuple(
        Button(
            label=texts.say(f"update.{decision}"),
            url=f"/api/updates/{update.content_hash}/answer",
            action=f"update-{decision}",
            icon=icon,
            fields=(("decision", decision),),
        )
        for decision, icon in icons.items()
    )


def _cancel(update: UpdateCard, texts: Texts) -> Button:
    return Button(
        label=texts.say("countdown.cancel"),
        url=f"/api/updates/{update.content_hash}/cancel",
        action="update-cancel",
        icon="cross",
    )


def scheduled_text(update: UpdateCard, texts: Texts) -> str:
    """Return when the planned ``update`` starts."""
    key = "scheduled.at" if update.scheduled_text else "scheduled.soon"
    return texts.say(key, **_named(update), time=update.scheduled_text)


def _scheduled_view(update: UpdateCard, texts: Texts) -> UpdateView:
    return UpdateView(
        title=texts.say("scheduled.title"),
        tag=_tag(update, texts),
        tag_icon="moon",
        phase=update.phase,
        sub=scheduled_text(update, texts),
        facts=_five_facts(facts_in(update.facts, texts.language), texts)[1:],
        buttons=(_cancel(update, texts),),
    )


def _countdown_view(update: UpdateCard, texts: Texts) -> UpdateView:
    left_s = max(update.countdown_s or 0, 0)
    return UpdateView(
        title=texts.say("countdown.title"),
        tag=texts.say("update.title", **_named(update)),
        tag_icon=_TAG_ICONS[update.criticality],
        phase=update.phase,
        sub=texts.say("countdown.what"),
        countdown_s=left_s,
        countdown=f"{left_s // 60}:{left_s % 60:02d}",
        note=texts.say("countdown.last"),
        buttons=(_cancel(update, texts),),
    )


def _running_view(update: UpdateCard, texts: Texts) -> UpdateView:
    progress, is_checking = update.progress, update.phase is UpdatePhase.CHECKING
    kind = "checking" if is_checking else "installing"
    return UpdateView(
        title=texts.say(f"{kind}.title"),
        tag=texts.say("update.title", **_named(update)),
        tag_icon=_TAG_ICONS[update.criticality],
        phase=update.phase,
        sub="" if progress is None else _step(progress, texts),
        percent=None if progress is None else min(max(progress.percent, 0), 100),
        bar=texts.say("installing.bar"),
        note=texts.say("checking.what" if is_checking else "installing.stay"),
    )


def _step(progress: Progress, texts: Texts) -> str:
    step = texts.say("installing.step", step=progress.step, steps=progress.steps)
    if progress.left_s is None:
        return step
    left = texts.say("installing.left", time=texts.duration(progress.left_s))
    return f"{step} · {left}"
