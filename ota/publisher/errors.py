"""What a release engineer asked for is refused: the part of the tree that no vehicle ships."""

from ota.errors import OtaError


class PublishError(OtaError):
    """What a release engineer asked for is refused; nothing was published."""

    code = "ota.publish"
    sentence = "The release was not published."
    advice = "Correct what the message names and run the same command again."

    def __init__(
        self, subject: str, *, expected: str, got: str, intact: str = "nothing was published"
    ) -> None:
        super().__init__(subject, expected=expected, got=got, intact=intact)


class MissingFactError(PublishError):
    """A fact that a driver or an auditor must be told is missing."""

    code = "ota.publish.missing_fact"
    advice = "Fill in the fact in the release TOML beside the package, then publish again."


class NotNewerError(PublishError):
    """The version exists already, or version or counter is not above the newest release."""

    code = "ota.publish.not_newer"
    advice = "Build with a higher version and release counter; a counter never goes down."


class KeyMissingError(PublishError):
    """Too few private keys at hand to reach a threshold."""

    code = "ota.publish.key_missing"
    advice = "Bring the offline key folder to this machine, then run the same command again."


class UnknownVehicleError(PublishError):
    """A vehicle the inventory does not know."""

    code = "ota.publish.unknown_vehicle"
    advice = "Register it with okdrive-ota vehicle add, or see okdrive-ota vehicle list."


class NoMatchError(PublishError):
    """No ECU of the chosen vehicles takes this image."""

    code = "ota.publish.no_match"
    advice = "Compare kind, name and hardware ids with okdrive-ota vehicle list."


class UnmetNeedError(PublishError):
    """A vehicle would refuse this image: what it needs beside it is not there, or a conflict is."""

    code = "ota.publish.unmet_need"
    advice = "Publish what the message names to the vehicle first, or choose other vehicles."


class ConflictError(PublishError):
    """Something of that name stands there already."""

    code = "ota.publish.conflict"
    advice = "Choose another name, or use what is there."


class NotStoredError(PublishError):
    """A package no difference can lead to, because it is compressed as a whole."""

    code = "ota.publish.not_stored"
    advice = "Build it again: okdrive-ota package build --stored."


class NotFoundError(PublishError):
    """A file, folder or record that was named does not exist."""

    code = "ota.publish.not_found"
    advice = "Check the path or the name."


class BrokenRepositoryError(PublishError):
    """The published folder is not a valid repository."""

    code = "ota.publish.broken_repository"
    advice = "Restore the folder from its last good copy; do not edit metadata by hand."


class SettingsError(PublishError):
    """The publisher's configuration is not valid."""

    code = "ota.publish.settings"
    advice = "Correct publisher.toml."
