"""The server file: says to programs of the same user where the server of a home listens."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from engine.errors import StoreLocked, StoreUnavailable
from mrag_client.presence import Presence, running_server, server_file

_LOCK = "server.lock"


@contextmanager
def only_server(home: Path) -> Iterator[None]:
    """Be the only server of a home while the block runs; what a killed one left is passed over.

    Raises StoreLocked, naming the one that runs.
    """
    lock = FileLock(home / _LOCK, thread_local=False)
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreLocked(_who_runs(home)) from None
    except OSError as error:
        raise StoreUnavailable(
            f"{home} cannot be written to: {error.strerror}; name another folder with MRAG_HOME"
        ) from error
    try:
        server_file(home).unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def new_token() -> str:
    """A token for the owner of a home, for one run of its server."""
    return secrets.token_urlsafe(32)


def announce(home: Path, presence: Presence) -> None:
    """Write the server file, whole, for nobody's eyes but its owner's."""
    handle, name = tempfile.mkstemp(prefix="server.", suffix=".part", dir=home)  # made with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(presence.model_dump_json(indent=2) + "\n")
        Path(name).replace(server_file(home))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def withdraw(home: Path, presence: Presence) -> None:
    """Remove the server file, if it is this server's."""
    with suppress(OSError):
        if running_server(home) == presence:
            server_file(home).unlink()


def _who_runs(home: Path) -> str:
    found = running_server(home)
    if found is None:
        return f"another server of {home} is starting; wait for it, or end it first"
    return (
        f"a server of {home} runs already, at {found.address} (process {found.pid}); use that one, "
        "end it first, or name another folder with MRAG_HOME"
    )
