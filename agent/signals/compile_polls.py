"""The layout of replies in the TOML -> the rules of a poll. Pure."""

from agent.signals.compile_units import WrongError, conversion, entry_of, tidy
from agent.signals.definition import ArrayText, NumberText, ReplyText
from agent.signals.table import Number, PolledArray, PolledSignal, Reply


def reply_rule(poll: str, text: ReplyText) -> Reply:
    """Return the layout of one reply; raise WrongError for what does not fit in it."""
    where = f"{poll}, reply of {text.length} bytes"
    return Reply(
        length=text.length,
        signals=tuple(
            PolledSignal(path=row.path, number=_number(where, row.path, row, text.length))
            for row in text.signals
        ),
        arrays=tuple(_array(where, row, text.length) for row in text.arrays),
    )


def _number(where: str, path: str, text: "NumberText | ArrayText", length: int) -> Number:
    entry = entry_of(where, path)
    if text.at < 0 or text.at + text.size > length:
        raise WrongError(
            f"{where}: {path} does not fit: expected bytes 0 to {length - 1}, "
            f"got {text.at} to {text.at + text.size - 1}"
        )
    scale = conversion(f"{where}: {path}", text.unit, entry)
    return Number(
        at=text.at,
        size=text.size,
        is_signed=text.is_signed,
        factor=tidy(text.factor * scale),
        offset=tidy(text.offset * scale),
        minimum=float(entry.minimum),
        maximum=float(entry.maximum),
        sentinels=text.sentinels,
    )


def _array(where: str, text: ArrayText, length: int) -> PolledArray:
    end = text.at + text.every * (text.count - 1) + text.size
    if end > length:
        raise WrongError(f"{where}: {text.prefix} does not fit: expected {end} bytes or more")
    array = PolledArray(
        prefix=text.prefix,
        count=text.count,
        every=text.every,
        number=_number(where, f"{text.prefix}1", text, length),
        absent_at=text.absent_at,
        absent=text.absent,
        lowest=text.lowest,
        highest=text.highest,
        mean=text.mean,
        lowest_id=text.lowest_id,
        highest_id=text.highest_id,
    )
    for path in array.paths():
        entry_of(where, path)
    return array
