"""The sample collections, and which of them a home still waits for, however often it was stopped.

Both come with the program. A new home is filled with them, and `mrag demo` asks for them; what
was begun goes on at the next start. What its owner deleted, or made under a sample's name, is
left alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.collection import CollectionFolder, collection_names
from engine.files import write_whole

SAMPLES = ("plain", "postcards")


@dataclass(frozen=True)
class _Noted:
    """`waiting`: not known to be whole. `begun`: those of them that were made for it."""

    waiting: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()


_NOTED = TypeAdapter(_Noted)


def waiting(home: Path) -> list[str]:
    """The samples that a start fills: all in a new home, else those that were not finished."""
    noted = _read(home)
    if noted is None:
        return [] if collection_names(home) else list(SAMPLES)
    return [
        name
        for name in noted.waiting
        if name in noted.begun or not CollectionFolder(home, name).path.exists()
    ]


def want(home: Path, names: Iterable[str]) -> None:
    """Note that these samples are to be filled: so the next start knows, should this one end."""
    noted = _read(home) or _Noted()
    _write(home, replace(noted, waiting=tuple(dict.fromkeys((*noted.waiting, *names)))))


def begin(home: Path, name: str) -> None:
    """Note that a sample is filled from now on; one that was there before stays its owner's."""
    want(home, [name])
    if not CollectionFolder(home, name).path.exists():
        noted = _read(home) or _Noted()
        _write(home, replace(noted, begun=(*_without(name, noted.begun), name)))


def forget(home: Path, name: str) -> None:
    """Wait for a sample no more: it is whole, or its owner does not want it."""
    noted = _read(home) or _Noted()
    _write(home, _Noted(_without(name, noted.waiting), _without(name, noted.begun)))


def _file(home: Path) -> Path:
    return home / "samples.json"


def _read(home: Path) -> _Noted | None:
    """What is noted of a home; None: nothing ever was. What cannot be read waits for nothing."""
    try:
        return _NOTED.validate_json(_file(home).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        return _Noted()


def _write(home: Path, noted: _Noted) -> None:
    write_whole(_file(home), json.dumps(asdict(noted)) + "\n")


def _without(name: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(one for one in names if one != name)
