"""`okdrive-agent token`: the PKCS#11 token that keeps keys, if one is configured."""

from pathlib import Path
from typing import ClassVar

import click

from agent.commands.common import Caller


class NoTokenError(Exception):
    """No token is configured; nothing was changed."""

    code: ClassVar[str] = "agent.no_token"


@click.group()
def token() -> None:
    """Keep the ledger's key and the keys of what is stored in a PKCS#11 token.

    \b
    Name it in agent.toml ([token]: module, label, pin_file), then, before the
    first start:
      okdrive-agent token init       make the keys in it, and print the public one

    Lost with the token: what was stored and not sent, and sharing stops. Updates go on.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)


@token.command("init")
@click.option("--public", type=click.Path(path_type=Path, dir_okay=False), help="Write it here.")
@click.pass_obj
def token_init(caller: Caller, *, public: Path | None) -> None:
    """Make the keys that are missing; those that are there stay.

    Prints the public key that others need to verify an exported ledger (PEM).
    """
    from agent.token import open_token  # noqa: PLC0415 (an extra)

    with caller.doing("token init"):
        config = caller.config().token
        if config is None:
            raise NoTokenError(f"{caller.path}: expected a section [token], found none")
        opened = open_token(config.module, config.label, config.pin_file)
        opened.make_keys()
        pem = opened.signing_key().pem()
        if public:
            public.write_bytes(pem)
        click.echo(pem.decode(), nl=False)
