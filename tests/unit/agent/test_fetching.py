"""How far a download is, as the screen is told: no finer than a person looks."""

from agent.cards import fetching_of
from agent.hmi.views import Fetching
from agent.updates import Offer, UpdateView
from ota.client.gates import Refusal
from ota.client.states import UpdateState
from ota.client.transfer import Progress
from ota.metadata.custom import Criticality

OFFER = Offer(
    content_hash="a" * 64,
    name="trip-light",
    from_version="1.0.0",
    to_version="1.1.0",
    size_bytes=10_000_000,
    criticality=Criticality.FEATURE,
    recall_number=None,
    facts={},
)
KNOWN = Progress(done_bytes=3_456_789, total_bytes=10_000_000, bytes_per_s=51_987.6, left_s=126.2)


def shown(**view: object) -> Fetching | None:
    known: dict[str, object] = {"state": UpdateState.DOWNLOADING, "offer": OFFER}
    return fetching_of(UpdateView(**(known | view)))  # type: ignore[arg-type]


def test_the_figures_change_no_oftener_than_a_percent() -> None:
    found = shown(progress=KNOWN)
    assert found is not None
    assert (found.done_bytes, found.bytes_per_s, found.left_s) == (3_400_000, 52_000.0, 130)


def test_what_is_not_known_yet_is_not_said() -> None:
    begun = shown(progress=Progress(done_bytes=0, total_bytes=10_000_000))
    assert begun is not None
    assert (begun.bytes_per_s, begun.left_s) == (None, None)
    assert shown() == Fetching(name="trip-light", to_version="1.1.0", total_bytes=10_000_000)


def test_a_download_that_stands_still_says_why() -> None:
    found = shown(problem=Refusal("ota.download.network", "The network is gone."))
    assert found is not None
    assert (found.why_not, found.code) == ("The network is gone.", "ota.download.network")


def test_nothing_is_told_of_what_has_come_or_is_not_there() -> None:
    assert shown(state=UpdateState.AWAITING_OK, progress=None) is None
    assert shown(offer=None) is None
