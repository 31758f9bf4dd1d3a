"""Errors of the update path. One tree, one stable code per leaf.

OtaError
 +-- RepositoryError        the repository is wrong: do not retry before it changes
 |    +-- RollbackError, FreezeError, MixAndMatchError, SignatureError, EndlessDataError ...
 +-- DownloadError          the network is wrong: retry with backoff
 +-- NotNowError            a gate is closed: ask again when the vehicle changes
 +-- InstallError           this vehicle is wrong: the running slot is untouched
 +-- ManifestError          a vehicle's report is not believed; the Director keeps what it knew
 +-- PublishError           what a release engineer asked for is refused: ota/publisher/errors.py

A code is never reused. ``str(error)`` says what was expected, what was found and what is still
intact; ``sentence`` says it to a driver; ``advice`` says what to do next; ``attack`` names what an
attacker would be up to, if it was one.
"""

from typing import ClassVar

_MAX_PART = 300  # characters; two SHA-256 and their names still fit


class OtaError(Exception):
    """Root of the tree; catch a family, raise a leaf."""

    code: ClassVar[str] = "ota"
    attack: ClassVar[str | None] = None  # what it is a sign of, in the words of the field
    sentence: ClassVar[str] = "The update did not go ahead."
    advice: ClassVar[str] = "Look at the message; nothing needs to be repaired in a hurry."

    def __init__(
        self, subject: str, *, expected: str, got: str, intact: str = "nothing changed"
    ) -> None:
        self.subject, self.expected, self.got = map(_bounded, (subject, expected, got))
        self.intact = intact
        self.about: str | None = None  # ECU id of the image it is about, where there are several
        super().__init__(f"{self.subject}: expected {self.expected}, got {self.got}; {self.intact}")


def _bounded(text: str) -> str:
    """Return ``text`` as far as a log line should carry what somebody else has sent."""
    return text if len(text) <= _MAX_PART else f"{text[:_MAX_PART]}..."


# --- the repository is wrong ---------------------------------------------------------------


class RepositoryError(OtaError):
    """The repository is wrong: do not retry before it changes."""

    code = "ota.repository"
    sentence = "The update server offered something this car does not accept."
    advice = "Wait for the publisher to repair the repository; the car keeps what it runs."


class MalformedError(RepositoryError):
    """Bytes that are no metadata at all."""

    code = "ota.repository.malformed"
    attack = "arbitrary data"
    sentence = "The update server sent something unreadable."


class SignatureError(RepositoryError):
    """Too few valid signatures: somebody without the keys offers software (arbitrary software)."""

    code = "ota.repository.signature"
    attack = "arbitrary software"
    sentence = "The update is not signed by those who may sign it."


class RollbackError(RepositoryError):
    """The repository offers less than the floor of this vehicle."""

    code = "ota.repository.rollback"
    attack = "rollback"
    sentence = "The update server offered something older than what this car already knows."

    def __init__(self, role: str, *, floor: int, offered: int) -> None:
        super().__init__(role, expected=f"version >= {floor}", got=str(offered))
        self.role, self.floor, self.offered = role, floor, offered


class FastForwardError(RepositoryError):
    """A version so high that honest ones could never follow."""

    code = "ota.repository.fast_forward"
    attack = "fast-forward"
    sentence = "The update server jumped to a version number that would lock this car out."


class FutureError(RepositoryError):
    """A Timestamp from a future that has not come: it would move the time of this vehicle."""

    code = "ota.repository.future"
    attack = "moved time"
    sentence = "The update server claims a date that has not come yet."
    advice = "Check the clock of the machine that signs timestamps, and who holds its key."


class FreezeError(RepositoryError):
    """Metadata past its expiry: somebody holds back what is new."""

    code = "ota.repository.freeze"
    attack = "freeze"
    sentence = "The update server only showed expired information."
    advice = "Refresh the repository's metadata (okdrive-ota refresh), or check the car's clock."


class MixAndMatchError(RepositoryError):
    """Roles that were never published together."""

    code = "ota.repository.mix_and_match"
    attack = "mix-and-match"
    sentence = "The update server mixed parts of different releases."


class EndlessDataError(RepositoryError):
    """More bytes than a role or a target may have."""

    code = "ota.repository.endless_data"
    attack = "endless data"
    sentence = "The update server sent more data than it may."


class WrongHardwareError(RepositoryError):
    """An image for other hardware."""

    code = "ota.repository.wrong_hardware"
    attack = "wrong hardware"
    sentence = "The update was made for different hardware."


class UnknownEcuError(RepositoryError):
    """The Director names an ECU this vehicle does not have."""

    code = "ota.repository.unknown_ecu"
    attack = "wrong target"
    sentence = "The update is meant for a part this car does not have."


class RepeatedEcuError(RepositoryError):
    """The Director names one ECU twice."""

    code = "ota.repository.repeated_ecu"
    attack = "mixed bundles"
    sentence = "The update server gave one part of this car two different instructions."


class DocumentError(RepositoryError):
    """A signed document that is not of the shape its readers agreed on."""

    code = "ota.repository.document"
    attack = "arbitrary data"
    sentence = "The update server published a document that this car cannot use."
    advice = "Publish it again, made by the command that makes such documents."


class DirectorDelegationError(RepositoryError):
    """The Director delegates, which only the Image repository may."""

    code = "ota.repository.director_delegation"
    attack = "stolen Director key"
    sentence = "The update server passed on a right that it must keep to itself."


class DisagreementError(RepositoryError):
    """Roles that must agree on an image do not: one of their keys may be in wrong hands."""

    code = "ota.repository.disagreement"
    attack = "one of several stolen keys"
    sentence = "Those who must release an update together did not agree on it."


class TooManyDelegationsError(RepositoryError):
    """A search through delegations that has no end in sight."""

    code = "ota.repository.too_many_delegations"
    attack = "endless search"
    sentence = "The update server kept passing the question on."


class ForeignVehicleError(RepositoryError):
    """Director metadata made for another vehicle (replay)."""

    code = "ota.repository.foreign_vehicle"
    attack = "replay to another vehicle"
    sentence = "The update server sent instructions that belong to another car."


class ImageMismatchError(RepositoryError):
    """Director and Image repository do not describe the same image."""

    code = "ota.repository.image_mismatch"
    attack = "stolen Director key"
    sentence = "The two update servers do not agree on what is to be installed."


class MissingTargetError(RepositoryError):
    """The Director points at an image that the Image repository does not list."""

    code = "ota.repository.missing_target"
    attack = "stolen Director key, or a freeze of the Image repository"
    sentence = "The update server asked for software that was never released."


class DependencyError(RepositoryError):
    """An image needs another app, or a newer one, than the vehicle has or is offered."""

    code = "ota.repository.dependency"
    attack = "mix-and-match of images"
    sentence = "The update needs something else first that this car does not have."
    advice = "Assign what the message names in the same step, or before."


class ConflictingError(RepositoryError):
    """An image must not be beside another app that the vehicle has or is offered."""

    code = "ota.repository.conflict"
    attack = "mix-and-match of images"
    sentence = "The update cannot be together with something else in this car."
    advice = "Remove what the message names first, or do not assign the image."


class HashMismatchError(RepositoryError):
    """The bytes are not the ones that were signed."""

    code = "ota.repository.hash_mismatch"
    attack = "arbitrary software"
    sentence = "The downloaded update is not what was signed."


class LengthMismatchError(RepositoryError):
    """The image is longer or shorter than what was signed."""

    code = "ota.repository.length_mismatch"
    attack = "endless data"
    sentence = "The downloaded update has the wrong size."


class ReleaseCounterError(RepositoryError):
    """An older release than the one that was committed."""

    code = "ota.repository.release_counter"
    attack = "rollback of an image"
    sentence = "The update is older than what this car already runs."

    def __init__(self, ecu_id: str, *, floor: int, offered: int) -> None:
        super().__init__(ecu_id, expected=f"release counter >= {floor}", got=str(offered))
        self.ecu_id, self.floor, self.offered = ecu_id, floor, offered


class CustomFieldError(RepositoryError):
    """A signed custom field has the wrong shape."""

    code = "ota.repository.custom_field"
    attack = "arbitrary data, path traversal"
    sentence = "The description of the update is incomplete."


class UnsafePackageError(RepositoryError):
    """A package that would write where it must not, or is not what its manifest says."""

    code = "ota.repository.unsafe_package"
    attack = "path traversal, archive bomb"
    sentence = "The update package is not built the way a safe one is."


class PatchError(RepositoryError):
    """A difference that does not fit what is installed, or is none."""

    code = "ota.repository.patch"
    attack = "arbitrary software"
    sentence = "The update by difference did not fit what this car runs."
    advice = "Nothing to do: it is fetched in another way, if that does not cost too much data."


# --- the network is wrong ------------------------------------------------------------------


class DownloadError(OtaError):
    """The network is wrong: retry with backoff."""

    code = "ota.download"
    sentence = "The update could not be downloaded."
    advice = "Nothing to do: it is tried again later."


class NetworkError(DownloadError):
    """No connection, or it broke."""

    code = "ota.download.network"
    attack = "drop-request"
    sentence = "The update server could not be reached."


class SlowRetrievalError(DownloadError):
    """Bytes that arrive so slowly that the vehicle is kept from its update."""

    code = "ota.download.slow_retrieval"
    attack = "slow retrieval"
    sentence = "The update server answered too slowly."


class StaleError(DownloadError):
    """The repositories were not reached for so long that somebody may be keeping them away."""

    code = "ota.download.stale"
    attack = "drop-request"
    sentence = "The car has not reached the update server for a long time."
    advice = "Look at the car's network; what it runs stays, and recalls do not reach it."


class ServerRefusedError(DownloadError):
    """The server answered with an error status; ``retry_after_s`` is when it wants to be asked."""

    code = "ota.download.refused"
    attack = "drop-request"
    sentence = "The update server refused to answer."

    def __init__(self, url: str, *, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(url, expected="HTTP status 200", got=str(status))
        self.url, self.status, self.retry_after_s = url, status, retry_after_s


class WrongAnswerError(DownloadError):
    """An answer that is not the one to the question: another range, compressed, a login page."""

    code = "ota.download.wrong_answer"
    attack = "man in the middle"
    sentence = "Something between the car and the update server answered in its place."


class StoppedError(DownloadError):
    """The agent ends: the download goes on where it is, after the next start."""

    code = "ota.download.stopped"
    sentence = "The download goes on when the car is started again."


class UntrustedServerError(DownloadError):
    """TLS did not prove that this is our server, or the server did not accept us."""

    code = "ota.download.untrusted_server"
    attack = "man in the middle"
    sentence = "The update server could not prove who it is."
    advice = "Check the CA and the certificates of the vehicle and of the server."


# --- a gate is closed ----------------------------------------------------------------------


class NotNowError(OtaError):
    """A gate is closed: ask again when the vehicle changes."""

    code = "ota.not_now"
    sentence = "The update has to wait."
    advice = "Nothing to do: it is asked again when the car changes."


class TimeUnknownError(NotNowError):
    """Nobody trustworthy has said what time it is, so expiry means nothing."""

    code = "ota.not_now.time_unknown"
    attack = "freeze, by taking the time away"
    sentence = "The car does not know the time for certain yet, so the update has to wait."


class DataBudgetError(NotNowError):
    """The rest of the download costs more data than this network may be used for."""

    code = "ota.not_now.data_budget"
    sentence = "The download waits for a network on which it does not cost too much data."
    advice = "Nothing to do: it goes on by itself on another network."


class InterruptedStepError(NotNowError):
    """A gate closed in the middle of an installation; ``gate`` is its code."""

    code = "ota.not_now.interrupted"
    sentence = "The installation was interrupted; what ran before runs again."

    def __init__(self, gate: str, why: str) -> None:
        super().__init__(gate, expected="an open gate", got=why, intact="what ran before runs")
        self.gate, self.why = gate, why


# --- this vehicle is wrong -----------------------------------------------------------------


class InstallError(OtaError):
    """This vehicle is wrong: the running slot is untouched."""

    code = "ota.install"
    sentence = "The update could not be installed; what ran before still runs."
    advice = "Read okdrive-agent doctor; the car keeps what it runs."


class NoRoomError(InstallError):
    """Not enough space for the new version and the way back."""

    code = "ota.install.no_room"
    sentence = "There is not enough room for the update."
    advice = "Free space in the state directory; the update is tried again."


class StorageError(InstallError):
    """The disk did not take what had to be written."""

    code = "ota.install.storage"
    sentence = "The car's storage did not accept the update."


class UnhealthyError(InstallError):
    """The new version did not pass its health check."""

    code = "ota.install.unhealthy"
    sentence = "The new version was not well, so the car went back to the one before."


class MigrationError(InstallError):
    """The app's data could not be brought to what the new version expects."""

    code = "ota.install.migration"
    sentence = "The app's data did not fit the new version, so the car kept the one before."


class BundleError(InstallError):
    """Nothing is wrong with this image, but with another that is installed together with it."""

    code = "ota.install.bundle"
    sentence = "Another part of the same update did not go well, so all of it went back."
    advice = "Look at the other part of the campaign; this image can be assigned again."


class TakenBackError(InstallError):
    """A person took a version on trial back before it was committed."""

    code = "ota.install.taken_back"
    sentence = "The new version was taken back by hand; the one before runs again."
    advice = "Nothing to do; publish a release with a higher counter if the old one must stay."


class QuarantinedError(InstallError):
    """This content failed too often and is not tried again."""

    code = "ota.install.quarantined"
    sentence = "This version failed too often and is not tried again."
    advice = "Publish a new release with a higher counter."


# --- a vehicle's report is not believed ----------------------------------------------------


class ManifestError(OtaError):
    """A vehicle's report is not believed; the Director keeps what it knew."""

    code = "ota.manifest"
    sentence = "The report of the car was not accepted."
    advice = "Compare the vehicle's ECU key and id with okdrive-ota vehicle list."


class ManifestMalformedError(ManifestError):
    """Bytes that are no vehicle version manifest."""

    code = "ota.manifest.malformed"
    attack = "arbitrary data"


class ManifestSignatureError(ManifestError):
    """Not signed by the registered key of the primary ECU."""

    code = "ota.manifest.signature"
    attack = "forged report"


class ManifestReplayError(ManifestError):
    """A counter that does not grow: an old report, sent again."""

    code = "ota.manifest.replay"
    attack = "replay of a report"


class ManifestForeignError(ManifestError):
    """A report that speaks for another vehicle or for ECUs it does not have."""

    code = "ota.manifest.foreign"
    attack = "report for another vehicle"


def sentence_of(code: str) -> str:
    """Return what a driver is told about ``code``; of an unknown one, what its family says."""
    best = max(_tree(OtaError), key=lambda kind: _shared(kind.code, code))
    return best.sentence


def _tree(kind: type[OtaError]) -> list[type[OtaError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _tree(child))]


def _shared(known: str, code: str) -> int:
    """Return how many parts of ``known`` begin ``code``, or -1 if it is not its family."""
    return known.count(".") if f"{code}.".startswith(f"{known}.") else -1
