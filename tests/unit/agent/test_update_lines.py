"""What `okdrive-agent update` says fits a terminal of 80 columns and names what counts."""

from agent.commands.updatetalk import progress_line, reason_lines, sentence_lines, view_lines

OFFER = {
    "name": "trip-light",
    "from_version": "1.0.0",
    "to_version": "1.1.0",
    "others": [],
    "criticality": "recall",
    "size_bytes": 12_400_000,
    "content_hash": "a" * 64,
    "facts": {"en": {"purpose": "Shows the light of the last trip, " * 5, "duration_s": 20}},
    "deadline": "2026-12-01T00:00:00Z",
    "is_overdue": True,
}
VIEW = {
    "state": "awaiting_ok",
    "offer": OFFER,
    "progress": None,
    "attack": None,
    "problem": {"sentence": "The server answered too slowly. " * 6, "code": "ota.download.slow"},
    "refusals": [{"sentence": "Waiting for the driver's OK.", "code": "ota.gate.not_approved"}],
}


def test_an_offer_says_what_why_how_large_and_how_long() -> None:
    lines = list(view_lines(VIEW))
    assert lines[:4] == [
        "state     awaiting_ok",
        "offered   trip-light 1.1.0 (recall)",
        "          12,400,000 bytes, replaces 1.0.0",
        f"          {'a' * 64}",
    ]
    assert lines[4].startswith("why       Shows the light")
    assert "takes     at most 20 s" in lines
    assert "deadline  2026-12-01T00:00:00Z, passed" in lines
    assert max(map(len, lines)) <= 80


def test_reasons_are_wrapped_and_keep_their_codes() -> None:
    lines = list(reason_lines(VIEW))
    assert max(map(len, lines)) <= 80
    assert "(ota.download.slow)" in " ".join(lines)
    assert lines[-1] == "waits     Waiting for the driver's OK. (ota.gate.not_approved)"


def test_a_word_longer_than_the_line_stays_whole() -> None:
    path = "/a" * 60
    assert path in list(sentence_lines("wrote", path))[-1]


def test_a_download_says_how_far_how_fast_and_how_long() -> None:
    known = {"done_bytes": 3_200_000, "total_bytes": 12_400_000}
    told = progress_line(known | {"bytes_per_s": 52_000.0, "left_s": 176.9})
    assert told == "downloading 3,200,000 of 12,400,000 bytes, 52 kB/s, 177 s left"
    begun = progress_line(known | {"bytes_per_s": None, "left_s": None})
    assert begun == "downloading 3,200,000 of 12,400,000 bytes"
