"""kill -9 at random moments of a refinement, then finish: the outcome of an undisturbed one."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from corpus.records import ImageRecord
from engine.alignment.alignment import PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from ingest.fit import fit
from ingest.pipeline import ingest
from ingest.push import push
from tests.refine.refining import TwoTongues, outcome, points

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

_REPOSITORY = Path(__file__).parents[2]
_SCRIPT = Path(__file__).with_name("killable_refine.py")


@pytest.fixture
def home(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Callable[..., list[ImageRecord]],
) -> Path:
    """A home with a collection to refine."""
    held_out = pictures(6, captions=2, first=100, split="val")
    ingest(
        [
            *pictures(30, captions=2, split="train"),
            *(replace(one, image_id=f"val {one.image_id}") for one in held_out),
        ],
        name=folder.name,
        encoder=TwoTongues(encoder),
        encoder_spec=card.encoder,
        generator_spec=card.generator,
        settings=settings,
    )
    # A map that every new caption changes: noise is worth none, so auto takes raw.
    fit(folder, card, method="ridge")
    push(folder, card, settings)
    return settings.home


def start(home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(_SCRIPT), str(home), "0.01"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(home: Path) -> float:
    with start(home) as process:
        started = time.monotonic()
        assert process.wait(timeout=300) == 0
        return time.monotonic() - started


def kill_after(seconds: float, home: Path) -> bool:
    """Whether it was still at work when it was killed."""
    with start(home) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=30)
            return True
        assert process.returncode == 0
        return False


def kill_and_finish(tmp_path: Path, home: Path, kills: int, seed: int) -> None:
    undisturbed, begun = tmp_path / "undisturbed", tmp_path / "begun"
    shutil.copytree(home, undisturbed)
    shutil.copytree(home, begun)
    seconds = finish(undisturbed)
    expected = CollectionFolder(undisturbed, "noise")
    assert [one["state"] for one in outcome(expected)] == ["kept", "kept", "withdrawn"]
    found = CollectionFolder(begun, "noise")
    rng = random.Random(seed)
    for _ in range(kills):
        if not kill_after(rng.uniform(0, seconds), begun):
            assert_same(found, expected)
            shutil.rmtree(begun)
            shutil.copytree(home, begun)
    finish(begun)
    assert_same(found, expected)


def assert_same(found: CollectionFolder, expected: CollectionFolder) -> None:
    assert outcome(found)[:3] == outcome(expected)
    if len(outcome(found)) > 3:  # it had ended before it was killed, and has begun another
        return
    assert points(found) == points(expected)
    moments = PairMoments.load(found.moments), PairMoments.load(expected.moments)
    np.testing.assert_allclose(moments[0].image_text, moments[1].image_text, atol=1e-9)
    assert not list(found.path.rglob("*.partial"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_ten_kills_leave_the_same_collection(tmp_path: Path, home: Path, seed: int) -> None:
    kill_and_finish(tmp_path, home, kills=10, seed=seed)
