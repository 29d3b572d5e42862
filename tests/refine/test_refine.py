"""Refinement rounds: what they add, when they are kept, and that they can be taken back."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.parquet import shard_files
from corpus.records import CaptionRecord, ImageRecord, Record, WholeFolder
from engine.alignment.alignment import PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import InvalidInput
from engine.settings import Settings
from engine.store import caption_id, open_caption_store
from engine.types import Filters, Vectors
from evaluation.metrics.intervals import Difference
from ingest.fit import fit, fit_if_needed
from ingest.pipeline import ingest
from ingest.push import push
from refine.loop import RefineOptions, RefineReport, refine
from refine.rounds import kept_by, read_rounds
from refine.undo import UndoReport, undo
from tests.refine.refining import ScriptedWriter, TwoTongues, WorthScore, outcome, points
from tests.worlds import PixelEncoder, copied_tree, key_of, picture_records

TRAIN, VAL = 30, 6


class World:
    """A collection of noise pictures with two captions each, and a script of what is written."""

    def __init__(
        self,
        folder: CollectionFolder,
        card: CollectionCard,
        settings: Settings,
        encoder: TwoTongues,
        records: list[Record],
    ) -> None:
        self.folder, self.card, self.settings, self.encoder = folder, card, settings, encoder
        self.records = records
        self.score = WorthScore()
        self.writer = self.script([1.0])

    def script(
        self, validation: list[float], training: Callable[[str, int], float] = lambda _i, _t: 2.0
    ) -> ScriptedWriter:
        self.writer = ScriptedWriter(self.folder, validation, training)
        return self.writer

    def fill(self, records: list[Record] | None = None) -> None:
        self.records = self.records if records is None else records
        ingest(
            self.records,
            name=self.folder.name,
            encoder=self.encoder,
            encoder_spec="spec",
            generator_spec="consensus",
            settings=self.settings,
        )

    def map(self) -> None:
        """Fit a map that every new caption changes: noise is worth none, so auto takes raw."""
        fit(self.folder, self.card, method="ridge")
        push(self.folder, self.card, self.settings)

    def refine(self, **options: Any) -> RefineReport:
        return refine(
            self.folder,
            self.card,
            self.settings,
            self.encoder,
            self.writer.make,
            RefineOptions(**options),
            writer_id="script",
            score=self.score,
        )

    def undo(self, number: int) -> UndoReport:
        return undo(self.folder, self.card, self.settings, number)

    def generated(self) -> dict[str, int]:
        """The generated captions in the index, and their rounds."""
        return {
            payload["text"]: payload["round"]
            for payload, *_ in points(self.folder, ("captions",)).values()
            if payload["source"] == "generated"
        }

    def state(self) -> tuple[Any, ...]:
        """Index, map and moments, bit for bit."""
        files = (self.folder.alignment, self.folder.moments)
        return points(self.folder), *(path.read_bytes() for path in files)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], World]:
    """A world that is filled once, and given to each test as it was then."""
    place = tmp_path_factory.mktemp("worlds") / "world"
    settings = Settings(home=place / "home", batch_size=4, workers=2, qdrant_url="")
    folder = CollectionFolder(settings.home, "noise")
    folder.path.mkdir(parents=True)
    encoder = PixelEncoder()
    card = CollectionCard(folder.name, "spec", encoder.id, encoder.dim, "consensus")
    folder.write_card(card)
    told = picture_records(place / "pictures", TRAIN, captions=2, split="train")
    held_out = picture_records(place / "pictures", VAL, captions=2, first=100, split="val")
    records = [*told, *(replace(one, image_id=f"val {one.image_id}") for one in held_out)]

    def again() -> World:
        return World(folder, card, settings, TwoTongues(PixelEncoder()), list(records))

    world = again()
    world.fill()
    world.map()
    copied_tree(place, place.with_name("pristine"))
    return again


@pytest.fixture
def world(made: Callable[[], World]) -> World:
    world = made()
    place = world.settings.home.parent
    shutil.rmtree(place)
    copied_tree(place.with_name("pristine"), place)
    return world


def half(image_id: str, take: int) -> float:
    """Every other training picture is described well."""
    return 2.0 if int(image_id[:4]) % 2 == take % 2 else 0.5


# What a round adds


def test_a_round_adds_what_scores_at_or_above_the_validation_mean(world: World) -> None:
    def worth(image_id: str, _take: int) -> float:
        return {"0000.png": 1.0, "0001.png": 0.999, "0002.png": 3.0}.get(image_id, 0.2)

    world.script([1.0, 1.5, 1.0], worth)
    report = world.refine(max_rounds=1)
    (one,) = report.rounds
    assert (one.state, one.written, one.reached, one.added) == ("kept", TRAIN, 2, 2)
    assert (one.threshold, one.before, one.after) == (1.0, 1.0, 1.5)
    assert (report.before, report.after) == (1.0, 1.5)
    assert one.gain == report.gain == Difference(0.5, 0.5, 0.5, one.gain.p if one.gain else 0)
    assert one.reason == "cider-d rose from 1.0000 to 1.5000"
    assert kept_by(world.folder) == ("val",)
    texts = {"worth 1.0, take 0, of 0000.png", "worth 3.0, take 0, of 0002.png"}
    assert world.generated() == dict.fromkeys(texts, 1)


def test_the_captions_of_a_round_are_in_moments_and_index(world: World) -> None:
    before = PairMoments.load(world.folder.moments)
    pictures = {key: point for key, point in points(world.folder).items() if key[0] == "images"}
    world.script([1.0, 2.0], half)
    world.refine(max_rounds=1)
    after = PairMoments.load(world.folder.moments)
    added = after - before
    assert added.n == TRAIN / 2
    texts = [f"worth 2.0, take 0, of {n:04d}.png" for n in range(0, TRAIN, 2)]
    vectors = world.encoder.encode_texts(texts)
    np.testing.assert_allclose(added.text_sum, vectors.sum(axis=0), atol=0.02)
    with open_caption_store(world.folder, world.card, world.settings) as store:
        good = [one for one in world.records[:TRAIN:2] if isinstance(one, ImageRecord)]
        pairs = zip(good, texts, strict=True)
        ids = [caption_id(key_of(one), text, "generated") for one, text in pairs]
        assert [hit.text for hit in store.get(ids)] == texts
        assert store.count(Filters(proven=True)) == store.count()
    # What is shown of a picture stays what people wrote of it.
    shown = {key: point for key, point in points(world.folder).items() if key[0] == "images"}
    assert shown.keys() == pictures.keys()
    for key, (payload, *_) in shown.items():
        assert {**payload, "hub": 0} == {**pictures[key][0], "hub": 0}


def test_a_second_round_builds_on_the_first(world: World) -> None:
    world.script([1.0, 1.2, 1.3, 1.3], half)
    report = world.refine()
    assert [(one.number, one.state) for one in report.rounds] == [
        (1, "kept"),
        (2, "kept"),
        (3, "withdrawn"),
    ]
    assert report.rounds[1].threshold == pytest.approx(1.2)
    assert sorted(world.generated().values()) == [1] * 15 + [2] * 15
    assert report.reason == "cider-d on split 'val' no longer rises beyond chance"
    assert report.rounds[2].reason == "cider-d stayed at 1.3000"


def test_a_rise_that_may_be_chance_is_none(world: World) -> None:
    """One picture in six gains much and the others lose a little: the mean rises all the same."""

    class Uneven(ScriptedWriter):
        def text(self, image_id: str) -> str:
            take = len(shard_files(world.folder.rounds))
            if not image_id.startswith("val") or not take:
                return super().text(image_id)
            worth = 3.0 if image_id == "val 0100.png" else 0.9
            return f"worth {worth}, take {take}, of {image_id}"

    before = world.state()
    world.writer = Uneven(world.folder, [1.0, 1.0], half)
    report = world.refine()
    (one,) = report.rounds
    assert one.gain is not None
    assert one.gain.low < 0 < one.gain.mean
    assert one.state == "withdrawn"
    assert one.split == "val"
    assert one.reason.startswith("cider-d rose from 1.0000 to 1.2500, which may be chance (95 % ")
    assert (report.before, report.after) == (1.0, 1.0)
    assert world.state() == before
    assert kept_by(world.folder) == ()


def test_generated_captions_never_enter_the_references(world: World) -> None:
    world.script([1.0, 1.2, 1.3, 1.0])
    world.refine()
    assert world.generated()
    assert not any("worth" in text for text in world.score.references)
    assert set(world.score.references) == {
        f"caption {i} of picture {n}" for n in [*range(TRAIN), *range(100, 106)] for i in range(2)
    }


def test_a_picture_never_borrows_from_itself(world: World) -> None:
    world.script([1.0, 1.0])
    world.refine()
    ids = [f"{n:04d}.png" for n in range(TRAIN)] + [f"val {n:04d}.png" for n in range(100, 106)]
    assert sorted(min(own.names) for own in world.writer.excluded) == sorted([*ids, *ids[TRAIN:]])
    pictures = [one for one in world.records if isinstance(one, ImageRecord)]
    contents = {sha256(one.path.read_bytes()).hexdigest() for one in pictures}
    assert {own.sha256 for own in world.writer.excluded} == contents


# Guards


def test_captions_that_are_all_worse_than_the_mean_add_nothing(world: World) -> None:
    before = world.state()
    world.script([1.0], lambda _image_id, _take: 0.99)
    report = world.refine()
    (one,) = report.rounds
    assert (one.state, one.reached, one.added) == ("empty", 0, 0)
    assert "no caption that was written scores 1.0000" in report.reason
    assert world.state() == before


def test_what_is_said_already_is_not_added(world: World) -> None:
    human = "caption 1 of picture 20"

    class Parrot(ScriptedWriter):
        def text(self, image_id: str) -> str:
            return {
                "0003.png": f"Worth 9: {human}",
                "0004.png": "worth 5, said twice",
                "0005.png": "Worth 7: said twice!",
            }.get(image_id, super().text(image_id))

    world.fill([*world.records, CaptionRecord(f"Worth 9: {human}", split="train")])
    world.writer = Parrot(world.folder, [1.0, 2.0], lambda _i, _t: 0.0)
    one = world.refine(max_rounds=1).rounds[0]
    assert (one.reached, one.copies, one.added) == (3, 1, 2)
    texts = {"worth 5, said twice", "Worth 7: said twice!"}
    assert set(world.generated()) == texts


def test_the_best_of_several_like_drafts_is_added(world: World) -> None:
    class Chorus(ScriptedWriter):
        def text(self, image_id: str) -> str:
            if image_id.startswith("val"):
                return super().text(image_id)
            return "a worth 2 of many" if image_id == "0007.png" else "A worth 2 of many."

    world.writer = Chorus(world.folder, [1.0, 2.0], half)
    one = world.refine(max_rounds=1).rounds[0]
    assert (one.reached, one.copies, one.added) == (TRAIN, TRAIN - 1, 1)
    assert list(world.generated()) == ["A worth 2 of many."]


def test_a_caption_whose_vector_is_there_already_is_not_added(world: World) -> None:
    world.encoder.same = {"worth 2.0, take 0, of 0004.png": "caption 1 of picture 4"}
    world.script([1.0, 2.0])
    one = world.refine(max_rounds=1).rounds[0]
    assert (one.reached, one.copies, one.added) == (TRAIN, 1, TRAIN - 1)
    assert not any("0004" in text for text in world.generated())
    assert 0 < one.copy_cosine < 1


def test_what_the_memory_says_already_is_not_added(world: World) -> None:
    memory = CollectionFolder(world.settings.home, "memory")
    said = "worth 2.0, take 0, of 0006.png"
    ingest(
        [CaptionRecord(said), *(CaptionRecord(f"borrowed {n}") for n in range(30))],
        name=memory.name,
        encoder=world.encoder,
        encoder_spec="spec",
        generator_spec="consensus",
        settings=world.settings,
    )
    world.card = replace(world.card, memory=memory.name)
    world.folder.write_card(world.card)
    world.script([1.0, 1.1], half)
    one = world.refine(max_rounds=1).rounds[0]
    assert (one.state, one.copies) == ("kept", 1)
    assert said not in world.generated()
    kept = points(world.folder)
    # The map is the memory's, so what a round adds changes the captions alone.
    assert world.undo(1).exact
    assert len(kept) - len(points(world.folder)) == one.added


def test_no_picture_gets_more_than_its_share_of_generated_captions(world: World) -> None:
    world.script([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    report = world.refine(max_rounds=5)
    told = Counter(text[-8:] for text in world.generated())
    assert set(told.values()) == {2}  # as many as people wrote
    assert report.rounds[-1].state == "empty"
    assert "have their share" in report.reason


def test_a_small_share_leaves_room_for_none(world: World) -> None:
    assert world.refine(share=0.3).rounds[0].capped == TRAIN
    assert not world.generated()


# Kept or withdrawn


@pytest.mark.parametrize("after", [0.9, 1.0])
def test_a_round_that_does_not_help_is_withdrawn_exactly(world: World, after: float) -> None:
    before = world.state()
    world.script([1.0, after], half)
    report = world.refine()
    (one,) = report.rounds
    assert (one.state, report.after) == ("withdrawn", 1.0)
    assert one.after == pytest.approx(after)
    assert world.state() == before
    assert not list(world.folder.rounds.rglob("*.*"))


def test_patience_goes_on_past_a_fall_and_keeps_the_best(world: World) -> None:
    world.script([1.0, 0.9, 1.3, 1.2, 1.1], lambda _image_id, take: 2.0 + take)
    report = world.refine(patience=2, share=0.8, max_rounds=9)
    assert [one.state for one in report.rounds] == ["kept", "kept", "withdrawn", "withdrawn"]
    assert report.after == pytest.approx(1.3)
    assert set(world.generated().values()) == {1, 2}
    assert [one.before for one in report.rounds] == pytest.approx([1.0, 0.9, 1.3, 1.2])
    # Gains are over the best so far, as that decides.
    gains = [one.gain.mean for one in report.rounds if one.gain]
    assert gains == pytest.approx([-0.1, 0.3, -0.1, -0.2])


def test_no_more_rounds_than_asked_for(world: World) -> None:
    world.script([1.0, 1.1, 1.2, 1.3], half)
    report = world.refine(max_rounds=2)
    assert len(report.rounds) == 2
    assert report.reason == "the limit of rounds, 2, was reached"


def test_a_later_refinement_goes_on_from_there(world: World) -> None:
    world.script([1.0, 1.1, 1.2, 0.5], half)
    world.refine(max_rounds=1)
    report = world.refine(max_rounds=1)
    assert (report.before, report.after) == pytest.approx((1.1, 1.2))
    assert [one.number for one in read_rounds(world.folder)] == [1, 2]


# Undo


def test_undo_puts_back_index_map_and_moments(world: World) -> None:
    states = [world.state()]
    world.script([1.0, 1.1, 1.2, 1.3], half)
    for _ in range(2):
        world.refine(max_rounds=1)
        states.append(world.state())
    assert states[0] != states[1] != states[2]
    assert world.undo(2) == UndoReport((2,), True)
    assert world.state() == states[1]
    assert world.undo(1) == UndoReport((1,), True)
    assert world.state() == states[0]
    assert [one.state for one in read_rounds(world.folder)] == ["withdrawn", "withdrawn"]


def test_undo_takes_the_later_rounds_along(world: World) -> None:
    before = world.state()
    world.script([1.0, 1.1, 1.2, 1.3], half)
    world.refine(max_rounds=2)
    assert world.undo(1).withdrawn == (1, 2)
    assert world.state() == before
    assert "built" in read_rounds(world.folder)[1].reason


@pytest.mark.parametrize("number", [2, 7])
def test_only_a_round_that_stands_can_be_withdrawn(world: World, number: int) -> None:
    world.script([1.0, 1.1, 1.0], half)
    world.refine()
    with pytest.raises(InvalidInput, match="that stand are: 1"):
        world.undo(number)


def test_undo_among_newer_pictures_leaves_what_would_be_without_the_round(
    world: World, pictures: Callable[..., list[ImageRecord]], tmp_path: Path
) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    more = pictures(10, captions=2, first=200, split="train")
    world.fill([*world.records, *more])
    assert not world.undo(1).exact
    assert not world.generated()
    never = World(
        CollectionFolder(tmp_path, "never"),
        replace(world.card, name="never"),
        world.settings.model_copy(update={"home": tmp_path}),
        world.encoder,
        world.records,
    )
    never.fill()
    one, other = (PairMoments.load(each.folder.moments) for each in (world, never))
    assert one.n == other.n
    np.testing.assert_allclose(one.image_image, other.image_image, atol=1e-9)
    # Captions are multiplied in float32, in whatever groups they come.
    np.testing.assert_allclose(one.image_text, other.image_text, atol=1e-6)
    assert points(world.folder).keys() == points(never.folder).keys()


# What comes afterwards


def test_a_refined_collection_stays_as_it_is_when_it_is_filled_again(world: World) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    before = world.state()
    world.fill()
    world.map()
    assert world.state()[0] == before[0]
    fitted = fit_if_needed(world.folder, world.card)
    assert not fitted[1]


def test_rounds_outlive_the_ledger_and_the_index(world: World) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    before = world.state()
    (world.folder.embeddings / "ledger.sqlite").unlink()
    for path in sorted(world.folder.index.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    world.folder.index.rmdir()
    push(world.folder, world.card, world.settings)
    assert world.state()[0] == before[0]


def test_undo_is_exact_without_the_ledger_that_saw_the_round(world: World) -> None:
    before = world.state()
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    (world.folder.embeddings / "ledger.sqlite").unlink()
    assert world.undo(1) == UndoReport((1,), True)
    assert world.state() == before


def test_a_picture_that_is_captioned_anew_loses_its_refined_captions(world: World) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    first = world.records[0]
    assert isinstance(first, ImageRecord)
    anew = replace(first, captions=(*first.captions, "what a person adds"))
    world.fill([anew, *world.records[1:]])
    assert "worth 2.0, take 0, of 0000.png" not in world.generated()
    assert len(world.generated()) == TRAIN / 2 - 1
    world.map()
    assert PairMoments.load(world.folder.moments).n == 2 * TRAIN + TRAIN / 2


def test_a_picture_that_is_removed_loses_its_refined_captions(world: World) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    first = world.records[0]
    assert isinstance(first, ImageRecord)
    first.path.unlink()
    world.fill([*world.records[1:], WholeFolder(first.path.parent)])
    assert len(world.generated()) == TRAIN / 2 - 1
    assert not any("0000.png" in text for text in world.generated())


def test_a_picture_that_has_moved_keeps_its_refined_captions(world: World) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    first = world.records[0]
    assert isinstance(first, ImageRecord)
    path, key = first.path.with_name("moved.png"), key_of(first)
    first.path.rename(path)
    world.fill([replace(first, image_id="moved", uri=str(path), path=path), *world.records[1:]])
    identity = caption_id(key, "worth 2.0, take 0, of 0000.png", "generated")
    payload = points(world.folder)["captions", identity][0]
    assert (payload["image_id"], payload["round"]) == ("moved", 1)
    assert len(world.generated()) == TRAIN / 2


def test_a_picture_that_is_held_out_now_lends_no_refined_captions(world: World) -> None:
    world.script([1.0, 1.1], half)
    world.refine(max_rounds=1)
    first = world.records[0]
    assert isinstance(first, ImageRecord)
    world.fill([replace(first, split="test"), *world.records[1:]])
    assert not any("0000.png" in text for text in world.generated())


# Cut anywhere, it goes on


class Cut(RuntimeError):
    """The power has gone."""


class Power:
    """Goes at the n-th time that a file is renamed, replaced or removed, before or after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.steps = 0
        self.cut_at, self.before = -1, True
        self._root = root
        for name in ("replace", "rename", "unlink"):
            monkeypatch.setattr(Path, name, self._watched(getattr(Path, name)))

    def _watched(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Path, *arguments: Any, **named: Any) -> Any:
            if path.is_relative_to(self._root) and path.name != ".writing.lock":
                self.steps += 1
                if self.steps == self.cut_at and self.before:
                    raise Cut
            done = plain(path, *arguments, **named)
            if self.steps == self.cut_at and not self.before:
                self.cut_at = -1
                raise Cut
            return done

        return watched


def cut_and_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, every: int
) -> None:
    """Cut a refinement at every so-manieth step, now before it, now after it, and go on."""
    pristine = tmp_path / "pristine"
    shutil.copytree(world.folder.path, pristine)
    power = Power(monkeypatch, world.folder.path)

    def begin_again() -> None:
        shutil.rmtree(world.folder.path)
        shutil.copytree(pristine, world.folder.path)
        world.script([1.0, 1.2, 0.9], half)
        power.steps = 0

    begin_again()
    expected_report = world.refine()
    assert [one.state for one in expected_report.rounds] == ["kept", "withdrawn"]
    expected, rounds, steps = points(world.folder), outcome(world.folder), power.steps
    moments = PairMoments.load(world.folder.moments)
    assert steps > 10
    for number in range(1, steps + 1, every):
        begin_again()
        # Once the last step is done it has ended, and the next is another refinement.
        power.cut_at, power.before = number, number == steps or bool(number // every % 2)
        with pytest.raises(Cut):
            world.refine()
        power.cut_at = -1
        assert world.refine().after == expected_report.after
        assert points(world.folder) == expected, number
        assert outcome(world.folder) == rounds, number
        found = PairMoments.load(world.folder.moments)
        np.testing.assert_allclose(found.image_text, moments.image_text, atol=1e-9)
        left = {path.name for path in world.folder.rounds.iterdir()}
        assert {name.partition(".")[0] for name in left} == {"shard-00001", "before-00001"}


@pytest.mark.slow
@pytest.mark.nightly
def test_cut_at_some_steps_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut_and_go_on(world, monkeypatch, tmp_path, every=25)


@pytest.mark.slow
def test_cut_at_any_step_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut_and_go_on(world, monkeypatch, tmp_path, every=1)


def test_an_undo_that_was_cut_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.state()
    world.script([1.0, 1.1, 1.2, 1.3], half)
    world.refine(max_rounds=2)
    power = Power(monkeypatch, world.folder.path)
    power.cut_at, power.before = 3, False
    with pytest.raises(Cut):
        world.undo(1)
    power.cut_at = -1
    assert world.undo(1) == UndoReport((1, 2), True)
    assert world.state() == before


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_copies_that_a_cut_left_half_removed_are_not_put_back(
    world: World, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    before = world.state()
    world.script([1.0, 0.9, 1.0, 0.9], half)

    def cut(place: Path, **_: Any) -> None:
        files = sorted(place.glob("*.*"))
        if place.parent == world.folder.rounds and files:
            files[removed].unlink()
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut)
        with pytest.raises(Cut):
            world.refine()
    assert world.state() == before
    assert [one.state for one in world.refine().rounds] == ["withdrawn"]
    assert world.state() == before
    assert not list(world.folder.path.rglob("*.partial"))


def test_a_fit_clears_away_what_a_killed_one_had_begun(world: World) -> None:
    begun = [
        path.with_name(f".{path.name}.x.partial")
        for path in (world.folder.alignment, world.folder.moments)
    ]
    of_another = world.folder.path / ".another.safetensors.x.partial"
    for path in (*begun, of_another):
        path.touch()
    world.map()
    assert list(world.folder.path.rglob("*.partial")) == [of_another]


def test_what_was_written_before_a_cut_is_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = world.script([1.0, 1.2, 0.9], half)
    plain = writer.describe_vectors
    calls = 0

    def cut(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Cut
        return plain(*arguments, **named)

    monkeypatch.setattr("refine.drafts.BATCH", 8)
    monkeypatch.setattr(writer, "describe_vectors", cut)
    with pytest.raises(Cut):
        world.refine(max_rounds=1)
    assert writer.written == VAL + 2 * 8
    world.refine(max_rounds=1)
    assert writer.written == VAL + TRAIN + VAL


def test_a_run_on_trial_is_withdrawn_when_another_is_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.state()
    writer = world.script([1.0, 1.2, 0.9], half)
    plain = writer.describe_vectors

    def cut(raw: Vectors, **named: Any) -> Any:
        if shard_files(world.folder.rounds):
            raise Cut
        return plain(raw, **named)

    monkeypatch.setattr(writer, "describe_vectors", cut)
    with pytest.raises(Cut):
        world.refine()
    assert world.generated()
    monkeypatch.undo()
    world.script([1.0, 0.9], half)
    report = world.refine(metric="rouge-l")
    assert [one.state for one in read_rounds(world.folder)] == ["withdrawn", "withdrawn"]
    assert "not gone on with" in read_rounds(world.folder)[0].reason
    assert [one.number for one in report.rounds] == [2]
    assert world.state() == before


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "cider"}, "unknown"),
        ({"max_rounds": 0}, "max_rounds is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"share": 1.0}, "share is 1.0"),
        ({"split": "train"}, "fitted on"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        RefineOptions(**options)


def test_without_captioned_validation_pictures_nothing_is_begun(world: World) -> None:
    with pytest.raises(InvalidInput, match="no captioned picture in split 'dev'"):
        world.refine(split="dev")
    assert not read_rounds(world.folder)
