"""The service vehicles talk to: both repositories and the manifest, over TLS with certificates.

::

    GET  /image/metadata/<file>             the same for every vehicle
    GET  /image/targets/<hash-prefixed>     images; Range works
    GET  /director/<vehicle>/metadata/<file>   only with that vehicle's certificate
    POST /director/<vehicle>/manifest          likewise; JSON, at most MAX_MANIFEST_BYTES

A refusal is JSON ``{"code", "message"}``. The common name of the client's certificate is the
vehicle id. The service never needs an offline key.
"""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ota.errors import (
    CustomFieldError,
    ManifestError,
    ManifestForeignError,
    ManifestMalformedError,
    ManifestReplayError,
    ManifestSignatureError,
    OtaError,
)
from ota.metadata.manifest import MAX_MANIFEST_BYTES
from ota.metadata.models import is_document, parse_target_name
from ota.metadata.offline import SNAPSHOT as OFFLINE_SNAPSHOT
from ota.publisher.config import ServeSettings
from ota.publisher.errors import ConflictError, SettingsError, UnknownVehicleError
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.orders import Orders

log = logging.getLogger(__name__)

PEER = "okdrive.peer"  # in the ASGI scope: the common name of the client's certificate
HEADER_BYTES = 16_384
BODY_TIMEOUT_S = 20.0
KEEP_ALIVE_S = 30
_METADATA_NAME = re.compile(
    r"(?:[1-9]\d{0,9}\.(?:root|targets|snapshot)|timestamp|offline-snapshot)\.json", re.ASCII
)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_STATUS = {
    ManifestMalformedError: 400,
    ManifestSignatureError: 403,
    ManifestForeignError: 403,
    ManifestReplayError: 409,
    UnknownVehicleError: 404,
}


def create_app(repositories: Repositories, inventory: Inventory) -> Starlette:
    """Return the service over ``repositories`` and ``inventory``; the caller closes the latter.

    The server must put the client's certificate name into the scope under PEER, as CertProtocol
    does; without it every Director request is refused.
    """
    service = _Service(repositories, inventory)
    return Starlette(
        routes=[
            Route("/image/metadata/{file}", service.image_metadata),
            Route("/image/targets/{folder:path}/{file}", service.image_target),
            Route("/director/{vehicle}/metadata/{file}", service.director_metadata),
            Route("/director/{vehicle}/manifest", service.manifest, methods=["POST"]),
        ],
        exception_handlers={OtaError: _refuse, HTTPException: _refuse_http},
    )


def create_server(app: ASGIApp, settings: ServeSettings) -> uvicorn.Server:
    """Return a server for ``app``; run it with ``run(sockets=[bind(settings)])``.

    Raises:
        SettingsError: A certificate or key file is missing or not valid.
    """
    context = server_context(settings)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=CertProtocol,
            ws="none",
            lifespan="off",
            ssl_context_factory=lambda _config, _default: context,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=settings.connections,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=HEADER_BYTES,
        )
    )


def bind(settings: ServeSettings) -> socket.socket:
    """Return a socket that listens on the address of ``settings``.

    Raises:
        ConflictError: The port is taken, or the address is not this machine's.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConflictError(
            f"{settings.host}:{settings.port}",
            expected="a free address to listen on",
            got=str(error),
            intact="nothing was started",
        ) from error
    return listener


def run_server(
    repositories: Repositories,
    settings: ServeSettings,
    *,
    on_listening: Callable[[str, int], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; ``on_listening`` is told host and real port first.

    Raises:
        ConflictError: The port is taken.
        SettingsError, NotFoundError, BrokenRepositoryError: TLS files or repositories are not
            usable; nothing was started.
    """
    layout = repositories.layout
    repositories.image().root()
    repositories.director_base().root()
    with Inventory(layout.inventory) as inventory:
        server = create_server(create_app(repositories, inventory), settings)
        with bind(settings) as listener:
            if on_listening is not None:
                on_listening(*listener.getsockname()[:2])
            server.run(sockets=[listener])


def server_context(settings: ServeSettings) -> ssl.SSLContext:
    """Return a context that asks every client for a certificate of the CA.

    Raises:
        SettingsError: A file is missing or not valid.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file)
        context.load_verify_locations(settings.ca_file)
    except OSError as error:  # ssl.SSLError is one
        files = f"{settings.cert_file}, {settings.key_file}, {settings.ca_file}"
        raise SettingsError(files, expected="TLS files in PEM", got=str(error)) from error
    return context


class CertProtocol(H11Protocol):
    """HTTP/1.1 that puts the common name of the client's certificate into the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Learn the name once per connection; uvicorn itself does not pass it on."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls is not None else None
        self.app = _with_peer(self.app, _common_name(certificate or {}))


class _Service:
    def __init__(self, repositories: Repositories, inventory: Inventory) -> None:
        self._layout = repositories.layout
        self._image = repositories.image()
        self._orders = Orders(repositories, inventory)

    async def image_metadata(self, request: Request) -> Response:
        name = request.path_params["file"]
        if name == "timestamp.json":
            await asyncio.to_thread(self._image.renew, only_if_due=True)
        return await _metadata(self._layout.image_metadata, name)

    async def image_target(self, request: Request) -> Response:
        sha256, _, name = request.path_params["file"].partition(".")
        target = f"{request.path_params['folder']}/{name}"
        if not _is_known(target):  # nothing else is ever turned into a path
            target = ""
        path = self._layout.target_path(target, sha256)
        is_hash = _SHA256.fullmatch(sha256) is not None
        if not target or not is_hash or not await asyncio.to_thread(path.is_file):
            raise HTTPException(404, "expected a released image, got another name")
        return FileResponse(path, media_type="application/octet-stream")

    async def director_metadata(self, request: Request) -> Response:
        vehicle, name = _vehicle(request), request.path_params["file"]
        if name == "timestamp.json":
            await asyncio.to_thread(self._orders.prepare, vehicle)
        layout = self._layout
        folder = layout.director_vehicle(vehicle)
        if name.endswith(".root.json"):
            folder = layout.director_root
        elif name == f"{OFFLINE_SNAPSHOT}.json":  # who has seen it believes no older stick
            folder = layout.director_offline
        return await _metadata(folder, name)

    async def manifest(self, request: Request) -> Response:
        vehicle = _vehicle(request)
        body = await _body(request, MAX_MANIFEST_BYTES)
        manifest = await asyncio.to_thread(self._orders.accept, vehicle, body)
        log.info("manifest_accepted", extra={"vehicle": vehicle, "counter": manifest.counter})
        return JSONResponse({"accepted": manifest.counter})


def _vehicle(request: Request) -> str:
    vehicle: str = request.path_params["vehicle"]
    if request.scope.get(PEER) != vehicle:  # one vehicle may not learn what another is told
        raise HTTPException(403, "expected the certificate of that vehicle, got another; refused")
    return vehicle


def _is_known(target: str) -> bool:
    try:
        parse_target_name(target)
    except CustomFieldError:
        return is_document(target)
    return True


async def _metadata(folder: Path, name: str) -> Response:
    path = folder / name
    if not _METADATA_NAME.fullmatch(name) or not await asyncio.to_thread(path.is_file):
        raise HTTPException(404, "expected a published metadata file, got another name")
    return FileResponse(path, media_type="application/json", headers={"Cache-Control": "no-store"})


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    expected = f"expected at most {max_bytes} bytes; nothing was stored"
                    raise HTTPException(413, expected)
    except TimeoutError:
        raise HTTPException(408, f"expected the body within {BODY_TIMEOUT_S:.0f} s") from None
    return bytes(body)


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, OtaError):
        raise TypeError("registered for OtaError only") from error
    status = _STATUS.get(type(error), 500)
    log.warning(
        "request_refused",
        extra={"vehicle": request.scope.get(PEER), "code": error.code, "status": status},
    )
    # What a publisher's fault is, is told to its log; a vehicle learns what it did wrong.
    ours = not isinstance(error, (ManifestError, UnknownVehicleError))
    message = "the repository needs its publisher" if ours else str(error)
    return JSONResponse({"code": error.code, "message": message}, status)


async def _refuse_http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError("registered for HTTPException only") from error
    code = f"ota.http.{error.status_code}"
    return JSONResponse({"code": code, "message": error.detail}, error.status_code, error.headers)


def _with_peer(app: ASGIApp, peer: str | None) -> ASGIApp:
    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        scope[PEER] = peer
        await app(scope, receive, send)

    return named


def _common_name(certificate: dict[str, tuple[tuple[tuple[str, str], ...], ...]]) -> str | None:
    subject = certificate.get("subject", ())
    names = [value for part in subject for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None
