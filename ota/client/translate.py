"""Bodies within bounds, and python-tuf's exceptions as leaves of our own tree."""

from collections.abc import Iterator
from contextlib import contextmanager

from tuf.api import exceptions as tuf

from ota.client.ports import Fetcher
from ota.errors import (
    EndlessDataError,
    FreezeError,
    MalformedError,
    MixAndMatchError,
    NetworkError,
    RepositoryError,
    ServerRefusedError,
    SignatureError,
    StorageError,
)

# Which of our leaves each of python-tuf's exceptions is; the first that fits.
_LEAVES: tuple[tuple[type[Exception], type[RepositoryError]], ...] = (
    (tuf.UnsignedMetadataError, SignatureError),
    (tuf.ExpiredMetadataError, FreezeError),
    (tuf.LengthOrHashMismatchError, MixAndMatchError),
    (tuf.BadVersionNumberError, MixAndMatchError),
    (tuf.RepositoryError, MalformedError),
)


def read_bounded(fetcher: Fetcher, url: str, *, max_bytes: int) -> bytes:
    """Return the body of ``url``; raise EndlessDataError past ``max_bytes``, DownloadError else."""
    body = bytearray()
    for chunk in fetcher.fetch(url):
        body += chunk
        if len(body) > max_bytes:
            raise EndlessDataError(url, expected=f"at most {max_bytes} bytes", got="more")
    return bytes(body)


@contextmanager
def translated(repository: str) -> Iterator[None]:
    """Let only OtaErrors out of python-tuf."""
    try:
        yield
    except tuf.DownloadHTTPError as error:
        refusal = error.__cause__  # ours, which python-tuf has looked at
        wish = refusal.retry_after_s if isinstance(refusal, ServerRefusedError) else None
        raise ServerRefusedError(
            repository, status=error.status_code, retry_after_s=wish
        ) from error
    except tuf.DownloadError as error:
        raise NetworkError(repository, expected="metadata", got=str(error)) from error
    except tuf.RepositoryError as error:
        leaf = next(leaf for kind, leaf in _LEAVES if isinstance(error, kind))
        raise leaf(repository, expected="metadata that holds", got=str(error)) from error
    except OSError as error:
        raise StorageError(
            f"{repository} metadata", expected="room to keep it", got=str(error)
        ) from error
