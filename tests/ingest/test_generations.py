"""An index owns its map: what is found is right whatever is fitted, pushed or killed meanwhile."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from corpus.records import CaptionRecord, ImageRecord
from engine.alignment.alignment import TOLERANCE, Alignment
from engine.app import Engine
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import IncompatibleIndex
from engine.search.gallery import Query
from engine.settings import Settings
from engine.store.generations import current, generations
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit, fit_if_needed
from ingest.push import PushReport, push
from ingest.verify import verify
from tests.worlds import OneEncoder

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("killable_push.py")
PICTURES = 30


class World:
    """A collection, an engine that answers over it, and what fills it."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: PixelEncoder,
        records: list[ImageRecord],
    ) -> None:
        self.folder, self.card, self.settings, self.encoder = folder, card, settings, encoder
        with Image.open(records[3].path) as picture:
            self.picture = picture.convert("RGB")
        embed(records, encoder, folder, EmbedOptions(batch_size=4, shard_size=8))
        fit(folder, card, method="shrink")
        self.push()
        self.engine = Engine(settings)
        self.engine.models = OneEncoder(settings, encoder)

    def push(self, *, rebuild: bool = False) -> PushReport:
        return push(self.folder, self.card, self.settings, rebuild=rebuild)

    def found(self) -> list[tuple[str, float]]:
        """The pictures nearest to one of them in the mapped space, with their scores."""
        query = Query(image=self.picture)
        hits = self.engine.open("noise").gallery.search(query, "mapped", 10).hits
        return [(hit.image_id, round(hit.score, 3)) for hit in hits]

    def numbers(self) -> list[int]:
        return [one.number for one in generations(self.folder)]


@pytest.fixture
def world(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> World:
    records = pictures(PICTURES, captions=2, split="train")
    return World(folder, card, settings, encoder, records)


def expected(world: World) -> list[tuple[str, float]]:
    """What is nearest by the vectors that the index holds, mapped by the map it was pushed with."""
    answers = current(world.folder)
    assert answers is not None
    alignment = Alignment.load(answers.alignment)
    images = world.engine.open("noise").images
    hits = images.get(list(images.ids()), with_vectors=True)
    rows = np.stack([hit.vector for hit in hits if hit.vector is not None])
    query = alignment.map_images(world.encoder.encode_images([world.picture]))[0]
    scores = alignment.map_images(rows) @ query
    best = np.argsort(-scores)[:10]
    return [(hits[i].image_id, round(float(scores[i]), 3)) for i in best]


def assert_right(world: World) -> None:
    found, best = world.found(), expected(world)
    assert [name for name, _ in found] == [name for name, _ in best]
    np.testing.assert_allclose([s for _, s in found], [s for _, s in best], atol=5e-3)


def test_between_fit_and_push_what_is_found_is_as_right_as_before(world: World) -> None:
    before = world.found()
    assert_right(world)
    fit(world.folder, world.card, method="centred")
    assert world.found() == before
    assert_right(world)
    assert world.push().everything
    assert world.found() != before
    assert_right(world)


def test_a_refit_of_the_same_data_pushes_nothing(world: World) -> None:
    path = world.folder.alignment
    fitted = Alignment.load(path)
    assert fitted.mean_image is not None
    refitted = replace(fitted, mean_image=fitted.mean_image + 3e-17 * np.sign(fitted.mean_image))
    assert refitted.fingerprint != fitted.fingerprint
    refitted.save(path)
    report = world.push()
    assert (report.points, report.everything, world.numbers()) == (0, False, [1])
    replace(fitted, mean_image=fitted.mean_image + TOLERANCE).save(path)
    assert (world.push().everything, world.numbers()) == (True, [2])


def test_a_rebuild_is_a_new_generation_of_the_same(world: World) -> None:
    before = world.found()
    report = world.push(rebuild=True)
    assert (report.images, report.everything) == (PICTURES, True)
    assert world.found() == before
    assert world.numbers() == [2]


def test_an_index_with_words_of_an_older_version_is_written_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr("engine.store.made_with.WORDS_VERSION", 1)
        world.push(rebuild=True)
    with pytest.raises(IncompatibleIndex, match="mrag push noise"):
        world.found()
    assert world.push().everything
    assert_right(world)


def test_who_holds_a_generation_goes_on_with_it_and_then_it_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = world.engine.open("noise")
    gallery, relevance = opened.gallery, opened.relevance
    query = Query(image=world.picture)
    before = gallery.search(query, "mapped", 10).hits
    monkeypatch.setattr("engine.app._SWEEP_AGAIN_S", 0.0)
    fit(world.folder, world.card, method="centred")
    world.push()
    assert opened.current.number == 2
    assert world.numbers() == [1, 2]
    assert gallery.search(query, "mapped", 10).hits == before
    assert relevance.alignment.method == "shrink"
    assert opened.relevance.alignment.method == "centred"
    del gallery, relevance
    assert opened.current.number == 2
    assert world.numbers() == [2]


def test_threads_find_the_same_while_one_generation_follows_another(world: World) -> None:
    done, expected_hits = Event(), world.found()

    def session(_: int) -> int:
        rounds = 0
        while not done.is_set():
            assert world.found() == expected_hits
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as sessions:
        running = [sessions.submit(session, number) for number in range(3)]
        try:
            for _ in range(4):
                world.push(rebuild=True)
        finally:
            done.set()
        assert min(one.result(60) for one in running) > 0
    world.engine.close()
    world.push()
    assert world.numbers() == [5]


def test_relevance_and_a_gap_are_kept_beside_the_generation(world: World) -> None:
    opened = world.engine.open("noise")
    sample, distance = opened.relevance.sample, opened.gap().mapped.distance
    answers = current(world.folder)
    assert answers is not None
    assert answers.relevance.is_file()
    assert answers.gap.is_file()
    world.engine.close()
    again = world.engine.open("noise").relevance.sample
    assert np.array_equal(again.pictures, sample.pictures)
    assert np.array_equal(again.related, sample.related)
    assert world.engine.open("noise").gap().mapped.distance == distance


def test_without_its_ledger_a_collection_keeps_its_method(world: World) -> None:
    fit(world.folder, world.card, method="procrustes")
    (world.folder.embeddings / "ledger.sqlite").unlink()
    alignment, fitted = fit_if_needed(world.folder, world.card)
    assert (alignment.method, fitted) == ("procrustes", False)
    assert alignment.fitted_on["request"]["method"] == "procrustes"


def test_a_borrower_needs_its_memorys_map_within_tolerance(
    world: World, settings: Settings, encoder: PixelEncoder
) -> None:
    folder = CollectionFolder(settings.home, "borrower")
    folder.path.mkdir(parents=True)
    card = replace(world.card, name="borrower", memory="noise")
    folder.write_card(card)
    embed([CaptionRecord("alone")], encoder, folder)
    fit(folder, card)
    push(folder, card, settings)
    lent = world.folder.alignment
    plain = Alignment.load(lent)
    replace(plain, mean_text=plain.mean_text + 3e-17).save(lent)
    world.push(rebuild=True)
    assert world.engine.open("borrower").retriever
    replace(plain, mean_text=plain.mean_text + 1e-3).save(lent)
    assert world.engine.open("borrower").retriever  # until it is pushed nothing has moved
    world.push()
    with pytest.raises(IncompatibleIndex, match="mrag push noise && mrag fit borrower"):
        _ = world.engine.open("borrower").retriever


# kill -9


def start(world: World, moment: str) -> subprocess.Popen[str]:
    world.engine.close()
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(world.settings.home), moment],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize(("moment", "answers"), [("before", 1), ("at", 1), ("after", 2)])
def test_a_push_that_dies_at_the_change_over_leaves_one_whole_generation(
    world: World, moment: str, answers: int
) -> None:
    with start(world, moment) as process:
        assert process.wait(60) == 9
    assert world.engine.open("noise").current.number == answers
    assert_right(world)
    report = world.push()
    assert report.everything is (answers == 1)
    assert_right(world)
    world.engine.close()
    assert len(world.numbers()) == 1
    assert not list(world.folder.index.rglob("*.partial"))


def kill_at_random(world: World, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(kills):
        with start(world, "random") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 0.6))
            process.kill()
            process.wait(30)
        opened = world.engine.open("noise")
        assert (opened.images.count(), opened.captions.count()) == (PICTURES, 2 * PICTURES)
        assert_right(world)
    world.push()
    assert_right(world)
    world.engine.close()
    assert len(world.numbers()) == 1
    assert not list(world.folder.index.rglob("*.partial"))


def test_killed_at_random_the_old_generation_answers(world: World) -> None:
    kill_at_random(world, kills=4, seed=1)


@pytest.mark.slow
def test_killed_at_twenty_moments_the_old_generation_answers(world: World) -> None:
    kill_at_random(world, kills=20, seed=2)


# Another process


ANSWERS = """
import sys
from pathlib import Path
from engine.app import Engine
from engine.settings import Settings
engine = Engine(Settings(home=Path(sys.argv[1]), qdrant_url=""))
for _ in sys.stdin:
    opened = engine.open("noise")
    now = opened.current
    print(now.number, now.alignment.method, now.images.count(), now.captions.count(), flush=True)
    del now
"""


def test_a_process_that_answers_changes_over_while_another_pushes(world: World) -> None:
    world.engine.close()
    script = [sys.executable, "-c", ANSWERS, str(world.settings.home)]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:

        def answer() -> list[str]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().split()

        assert answer() == ["1", "shrink", "30", "60"]
        fit(world.folder, world.card, method="centred")
        assert world.push().everything  # though the index is open in another process
        assert world.numbers() == [1, 2]
        assert answer() == ["2", "centred", "30", "60"]
        assert world.numbers() == [2]
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


HOLD = """
import sys
from pathlib import Path
from engine.store.edge_folder import acquire_shard
held = acquire_shard(Path(sys.argv[1]), "noise", 0)
print("open", flush=True)
sys.stdin.read()
"""


def test_an_index_that_is_open_elsewhere_is_not_called_damaged(
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Pictures,
) -> None:
    """To write it anew is no remedy for what the app, say, has open."""
    embed(pictures(8, captions=1), encoder, folder)
    fit(folder, card)
    push(folder, card, settings)
    made = current(folder)
    assert made is not None
    command = [sys.executable, "-c", HOLD, str(made.index("images"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        (wrong,) = [one for one in verify(folder, card, settings) if not one.ok]
        holder.communicate()
    assert "open in another mrag process" in wrong.detail
    assert "--rebuild" not in wrong.remedy
    assert all(one.ok for one in verify(folder, card, settings))
