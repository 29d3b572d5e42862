"""What a disk refuses is said as it is: full, read-only, somebody else's."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.disk import free_bytes, refused
from engine.errors import DiskFull, StoreUnavailable


@pytest.mark.parametrize(
    ("code", "what", "remedy"),
    [
        (errno.ENOSPC, "is full", "free some space"),
        (errno.EDQUOT, "is full", "free some space"),
        (errno.EROFS, "mounted read-only", "mount it writable"),
        (errno.EACCES, "may not be used by user", "have its owner give you the right"),
    ],
)
def test_each_refusal_has_its_own_words(tmp_path: Path, code: int, what: str, remedy: str) -> None:
    place = tmp_path / "not made yet" / "file"
    told = refused(place, OSError(code, "as the system says it"))
    assert isinstance(told, DiskFull) == (what == "is full")
    assert isinstance(told, StoreUnavailable)
    assert what in str(told)
    assert remedy in str(told)
    assert str(place) in str(told)
    assert "damaged" not in str(told)


def test_the_room_for_what_is_not_there_yet_is_that_of_its_disk(tmp_path: Path) -> None:
    assert abs(free_bytes(tmp_path / "a" / "b") - free_bytes(tmp_path)) < 1e9
