"""Commands over keys: who may use a server of this home."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.output import emit, say_lines
from engine.settings import read_settings
from service.access.keys import Key, KeyRing
from service.access.visitor import Role

_keys = typer.Typer(
    no_args_is_help=True, help="Keys to a server of this home: make, list, revoke them."
)
_Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on stdout, all else on stderr.")
]
_Name = Annotated[str, typer.Argument(help="Whose key it is: a program or a person.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(_keys, name="keys")


@_keys.command()
def add(
    name: _Name,
    role: Annotated[
        Role,
        typer.Option(
            help="read looks and describes; write also fills collections; admin also deletes."
        ),
    ],
    expires: Annotated[
        int | None, typer.Option(min=1, max=3650, help="Days until it ends; by default never.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Make a key and show it, this once: only its SHA-256 is kept.

    From the first key on a server of this home asks for one, on this machine too; the
    terminal of the same user needs none.
    """
    ring = _ring()
    first = not ring.is_used()
    token = ring.add(name, role, expires)
    if as_json:
        (key,) = (key for key in ring.all() if key.name == name)
        emit({"key": token, **_told(key)})
    else:
        typer.echo(token)
    say_lines(
        f"the key {name} ({role}); it is not shown again. Give it as the header\n"
        f"  Authorization: Bearer {token[:10]}..."
    )
    if first:
        say_lines("from now on servers of this home ask everybody for a key, or a sign-in")


@_keys.command("list")
def list_keys(as_json: _Json = False) -> None:
    """The keys there are, with their roles and when they end."""
    keys = _ring().all()
    now = datetime.now(UTC)
    for key in keys:
        if as_json:
            emit(_told(key))
        else:
            typer.echo(f"{key.name:<24} {key.role:<6} made {key.made:%Y-%m-%d}{_end(key, now)}")
    if not keys:
        say_lines("there are no keys; make one: mrag keys add NAME --role read")


@_keys.command()
def revoke(name: _Name) -> None:
    """Let nobody come in with a key any more; a server that runs sees it at once."""
    ring = _ring()
    ring.revoke(name)
    said = f"revoked {name}; who was in with it is out"
    if not ring.all():
        said += (
            f"\nthat was the last one: servers still ask for a key; remove {ring.path} to let "
            "everybody of this machine in again"
        )
    say_lines(said)


def _ring() -> KeyRing:
    return KeyRing(read_settings().home)


def _told(key: Key) -> dict[str, object]:
    """What may be known of a key."""
    told = {name: value for name, value in asdict(key).items() if name != "digest"}
    return {
        **told,
        "made": key.made.isoformat(),
        "expires": key.expires.isoformat() if key.expires else None,
        "expired": key.is_expired(datetime.now(UTC)),
    }


def _end(key: Key, now: datetime) -> str:
    if key.expires is None:
        return ""
    return f", {'ended' if key.is_expired(now) else 'ends'} {key.expires:%Y-%m-%d %H:%M} UTC"
