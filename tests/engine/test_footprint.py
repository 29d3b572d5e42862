"""How much room things take."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from engine.footprint import disk_bytes, free_bytes, mapped_bytes, process_bytes, readable


def test_files_below_a_folder_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("a", "deep/b", "deep/er/c"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 4096)
    assert 3 * 2**20 <= disk_bytes(tmp_path) < 4 * 2**20
    assert disk_bytes(tmp_path / "nowhere") == 0


def test_a_folder_that_is_not_there_yet_has_its_disks_room(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc")
def test_what_of_a_folder_is_in_memory_is_told(tmp_path: Path) -> None:
    path = tmp_path / "held"
    path.write_bytes(bytes(range(256)) * 4096)
    other = tmp_path.with_name(f"{tmp_path.name}-other")
    assert mapped_bytes(tmp_path) == 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as held:
        assert sum(held[:: mmap.PAGESIZE]) >= 0  # touches every page
        assert mapped_bytes(tmp_path) == 2**20
        assert mapped_bytes(other) == 0
        used = process_bytes()
        assert used is not None
        assert used > 2**20


@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e8, "250 MB"), (3e13, "30.0 TB")],
)
def test_sizes_for_people(size: float, told: str) -> None:
    assert readable(size) == told
