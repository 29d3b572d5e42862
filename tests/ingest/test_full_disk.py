"""A disk that is full at any moment ends nothing without a word, and nothing is lost by it."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.disk import check_room, free_bytes
from engine.errors import DiskFull
from tests.ingest.asking import Ask, ask
from tests.worlds import paint

__all__ = ["ask"]
MIB = 2**20
ROOMY = 2000


@contextmanager
def disk(place: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A disk of so many MiB of memory; gives what changes its size."""
    place.mkdir()

    def mount(*options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk of memory can be mounted here: {done.stderr.strip()}")

    mount(f"size={size}m")
    try:
        yield lambda now: mount("remount", f"size={now}m")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(place: Path, leave: int) -> None:
    """Leave so many bytes free."""
    with (place / "filler").open("wb") as filler:
        while (free := free_bytes(place)) > leave:
            filler.write(bytes(min(MIB, free - leave)))
            filler.flush()


def is_told(answer: str) -> bool:
    """Whether an answer is one, or says that the disk is full and what to do."""
    return not answer.startswith("!") or (
        ("is full" in answer and "MRAG_HOME" in answer)
        or "mrag push noise" in answer
        or "there is no collection" in answer
        or "no map yet" in answer
    )


def full_at_some_moment(place: Path, ask: Ask, *, size: int, leave: int, filled: bool) -> None:
    """Do everything on a disk of `size` MiB, with `leave` bytes free; then with room again."""
    with disk(place / "disk", size if not filled else ROOMY) as resize:
        home = place / "disk" / "home"
        truth = ""
        if filled:
            assert not ask("fill", home).startswith("!")
            truth = ask("read", home)
        if leave >= 0:
            fill_up(place / "disk", leave)
        for way in ("fill", "read", "push", "verify", "read"):
            answer = ask(way, home)
            assert is_told(answer), (size, leave, way, answer)
            print(size, leave, filled, way, answer[:150])
        (place / "disk" / "filler").unlink(missing_ok=True)
        resize(ROOMY)
        for _ in range(2):
            assert not ask("fill", home).startswith("!")
        found = ask("read", home)
        assert found == (truth or found)
        assert not found.startswith("!")
        assert ask("verify", home) == ""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for seed in range(12):
        paint(tmp_path / "pictures" / f"{seed:02d}.png", seed)
    return tmp_path


def test_too_little_room_is_said_with_how_much_and_where(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as caught:
        check_room(tmp_path, 5_000_000_000, "to write the index", free=lambda _: 12_000_000)
    told = str(caught.value)
    assert f"the disk of {tmp_path} is full: 12.0 MB free, 5.0 GB needed to write" in told
    assert "MRAG_HOME" in told
    check_room(tmp_path, 12_000_000, "to write the index", free=lambda _: 12_000_000)


def test_a_full_disk_is_named_and_nothing_lost(place: Path, ask: Ask) -> None:
    full_at_some_moment(place, ask, size=40, leave=-1, filled=False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_20_full_disks(place: Path, ask: Ask, seed: int) -> None:
    order = random.Random(seed)
    filled = bool(seed % 2)
    leave = int(order.choice([0, 4096, 100_000, 1e6, 1e7, 7e7, 1.5e8, 2.5e8]))
    size = order.choice([1, 4, 16, 60, 100, 150, 200, 300, 500])
    full_at_some_moment(
        place, ask, size=size, leave=leave if filled or seed % 4 else -1, filled=filled
    )
