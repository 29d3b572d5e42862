"""Whatever happens to the bytes of an index, nobody is told anything wrong, and a push mends it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.records import ImageRecord
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.store.holes import copy_with_holes, filled
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.push import push
from tests.ingest.asking import Ask, ask
from tests.worlds import PixelEncoder

__all__ = ["ask"]

Pictures = Callable[..., list[ImageRecord]]


@pytest.fixture
def whole(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> Path:
    """A home whose index was pushed twice: some of its points have been written over."""
    for records in (pictures(20, captions=2), pictures(30, captions=3)):
        embed(records, encoder, folder, EmbedOptions(settings.limits))
        fit(folder, card)
        push(folder, card, settings)
    return settings.home


def damage(index: Path, order: random.Random) -> str:
    """Do something to a file of an index; what that was."""
    files = sorted(path for path in index.rglob("*") if path.is_file() and path.stat().st_blocks)
    path = order.choice(files)
    kind = order.choice(["overwrite", "truncate", "zero", "delete", "flip"])
    size = path.stat().st_size
    with path.open("r+b") as file:
        spans = filled(file.fileno())
        start, end = order.choice(spans)
        place = order.randrange(start, end)
        length = min(order.choice([1, 16, 512, 4096]), size - place)
        file.seek(place)
        before = file.read(length)
        file.seek(place)
        if kind == "overwrite":
            file.write(order.randbytes(length))
        elif kind == "zero":
            file.write(bytes(length))
        elif kind == "flip":
            file.write(bytes([before[0] ^ 1 << order.randrange(8)]))
        elif kind == "truncate":
            file.truncate(order.randrange(size))
    if kind == "delete":
        path.unlink()
    return f"{kind} {path.relative_to(index)} at {place} of {size}"


def copied(whole: Path, home: Path) -> Path:
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(whole, home, copy_function=copy_with_holes)
    return home


def answers_or_says_why(whole: Path, place: Path, ask: Ask, seed: int, truth: str) -> str:
    """Damage a copy of a home, read it, mend it; what was done and said."""
    home = copied(whole, place / "home")
    done = damage(home / "collections" / "noise" / "index", random.Random(seed))
    said = ask("read", home)
    assert said == truth or (said.startswith("!") and "mrag push noise" in said), (done, said)
    if not ask("verify", home):  # what Edge writes at every opening mends itself
        assert ask("read", home) == truth, done
    assert not ask("push", home).startswith("!"), done
    assert ask("read", home) == truth, done
    return f"{done}: {said if said != truth else 'as before'}"


def test_a_damaged_index_is_named_or_mended(whole: Path, tmp_path: Path, ask: Ask) -> None:
    truth = ask("read", whole)
    for seed in range(8):
        answers_or_says_why(whole, tmp_path / "copy", ask, seed, truth)


@pytest.mark.slow
def test_150_damages_are_named_or_mended(whole: Path, tmp_path: Path, ask: Ask) -> None:
    truth = ask("read", whole)
    for seed in range(1000, 1150):
        print(answers_or_says_why(whole, tmp_path / "copy", ask, seed, truth))
