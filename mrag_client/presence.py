"""The server file: how programs of the same user find the server of a home."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

_LARGEST = 64 * 1024


class Presence(BaseModel):
    """Where the server of a home listens, and the token that makes its owner known to it.

    `encoder` and `generator` name the models that it fills new collections with, `reranker` the
    one that reranks by picture, `device` where they run; empty where it does not say.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    token: str
    pid: int
    version: str
    encoder: str = ""
    generator: str = ""
    device: str = ""
    reranker: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, as far as can be told here: its file outlives a kill."""
        if os.name != "posix" or self.pid <= 0:  # elsewhere asking would end the process
            return self.pid > 0
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            return True
        return True


def home_of_user() -> Path:
    """The folder of all collections: `MRAG_HOME`, or where programs of this system keep data."""
    from platformdirs import user_data_path

    named = os.environ.get("MRAG_HOME")
    return (Path(named) if named else user_data_path("mrag")).expanduser().absolute()


def server_file(home: Path) -> Path:
    """Where the server of a home says that it runs."""
    return home / "server.json"


def running_server(home: Path) -> Presence | None:
    """The server of a home, if its file is there, whole, and its process runs."""
    try:
        with server_file(home).open("rb") as file:
            found = Presence.model_validate_json(file.read(_LARGEST))
    except (OSError, ValidationError):
        return None
    return found if found.is_alive else None
