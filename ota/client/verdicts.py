"""What a failed step says about an update: in the journal, to the driver, to the Director; pure."""

from ota.client.offer import EcuResult, Offer, Outcome
from ota.errors import (
    BundleError,
    NoRoomError,
    OtaError,
    QuarantinedError,
    RepositoryError,
    ServerRefusedError,
    SlowRetrievalError,
    StaleError,
    TakenBackError,
    UntrustedServerError,
    WrongAnswerError,
)
from ota.metadata.manifest import Outcome as OutcomeKind
from ota.metadata.manifest import UpdateResult

_MAX_CLIENT_ERROR = 499  # an HTTP status of 400 to 499 says: not like this, ever
_TRY_LATER = frozenset({408, 425, 429})
_SIGNS = (
    RepositoryError,
    SlowRetrievalError,
    StaleError,
    UntrustedServerError,
    WrongAnswerError,
)
# What is wrong today is wrong tomorrow, and costs a download each time.
_SETTLED = (RepositoryError.code, QuarantinedError.code, TakenBackError.code)


def success(offers: tuple[Offer, ...], ended_utc: str) -> Outcome:
    """Return how an update of ``offers`` ended that is installed and well."""
    first = offers[0]
    names = " and ".join(f"{offer.name} {offer.version}" for offer in offers)
    is_are = "is" if len(offers) == 1 else "are"
    return Outcome(
        ecu_id=first.ecu_id,
        result=_result(first, OutcomeKind.INSTALLED, None),
        name=first.name,
        version=first.version,
        sentence=f"{names} {is_are} installed and well.",
        others=tuple(
            EcuResult(ecu_id=offer.ecu_id, result=_result(offer, OutcomeKind.INSTALLED, None))
            for offer in offers[1:]
        ),
        ended_utc=ended_utc,
    )


def failure(
    offers: tuple[Offer, ...], to_blame: Offer, kind: OutcomeKind, error: OtaError, ended_utc: str
) -> Outcome:
    """Return how an update of ``offers`` ended because of ``error`` about ``to_blame``."""
    return Outcome(
        ecu_id=to_blame.ecu_id,
        result=_result(to_blame, kind, error.code),
        name=to_blame.name,
        version=to_blame.version,
        sentence=error.sentence,
        detail=str(error),
        others=tuple(
            EcuResult(ecu_id=offer.ecu_id, result=_result(offer, kind, BundleError.code))
            for offer in offers
            if offer != to_blame
        ),
        ended_utc=ended_utc,
    )


def is_refused(offer: Offer, last: Outcome | None) -> bool:
    """Return whether ``offer`` is what failed last time in a way that repeats itself."""
    found = None if last is None else last.result_of(offer.ecu_id)
    return (
        found is not None
        and found.update == offer.content_hash
        and (found.code or "").startswith(_SETTLED)
    )


def has_failed(offer: Offer, last: Outcome | None) -> bool:
    """Return whether ``offer`` itself is to blame for how its update ended."""
    found = None if last is None else last.result_of(offer.ecu_id)
    return (
        found is not None
        and found.update == offer.content_hash
        and found.code not in {BundleError.code, TakenBackError.code}
    )


def is_sign_of_attack(error: OtaError) -> bool:
    """Return whether the Director shall hear of ``error`` although nothing was installed."""
    return isinstance(error, _SIGNS)


def may_pass(error: OtaError) -> bool:
    """Return whether waiting may help: not if a server that was reached says "not like this"."""
    if isinstance(error, ServerRefusedError):
        return error.status > _MAX_CLIENT_ERROR or error.status in _TRY_LATER
    return not isinstance(error, RepositoryError | NoRoomError)


def _result(offer: Offer, kind: OutcomeKind, code: str | None) -> UpdateResult:
    return UpdateResult(update=offer.content_hash, outcome=kind, code=code)
