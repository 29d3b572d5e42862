"""Keys for programs and for people: a name, a role, and of the key itself its SHA-256 alone."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from engine.errors import Busy, InvalidInput
from engine.files import write_whole
from mrag_client.files import open_regular
from service.access.visitor import ROLES, Role, Visitor

PREFIX = "mrag_"
"""What every key begins with, so that those who look for lost keys find it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_DAYS = 3650
_LOCK_S = 10
_Mark = tuple[int, int, int]


@dataclass(frozen=True)
class Key:
    """A key as it is kept: `digest` is the SHA-256 of it in hexadecimals."""

    name: str
    role: Role
    digest: str
    made: datetime
    expires: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= now

    @property
    def visitor(self) -> Visitor:
        """Who comes in with it."""
        return Visitor(self.name, self.role, "key")


class KeyRing:
    """The keys of a home; what another process changes is seen at the next question.

    From its first key on a home asks for one: its file stays when the last key is revoked.
    Whatever is asked raises InvalidInput while the file cannot be read, so that nobody comes in.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "keys.json"
        self._mark: _Mark | None = None
        self._keys: tuple[Key, ...] = ()

    def is_used(self) -> bool:
        """Whether there are keys to ask for, or were."""
        return self._look() is not None

    def all(self) -> tuple[Key, ...]:
        """All keys, by name; those whose time is over, too."""
        mark = self._look()
        if mark is None:
            return ()
        if mark != self._mark:
            self._keys = _read(self.path)
            self._mark = mark
        return self._keys

    def find(self, token: str) -> Key | None:
        """The key that this is, unless its time is over."""
        asked = _digest(token)
        return self.by(lambda key: hmac.compare_digest(key.digest, asked))

    def by(self, is_it: Callable[[Key], bool]) -> Key | None:
        """The key of which this is so, unless its time is over."""
        now, found = datetime.now(UTC), None
        for key in self.all():  # to the end: how long it takes tells nothing
            if is_it(key) and not key.is_expired(now):
                found = key
        return found

    def add(self, name: str, role: Role, days: int | None = None) -> str:
        """Make a key and return it, which cannot be done again; raises InvalidInput."""
        _check(name, role, days)
        token = PREFIX + secrets.token_urlsafe(32)
        with self._alone():
            kept = self.all()
            if any(key.name == name for key in kept):
                raise InvalidInput(
                    f"there is a key {name!r}; choose another name, or revoke that one first: "
                    f"mrag keys revoke {name}"
                )
            now = datetime.now(UTC).replace(microsecond=0)
            ends = None if days is None else now + timedelta(days=days)
            self._write([*kept, Key(name, role, _digest(token), now, ends)])
        return token

    def revoke(self, name: str) -> None:
        """Let nobody come in with a key from now on; raises InvalidInput for an unknown name."""
        with self._alone():
            kept = self.all()
            left = [key for key in kept if key.name != name]
            if len(left) == len(kept):
                names = ", ".join(key.name for key in kept) or "none"
                raise InvalidInput(f"there is no key {name[:63]!r}; there are: {names}")
            self._write(left)

    def _look(self) -> _Mark | None:
        """What tells one state of the file from another; None where there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.path, error.strerror or str(error)) from error
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _write(self, keys: list[Key]) -> None:
        rows = [asdict(key) for key in sorted(keys, key=lambda key: key.name)]
        text = json.dumps({"keys": rows}, indent=2, default=datetime.isoformat)
        write_whole(self.path, text + "\n", mode=0o600)
        self._mark = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(".keys.lock"), timeout=_LOCK_S, mode=0o600)
        try:
            with lock:
                yield
        except Timeout as error:
            raise Busy("another process changes the keys; try again in a moment") from error


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _check(name: str, role: str, days: int | None) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} cannot name a key; use 1 to 63 letters, digits, dots, dashes and "
            "underscores, a letter or digit first"
        )
    if role not in ROLES:
        raise InvalidInput(f"there is no role {role!r}; choose one of {', '.join(ROLES)}")
    if days is not None and not 1 <= days <= _LONGEST_DAYS:
        raise InvalidInput(f"a key lasts 1 to {_LONGEST_DAYS:,} days, not {days:,}")


def _read(path: Path) -> tuple[Key, ...]:
    try:
        with open_regular(path) as file:
            rows = json.load(file)["keys"]
        keys = tuple(_key(row) for row in rows)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidInput) as error:
        raise _unreadable(path, "it is damaged") from error
    return keys


def _key(row: dict[str, Any]) -> Key:
    """A row of the file as a key; raises something for what no version has written."""
    ends = row["expires"]
    key = Key(
        row["name"],
        row["role"],
        row["digest"],
        datetime.fromisoformat(row["made"]),
        None if ends is None else datetime.fromisoformat(ends),
    )
    _check(key.name, key.role, None)
    if not _DIGEST.fullmatch(key.digest) or (key.expires and key.expires.tzinfo is None):
        raise ValueError("not a key that was written here")
    return key


def _unreadable(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"the keys in {path} cannot be read ({why}), so nobody comes in with one; mend the file, "
        "or remove it and make new keys"
    )
