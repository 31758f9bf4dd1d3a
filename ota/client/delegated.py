"""The delegated Targets of one repository: fetched, verified against each delegator, kept."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from tuf.api.exceptions import (
    BadVersionNumberError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Targets

from ota.client.durable import replace_file
from ota.client.early import check_keys
from ota.client.ports import Fetcher
from ota.client.translate import read_bounded
from ota.errors import MalformedError, MixAndMatchError
from ota.metadata.models import MAX_TARGETS_BYTES

MAX_NAME = 200  # quoted; a file name holds 255 bytes, and ``.json.new`` is added


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegatedRoles:
    """Where delegated Targets come from: ``folder`` first, then ``metadata_url`` (ends with /).

    ``snapshot`` is the verified one that lists them; ``now`` is what expiry is compared with.
    """

    folder: Path
    metadata_url: str
    has_versioned_names: bool  # the root's consistent_snapshot
    fetcher: Fetcher
    snapshot: Snapshot
    now: datetime

    def load(self, name: str, delegator: Targets) -> Targets:
        """Return the verified role ``name``. What was verified for another delegator counts not.

        Raises:
            RepositoryError: python-tuf's; not signed as ``delegator`` says, or old.
            OtaError: It is not listed, has no usable name, or could not be fetched.
            OSError: It could not be kept.
        """
        listed = self.snapshot.meta.get(f"{name}.json")
        if listed is None:
            raise MixAndMatchError(f"role {name}", expected="its entry in the snapshot", got="none")
        quoted = quote(name, "")
        if len(quoted) > MAX_NAME:
            raise MalformedError("role", expected=f"a name of {MAX_NAME} bytes", got=quoted[:80])
        path = self.folder / f"{quoted}.json"
        try:
            return self._verify(path.read_bytes(), name, listed, delegator)
        except (OSError, RepositoryError):
            data = self._fetch(name, listed)
        role = self._verify(data, name, listed, delegator)
        replace_file(path, data)
        return role

    def _fetch(self, name: str, listed: MetaFile) -> bytes:
        prefix = f"{listed.version}." if self.has_versioned_names else ""
        url = f"{self.metadata_url}{prefix}{quote(name, '')}.json"
        length = min(listed.length or MAX_TARGETS_BYTES, MAX_TARGETS_BYTES)
        return read_bounded(self.fetcher, url, max_bytes=length)

    def _verify(self, data: bytes, name: str, listed: MetaFile, delegator: Targets) -> Targets:
        listed.verify_length_and_hashes(data)
        metadata = Metadata[Targets].from_bytes(data)
        role = metadata.signed
        if role.type != Targets.type:
            raise RepositoryError(f"role {name}: expected targets, got {role.type}")
        delegator.verify_delegate(name, metadata.signed_bytes, metadata.signatures)
        if role.version != listed.version:
            raise BadVersionNumberError(
                f"role {name}: expected version {listed.version}, got {role.version}"
            )
        check_keys(f"role {name}", role)
        if role.is_expired(self.now):
            raise ExpiredMetadataError(f"role {name} expired {role.expires:%Y-%m-%d %H:%M} UTC")
        return role
