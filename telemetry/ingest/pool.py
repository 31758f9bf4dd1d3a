"""Decoders in processes of their own: what comes from outside can only harm a child.

A child decodes one batch at a time within a limit of memory; one that takes too long is killed,
one that dies is replaced. A batch is tried twice before it is refused, because a child may also die
for reasons of the machine.

Run as a module this file is that child: frames of a length (32 bit, big endian) and as many bytes,
batches in, answers out.
"""

import os
import queue
import resource
import select
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

import msgspec

from telemetry.codec.batch import BatchLimits
from telemetry.codec.errors import CodecError
from telemetry.ingest.prepare import Prepared, prepare, warm_up

_LENGTH = struct.Struct(">I")
_ATTEMPTS = 2
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many decoders, and what one batch may cost."""

    workers: int = 1
    limits: BatchLimits
    time_limit_s: float = 30.0  # a batch of 100,000 rows takes about 2 s in plain Python
    memory_bytes: int = 2 * 1024 * 1024 * 1024  # of address space, pyarrow reserves much of it


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a child says: a prepared batch, or why it is refused."""

    prepared: Prepared | None = None
    code: str = ""
    reason: str = ""


class DecoderDiedError(Exception):
    """A child is gone or was killed for taking too long; ``code`` is why the batch is refused."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DecodePool:
    """A fixed number of children. ``prepare`` may be called from any number of threads."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self.deaths = 0
        self._free: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        for _ in range(settings.workers):
            self._free.put(_Child(settings))

    def prepare(self, payload: bytes) -> Prepared:
        """Decode ``payload`` in a child; wait for a free one.

        Raises:
            CodecError: The batch is refused: by its content, or because two children died of it.
        """
        failure = DecoderDiedError("ingest.decoder_died", "no decoder was started")
        for _ in range(_ATTEMPTS):
            try:
                return self._try(payload)
            except DecoderDiedError as error:
                failure = error
        raise CodecError(f"batch: {failure}", code=failure.code)

    def close(self) -> None:
        """End all children that are free; one that works ends with this process."""
        with suppress(queue.Empty):
            while True:
                self._free.get_nowait().stop()

    def _try(self, payload: bytes) -> Prepared:
        child = self._free.get()
        try:
            answer = child.ask(payload)
        except DecoderDiedError:
            self.deaths += 1
            child.stop()
            child = _Child(self._settings)
            raise
        finally:
            self._free.put(child)
        if answer.prepared is None:
            raise CodecError(answer.reason, code=answer.code)
        return answer.prepared


class _Child:
    def __init__(self, settings: PoolSettings) -> None:
        self._time_limit_s = settings.time_limit_s
        limits = settings.limits
        numbers = (limits.max_bytes, limits.max_rows, settings.memory_bytes)
        self._process = subprocess.Popen(  # noqa: S603 (this module, and numbers)
            [sys.executable, "-m", "telemetry.ingest.pool", *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent; a child ends with its input
        )
        self._input, self._output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._is_ready = False

    def ask(self, payload: bytes) -> Answer:
        deadline_s = time.monotonic() + self._time_limit_s
        if not self._is_ready:
            self._read(deadline_s)  # an empty frame says that all is loaded
            self._is_ready = True
            deadline_s = time.monotonic() + self._time_limit_s
        try:
            _write(self._input, payload)
        except OSError as error:
            raise DecoderDiedError("ingest.decoder_died", f"the decoder died: {error}") from error
        return msgspec.msgpack.decode(self._read(deadline_s), type=Answer)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(_STOP_TIMEOUT_S)
        for pipe in (self._input, self._output):
            with suppress(OSError):
                pipe.close()

    def _read(self, deadline_s: float) -> bytes:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size, deadline_s))
        return self._exactly(length, deadline_s)

    def _exactly(self, length: int, deadline_s: float) -> bytes:
        descriptor, found = self._output.fileno(), bytearray()
        while len(found) < length:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise DecoderDiedError(
                    "ingest.too_slow", f"not decoded within {self._time_limit_s:g} s"
                )
            data = os.read(descriptor, length - len(found))
            if not data:
                raise DecoderDiedError("ingest.decoder_died", "the decoder died of it")
            found += data
        return bytes(found)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a child without pipes")
    return pipe


def _write(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def serve(source: IO[bytes], sink: IO[bytes], limits: BatchLimits) -> None:
    """Decode frame after frame until the input ends."""
    warm_up()
    _write(sink, b"")
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        payload = source.read(_LENGTH.unpack(head)[0])
        _write(sink, msgspec.msgpack.encode(_answer(payload, limits)))


def _answer(payload: bytes, limits: BatchLimits) -> Answer:
    try:
        return Answer(prepared=prepare(payload, limits))
    except CodecError as error:
        return Answer(code=error.code, reason=str(error))


if __name__ == "__main__":
    max_bytes, max_rows, memory = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    serve(sys.stdin.buffer, sys.stdout.buffer, BatchLimits(max_bytes=max_bytes, max_rows=max_rows))
