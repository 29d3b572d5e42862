"""`mrag describe` with real models: what is written is what `mrag caption` says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from engine.xmp import name
from tests.cli.conftest import PACK, ROOT, Run


@pytest.fixture
def folder(tmp_path: Path, held_out: list[Path]) -> Path:
    """A folder with pictures, and with what is none."""
    made = tmp_path / "my photos"
    (made / "sub").mkdir(parents=True)
    for place, picture in zip((made, made / "sub", made), held_out, strict=True):
        shutil.copy(picture, place)
    (made / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return made


def test_all_outputs_say_what_caption_says(
    mrag: Run, folder: Path, held_out: list[Path], tmp_path: Path
) -> None:
    said = {Path(one["image"]).name: one for one in mrag("caption", *held_out, "--json").answers}
    out, table, copies = tmp_path / "out.jsonl", tmp_path / "out.csv", tmp_path / "copies"
    outs = ("--out", out, "--out", table, "--out", out)
    done = mrag("describe", folder, *outs, "--xmp", "--txt", "--embed-to", copies)
    assert done.code == 1
    assert "broken.jpg" in done.err
    assert "described 3, 1 failed" in done.err
    assert done.out == ""
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 3
    assert len(table.read_text().splitlines()) == 4
    for row in rows:
        picture, caption = tmp_path / row["image"], said[Path(row["image"]).name]["caption"]
        assert row["caption"] == caption
        assert picture.with_suffix(".txt").read_text() == f"{caption}\n"
        sidecar = etree.parse(f"{picture}.xmp")
        assert sidecar.find(f".//{name('dc:description')}//{name('rdf:li')}").text == caption
        assert sidecar.find(f".//{name('mrag:Map')}").text == row["made_with"]["map"]
        assert (copies / picture.relative_to(folder)).stat().st_size > picture.stat().st_size
    again = mrag("describe", folder, "--out", out, "--xmp", "--txt", "--json")
    assert again.answers == [{"described": 0, "left_out": 3, "failed": 1}]
    assert len(out.read_text().splitlines()) == 3


def test_without_an_output_descriptions_are_shown(
    mrag: Run, held_out: list[Path], folder: Path
) -> None:
    (said,) = mrag("caption", held_out[0], "--json").answers
    done = mrag("describe", held_out[0])
    assert (done.code, done.out.rpartition(": ")[2]) == (0, f"{said['caption']}\n")
    (answer,) = mrag("describe", held_out[0], "--json").answers
    assert answer["caption"] == said["caption"]
    assert {"generator", "map", "memory", "captions"} == set(answer["made_with"])
    assert mrag("describe", folder / "sub", "--json").answers[0]["image"].startswith(str(folder))


@pytest.mark.slow
@pytest.mark.nightly
def test_captions_of_a_batch_can_be_reranked(mrag: Run, held_out: list[Path]) -> None:
    options = ("--rerank", "pointwise", "--rerank-top", "6", "--rerank-seconds", "60")
    done = mrag("describe", held_out[0], *options, "--json")
    assert [one["reranked"] for one in done.answers] == [["6 of 6 reranked"]]
    refused = mrag("describe", "--again", *options)
    assert refused.code == 2
    assert "give it alone" in refused.err


def test_descriptions_are_made_again_after_another_generator(
    mrag: Run, home: Path, tmp_path: Path
) -> None:
    mine, photos = tmp_path / "home", tmp_path / "photos"
    shutil.copytree(home, mine)
    photos.mkdir()
    for number in range(4):
        shutil.copy(PACK / "plain" / "images" / f"00{number}.webp", photos)
    (photos / "000.txt").write_text("what a person says\n")
    filled = mrag("ingest", photos, "-c", "mine", "--memory", "plain", "--json", at=mine)
    assert filled.answers[0]["described"] == 3
    (level,) = mrag("describe", "--again", "-c", "mine", "--json", at=mine).answers
    assert (level["generated"], level["stale"], level["described"]) == (3, 0, 0)
    told = ("describe", "--again", "-c", "mine", "--generator", "consensus")
    done = mrag(*told, at=mine)
    assert done.code == 0
    assert "3 of 3 generated descriptions were made otherwise" in done.err
    assert "3 with another generator" in done.err
    (level,) = mrag(*told, "--json", at=mine).answers
    assert (level["stale"], level["described"]) == (0, 0)
    assert mrag("correct", "001.webp", "as its owner has it", "-c", "mine", at=mine).code == 0
    (level,) = mrag("describe", "--again", "-c", "mine", "--json", at=mine).answers
    assert (level["generated"], level["stale"], level["described"]) == (2, 2, 2)
    hits = mrag("search", "a picture", "-c", "mine", "--json", "--space", "raw", at=mine)
    captions = [hit["caption"] for hit in hits.answers[0]["hits"]]
    assert len(captions) == 4
    assert {"what a person says", "as its owner has it"} < set(captions)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_ends_in_order_when_it_is_told_to(
    home: Path, folder: Path, how: signal.Signals, held_out: list[Path]
) -> None:
    (folder / "broken.jpg").unlink()
    command = [sys.executable, "-m", "mrag", "describe", str(folder), "--xmp", "--watch"]
    env = {**os.environ, "MRAG_HOME": str(home)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(list(folder.rglob("*.xmp"))) == 3)
        shutil.copy(held_out[0], folder / "new.webp")
        wait_for((folder / "new.webp.xmp").exists)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "described 4" in err


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
