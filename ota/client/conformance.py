"""The command line by which the public TUF conformance suite judges the verifier.

Shape: one of ``init ROOT``, ``refresh``, ``download``, with ``--metadata-dir``, ``--metadata-url``,
``--target-name`` (repeatable), ``--target-base-url``, ``--target-dir``; exit code 0 or 1.
Source: theupdateframework/tuf-conformance, CLIENT-CLI.md. The suite serves plain HTTP on loopback.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ota.client.fetch import LoopbackFetcher
from ota.client.plain import PlainClient, init_folder
from ota.errors import OtaError


class _SystemClock:
    """Meets ``ports.Clock``."""

    def utc_now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 (the suite moves the clock of this process)

    def monotonic_s(self) -> float:
        return time.monotonic()


def main(arguments: Sequence[str], *, is_director: bool) -> int:
    """Run one command of the suite; return the exit code. A refusal is named on stderr."""
    asked = _parser().parse_args(arguments)
    try:
        _run(asked, is_director=is_director)
    except OtaError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 1
    return 0


def _run(asked: argparse.Namespace, *, is_director: bool) -> None:
    if asked.command == "init":
        init_folder(asked.metadata_dir, asked.root.read_bytes())
        return
    clock = _SystemClock()
    fetcher = LoopbackFetcher(clock)
    client = PlainClient(
        asked.metadata_dir,
        asked.metadata_url,
        is_director=is_director,
        fetcher=fetcher,
        clock=clock,
    )
    try:
        if asked.command == "refresh":
            client.refresh()
        else:
            client.download(
                asked.target_name, targets_url=asked.target_base_url, folder=asked.target_dir
            )
    finally:
        fetcher.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", type=_folder_url)
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", type=_folder_url)
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser


def _folder_url(text: str) -> str:
    return text if text.endswith("/") else f"{text}/"
