"""Cells are measured once, kept, and held to the default picture by picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus.captions import CaptionTable
from corpus.examples import Examples
from engine.alignment.hubs import Hubs
from engine.describe.captioner import DescribeOptions
from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput
from engine.identity import PictureIdentity
from engine.settings import Settings
from engine.types import Decoding, Vectors
from evaluation.ablation.ablate import Laboratory, Row, ablate
from evaluation.ablation.cell_cache import CellCache
from evaluation.ablation.cells import Bench, Outcome, ranking
from evaluation.ablation.grid import DEFAULT, Cell, MapChoice, Variant
from evaluation.ablation.study import Study, fit_map
from evaluation.corrected import bank_of, both_ways

DIM, PICTURES = 8, 30
WORDS = ["red", "blue", "green", "dog", "cat", "bird", "tree", "lake"]


def rows(n: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(n, DIM))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


class WordEncoder:
    """A text is the mean of its words' axes."""

    dim = DIM

    def __init__(self, identity: str = "words") -> None:
        self.id = identity
        self.encoded: list[str] = []

    def encode_texts(self, texts: list[str]) -> Vectors:
        self.encoded += texts
        vectors = [[float(word in text.split()) + 0.01 for word in WORDS] for text in texts]
        made = np.array(vectors, np.float32).reshape(-1, DIM)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)

    def encode_images(self, images: Sequence[object]) -> Vectors:
        raise NotImplementedError(images)


class Parrot:
    """Says the first caption of the prompt, and counts what it is asked."""

    id = "parrot"
    max_input_tokens = 1000

    def __init__(self) -> None:
        self.asked: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        del decoding
        self.asked += prompts
        lines = [prompt.splitlines()[1 : 1 + n] for prompt in prompts]
        return [[line.removesuffix(".") for line in said] for said in lines]


def study(seed: int = 0) -> Study:
    rng = np.random.default_rng(seed)
    said = [" ".join(rng.choice(WORDS, 2, replace=False)) for _ in range(PICTURES)]
    encoder = WordEncoder()
    captions = encoder.encode_texts(said)
    noisy = captions + rows(PICTURES, seed + 1) * 0.2
    images = np.asarray(noisy / np.linalg.norm(noisy, axis=1, keepdims=True), np.float32)
    ids = tuple(f"{i:02}" for i in range(PICTURES))
    pictures = tuple(PictureIdentity(f"sha of {image_id}") for image_id in ids)
    every = Examples(
        pictures, ids, ids, ("",) * PICTURES, tuple((text,) for text in said), images, captions,
        np.arange(PICTURES),
    )  # fmt: skip
    index = CaptionTable(tuple(said), captions, tuple(one.key for one in pictures))
    return Study("shop", "words", "words", every, index, every.take(range(10)))


def bench(studies: Mapping[tuple[str, str], Study] | None = None) -> tuple[Bench, Parrot]:
    parrot = Parrot()
    return Bench(studies or {("", ""): study()}, lambda _spec: WordEncoder(), parrot), parrot


RAW = Cell(map=MapChoice("raw"), describe=DescribeOptions(candidates=1))


def test_own_captions_are_found_only_where_they_may_be() -> None:
    made, _ = bench()
    own = [said for (said,) in study().examples.references]
    found = made.measure(Cell(map=RAW.map, describe=RAW.describe, exclude_own=False))
    kept = made.measure(RAW)
    # The nearest caption of almost every picture is its own.
    assert sum(a == b for a, b in zip(found.captions, own, strict=True)) >= 8
    assert found.captions != kept.captions
    # With one vector per text a caption of the same words scores no less.
    assert found.means["clip"] >= kept.means["clip"]
    assert found.means["mrr"] == kept.means["mrr"]


def test_nothing_that_was_said_of_held_out_pictures_is_borrowed() -> None:
    one = study()
    splits = ("val",) * PICTURES
    held_out = replace(one, index=replace(one.index, splits=splits))
    made, _ = bench({("", ""): held_out})
    with pytest.raises(CollectionMissing, match="no captions of other pictures to describe from"):
        made.measure(RAW)
    assert made.measure(replace(RAW, exclude_own=False)).captions
    assert held_out.fingerprint != one.fingerprint


def test_a_prompt_is_written_from_once() -> None:
    made, parrot = bench()
    first = made.measure(RAW)
    asked = len(parrot.asked)
    assert asked == len(set(parrot.asked))
    assert made.measure(RAW).captions == first.captions
    assert len(parrot.asked) == asked


def test_anothers_captions_are_not_taken_for_own_ones() -> None:
    """Names of pictures in two collections may be the same; contents that are known differ."""
    index = study().index
    keys = tuple(f"sha256:other {key}" for key in index.pictures)
    away = replace(study(), index=replace(index, pictures=keys))
    made, _ = bench({("", ""): study(), ("", "away"): away})
    cell = Cell(map=RAW.map, describe=RAW.describe, map_of="away", index_of="away")
    found = Cell(map=RAW.map, describe=RAW.describe, exclude_own=False)
    assert made.measure(cell).captions == made.measure(found).captions


def test_vectors_of_another_encoder_are_refused() -> None:
    wrong = Bench({("", ""): study()}, lambda _spec: WordEncoder("others"), None)
    with pytest.raises(IncompatibleIndex, match="embedded with words, but words is others"):
        wrong.measure(RAW)


def test_hub_correction_takes_off_what_others_say() -> None:
    data = study()
    raw, examples, training = fit_map(data.training, MapChoice("raw")), data.examples, data.training
    hubs = Hubs(bank_of(training), raw)
    there, back = both_ways(examples, raw, hubs, 0.5)
    cosines = examples.images @ examples.captions.T
    # The ten examples are the first of the training pictures: their own does not count.
    for rows, bank, plain, (queries, documents) in (
        (examples.captions, training.images, cosines, there),
        (examples.images, training.captions, cosines.T, back),
    ):
        near = rows @ bank.T
        near[np.arange(10), np.arange(10)] = -9
        expected = plain - 0.5 * np.sort(near, axis=1)[:, -16:].mean(axis=1)
        np.testing.assert_allclose(queries @ documents.T, expected, atol=1e-3)
    found, untouched = (ranking(data, raw, hubs, strength) for strength in (0.5, 0.0))
    assert found["mrr"].shape == untouched["mrr"].shape == (10,)
    assert not np.array_equal(found["mrr"], untouched["mrr"])


class FakeLaboratory(Laboratory):
    """Counts how often it is set up."""

    made = 0

    def bench(self) -> Bench:
        FakeLaboratory.made += 1
        return bench(self.studies)[0]


@pytest.fixture
def laboratory() -> Laboratory:
    FakeLaboratory.made = 0
    return FakeLaboratory({("", ""): study()}, Settings(), "parrot", "parrot")


VARIANTS = [
    DEFAULT,
    Variant("map", "ols", Cell(map=MapChoice("ols", share=0.1))),
    Variant("k", "k 1", Cell(describe=DescribeOptions(k=1))),
    Variant("clusters", "of raw", Cell(map=MapChoice("raw", clusters=2, prior=1))),
]


def measured(laboratory: Laboratory, folder: Path) -> list[Row]:
    return ablate(laboratory, VARIANTS, CellCache(folder), jobs=1)


def test_rows_are_held_to_the_default(laboratory: Laboratory, tmp_path: Path) -> None:
    default, other, _, failed = measured(laboratory, tmp_path)
    assert default.outcome is not None
    assert other.outcome is not None
    assert not default.differences
    gap = other.differences["mrr"]
    assert gap.mean == pytest.approx(other.outcome.means["mrr"] - default.outcome.means["mrr"])
    assert gap.low <= gap.mean <= gap.high
    assert gap.mean < 0  # 3 pictures are too few for ols
    assert failed.outcome is None
    assert "raw is neither" in failed.failed


@pytest.mark.usefixtures("java")
def test_what_is_measured_is_not_measured_again(laboratory: Laboratory, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    first = measured(laboratory, tmp_path)
    kept = [row for row in first if row.outcome and not row.outcome.missing]
    assert len(kept) == 3, first
    assert FakeLaboratory.made == 1
    (tmp_path / sorted(path.name for path in tmp_path.iterdir())[0]).write_text("{ cut sho")
    again = ablate(
        laboratory, VARIANTS[:3], CellCache(tmp_path), jobs=1, on_done=lambda *at: done.append(at)
    )
    # Only the damaged cell is new, and comes to the same.
    assert done == [(2, 3), (3, 3)]
    assert [row.differences for row in again] == [row.differences for row in first[:3]]


def test_other_data_is_another_cell(laboratory: Laboratory) -> None:
    other = FakeLaboratory({("", ""): study(9)}, Settings(), "parrot", "parrot")
    keys = [laboratory.key(RAW), laboratory.key(DEFAULT.cell), other.key(RAW)]
    assert len({json.dumps(key, sort_keys=True) for key in keys}) == 3
    moved = FakeLaboratory({("", ""): study()}, Settings(), "parrot", "another")
    assert moved.key(RAW) != laboratory.key(RAW)


def test_other_code_precision_or_device_is_another_cell(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = laboratory.key(RAW)
    assert key == laboratory.key(RAW)
    slower = replace(laboratory, settings=Settings(precision="fp32"))
    assert slower.key(RAW) != key
    monkeypatch.setattr("evaluation.conditions.code_digest", lambda: "of other code")
    assert laboratory.key(RAW) != key


def test_differences_are_those_of_the_figures_beside_them(
    laboratory: Laboratory, tmp_path: Path, java: None
) -> None:
    del java
    default, *others = measured(laboratory, tmp_path)[:3]
    assert default.outcome is not None
    for row in others:
        assert row.outcome is not None
        assert set(row.outcome.counts) == {"bleu-4"}
        for metric, found in row.differences.items():
            gap = row.outcome.means[metric] - default.outcome.means[metric]
            assert found.mean == pytest.approx(gap, abs=1e-12), metric


def test_a_default_that_cannot_be_measured_ends_the_ablation(tmp_path: Path) -> None:
    data = study()
    empty = Study("shop", "words", "other", data.training, data.index, data.examples)
    laboratory = FakeLaboratory({("", ""): empty}, Settings(), "parrot", "parrot")
    with pytest.raises(InvalidInput, match="the default cannot be measured"):
        measured(laboratory, tmp_path)


def test_an_outcome_comes_back_as_it_was(tmp_path: Path) -> None:
    outcome = Outcome(
        {"clip": [0.1, 0.2]}, {"clip": 0.15}, {"bleu-4": [[1.0]]}, {}, {"method": "raw"},
        ("a", "b"), 1.5,
    )  # fmt: skip
    cache = CellCache(tmp_path / "cells")
    assert cache.get({"k": 1}) is None
    cache.put({"k": 1}, outcome)
    assert cache.get({"k": 1}) == outcome
    assert cache.get({"k": 2}) is None
    assert [path.suffix for path in (tmp_path / "cells").iterdir()] == [".json"]
