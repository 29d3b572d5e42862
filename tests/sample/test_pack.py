"""The shipped pack: its files, its rows, its size, and that its models load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sample.world.reading import read_caption, read_truth
from sample.world.render import EMOJI_FONT, postcard, render
from sample.world.splits import COLLECTIONS, SPLITS, memory_captions, pack_scenes
from sample.write_pack import PACK, truth_of, write_collection

LIMIT = 12_000_000


def rows_of(name: str) -> list[dict[str, Any]]:
    lines = (PACK / name / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def files() -> list[Path]:
    return [path for path in PACK.rglob("*") if path.is_file()]


def test_the_pack_is_small_and_readable_by_all() -> None:
    assert sum(path.stat().st_size for path in files()) < LIMIT
    assert not [path for path in files() if path.stat().st_mode & 0o444 != 0o444]


def test_the_pack_names_the_font_and_its_licence() -> None:
    notice = (PACK / "NOTICE.md").read_text(encoding="utf-8")
    assert "Noto Color Emoji" in notice
    assert "SIL Open Font License" in notice


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_rows_are_those_of_the_scenes(name: str) -> None:
    rows = rows_of(name)
    assert len(rows) == sum(SPLITS.values())
    for row, shown in zip(rows, pack_scenes()[name], strict=True):
        assert set(row) == {"image", "captions", "split", "truth"}
        assert row["captions"] == shown.captions
        assert row["split"] == shown.split
        assert row["truth"] == truth_of(shown.scene)
        assert read_truth(row["truth"]) == shown.scene.meaning
        assert all(read_caption(t).things == shown.scene.meaning.things for t in row["captions"])


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_row_has_its_picture_and_no_picture_is_over(name: str) -> None:
    named = {PACK / name / row["image"] for row in rows_of(name)}
    assert named == set((PACK / name / "images").iterdir())
    for path in sorted(named)[:20]:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("WEBP", (224, 224))


def test_the_memory_is_the_memory() -> None:
    text = (PACK / "memory.txt").read_text(encoding="utf-8")
    assert text == "".join(f"{line}\n" for line in memory_captions())


@pytest.mark.skipif(not EMOJI_FONT.exists(), reason="needs the font Noto Color Emoji")
def test_drawing_again_gives_the_same_pictures(tmp_path: Path) -> None:
    scenes = pack_scenes()["postcards"][:5]
    for folder in ("one", "two"):
        write_collection(tmp_path / folder, "postcards", scenes)
    for index, shown in enumerate(scenes):
        image = f"images/{index:03}.webp"
        assert (tmp_path / "one" / image).read_bytes() == (tmp_path / "two" / image).read_bytes()
        shipped = np.asarray(Image.open(PACK / "postcards" / image).convert("RGB"), np.int16)
        drawn = np.asarray(postcard(render(shown.scene, shown.seed)), np.int16)
        assert np.abs(shipped - drawn).mean() < 6


def test_a_postcard_is_the_picture_on_white() -> None:
    card = postcard(Image.new("RGB", (224, 224), "red"))
    assert card.size == (224, 224)
    assert card.getpixel((10, 10)) == (255, 255, 255)
    assert card.getpixel((112, 112)) == (255, 0, 0)
