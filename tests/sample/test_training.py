"""The training scripts: what counts as a negative, what a pool holds, and that they run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from string import ascii_uppercase

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ask.prompts import ANSWER
from sample import build as build_module
from sample.build import Stage, build
from sample.clip.clip_folder import PICTURE_SIZE
from sample.clip.contrast import Embedded, Facts, contrastive_loss
from sample.clip.pool import Pool, farther
from sample.clip.train_clip import Cycle, train
from sample.t5.answering import about_several
from sample.t5.judging import listwise, pointwise
from sample.t5.prompts import PAPER
from sample.t5.renaming import Renaming
from sample.t5.retrieval import nearest, without_repeats
from sample.t5.retrievals import example, imagined, renamed
from sample.t5.t5_folder import build_tokenizer, new_model, save_model
from sample.world.places import PLACES
from sample.world.queries import ANY, Query, Wanted
from sample.world.questions import question_set
from sample.world.reading import check_caption, read_caption
from sample.world.render import EMOJI_FONT
from sample.world.scenes import Group, Scene
from sample.world.splits import held_out_meanings, pack_scenes
from sample.world.things import THING_OF_NAME

ROOT = Path(__file__).parents[2]
needs_font = pytest.mark.skipif(not EMOJI_FONT.exists(), reason="needs the font Noto Color Emoji")

DOG = (Group(THING_OF_NAME["dog"], 1),)
BEACH, SNOW = PLACES[0], PLACES[3]


BLANK = Scene((Group(THING_OF_NAME["drum"], 3),), PLACES[2])


def said(text: str) -> Query:
    """The text as a caption."""
    meaning = read_caption(text)
    return Query(text, Wanted(tuple(meaning.things), meaning.place, only=True))


def test_a_text_that_fits_another_scene_is_not_taken_for_wrong() -> None:
    scenes = [Scene(DOG, BEACH), Scene(DOG, SNOW), Scene(DOG, BEACH)]
    told = ["A dog on the beach.", "A photo of a dog.", "A dog by the sea."]
    facts = Facts.of(scenes, [said(text) for text in told])
    assert facts.fit(facts).tolist() == [
        [True, True, True],
        [False, True, False],
        [True, True, True],
    ]


def test_a_short_query_fits_every_scene_that_has_what_it_names() -> None:
    dogs = (Group(THING_OF_NAME["dog"], 2), Group(THING_OF_NAME["tent"], 1))
    scenes = [Scene(DOG, BEACH), Scene(dogs, BEACH, "above"), Scene(dogs, SNOW, "left of")]
    texts = [
        Query("dogs", Wanted((("dog", ANY),))),
        Query("two dogs", Wanted((("dog", 2),))),
        Query("beach", Wanted((), "beach")),
        said("Two dogs above a tent on the beach."),
        said("Two dogs and a tent."),
        said("A dog."),
    ]
    told = Facts.of([BLANK] * len(texts), texts)
    assert Facts.of(scenes, [said("")] * 3).fit(told).tolist() == [
        [True, False, True, False, False, True],
        [True, True, True, False, True, False],
        [True, True, False, False, True, False],
    ]


def test_the_loss_falls_only_by_true_negatives() -> None:
    rows = torch.eye(3)
    rows[2] = rows[0]
    twins = [Scene(DOG, BEACH), Scene(DOG, SNOW), Scene(DOG, BEACH)]
    texts = ["A dog on the beach.", "A dog in the snow.", "A dog by the sea."]
    embedded = Embedded(rows, rows, Facts.of(twins, [said(text) for text in texts]))
    assert contrastive_loss(torch.tensor(100.0), embedded, []) < 1e-4
    assert contrastive_loss(torch.tensor(100.0), embedded, [embedded.detached()]) < 1e-4
    others = Facts.of([Scene(DOG, place) for place in PLACES[:3]], [said("A cat at night.")] * 3)
    strangers = Embedded(rows, rows, others)
    assert contrastive_loss(torch.tensor(100.0), strangers, []) > 0.4


@needs_font
def test_a_pool_renews_its_oldest_families() -> None:
    pool = Pool(3, natural_share=0.5, seed=1, first_picture=0)
    scenes, pictures = list(pool.scenes), pool.pictures.copy()
    pool.renew(2)
    assert pool.scenes[:8] != scenes[:8]
    assert pool.scenes[8:] == scenes[8:]
    assert (pool.pictures[8:] == pictures[8:]).all()
    assert (pool.pictures[:8] != pictures[:8]).any(axis=(1, 2, 3)).all()
    assert not any(scene.meaning in held_out_meanings() for scene in pool.scenes)


@given(st.floats(0.5, 1), st.integers(0, 2**32))
@settings(max_examples=30)
def test_from_farther_away_all_is_smaller_and_nothing_is_lost(scale: float, seed: int) -> None:
    grey = np.full((PICTURE_SIZE, PICTURE_SIZE, 3), 90, np.uint8)
    grey[1:-1, 1:-1] = 200  # all but the outermost pixels, which go on to the frame
    seen = farther(grey, scale, Random(seed))
    assert seen.shape == grey.shape
    side = round(PICTURE_SIZE * scale)
    assert abs((seen > 150).all(2).sum() - side**2) <= 6 * side
    assert np.abs(seen[0].astype(int) - 90).max() < 90


@needs_font
@pytest.mark.slow
def test_training_writes_a_folder_that_open_clip_loads(tmp_path: Path) -> None:
    cycle = Cycle(2, 1e-3, lambda _: 1.0, 1, 0, 0, 0, 0.5, 1, families=32)
    train(tmp_path / "first", [cycle])
    train(tmp_path / "more", [cycle, replace(cycle, texts_alone=True, short_share=0.5)])
    first, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'first'}")
    more = open_clip.create_model(f"local-dir:{tmp_path / 'more'}")
    assert first.visual.image_size in (96, (96, 96))
    assert preprocess is not None
    learnt, kept = more.state_dict(), first.state_dict()
    assert all(torch.equal(learnt[name], kept[name]) for name in kept if "visual" in name)
    assert not torch.equal(learnt["text_projection"], kept["text_projection"])


def test_an_example_answers_with_the_whole_scene() -> None:
    rng = Random(3)
    for _ in range(50):
        found = imagined(rng)
        prompt, answer = example(found, rng)
        assert check_caption(answer, found.scene.meaning).all
        assert any(text.rstrip(".") in prompt for text in found.captions)


@given(st.integers(0, 2**32))
@settings(max_examples=100)
def test_renamed_captions_say_of_the_renamed_scene_what_they_said(seed: int) -> None:
    rng = Random(seed)
    found = imagined(rng)
    names = Renaming.drawn(rng)
    other = names.scene(found.scene)
    for text in found.captions:
        before = check_caption(text, found.scene.meaning)
        assert check_caption(names.text(text), other.meaning) == before


def test_no_task_is_learnt_from_what_is_held_out() -> None:
    rng, held_out = Random(4), held_out_meanings()
    for _ in range(200):
        found = renamed(imagined(rng), rng)
        assert found.scene.meaning not in held_out
        assert not held_out & {read_caption(text) for text in found.captions}
        for prompt, _ in (pointwise(rng), listwise(rng), about_several(rng)):
            told = re.findall(r"(?:Caption:|\[\w+\]) (.*)", prompt)
            assert told
            assert not held_out & {read_caption(text) for text in told}


def test_judgements_are_right_and_both_come_up() -> None:
    rng = Random(5)
    assert {answer for _, answer in (pointwise(rng) for _ in range(40))} == {"yes", "no"}
    letters = {answer for _, answer in (listwise(rng) for _ in range(200))}
    assert {"A", "B", "C"} < letters
    assert max(letters) > "K"


def test_letters_and_numbers_are_tokens_of_their_own() -> None:
    tokenizer = build_tokenizer()
    marks = [*ascii_uppercase, "yes", "no", *map(str, range(1, 31))]
    ids = [tokenizer(mark, add_special_tokens=False).input_ids for mark in marks]
    bracketed = [tokenizer(f"[{m}]", add_special_tokens=False).input_ids for m in marks[:26]]
    assert {len(one) for one in (*ids, *bracketed)} == {1}
    assert len({one[0] for one in (*ids, *bracketed)}) == len(marks) + 26


def test_questions_are_spelled_in_whole_words() -> None:
    tokenizer = build_tokenizer()
    truth = {f"[{at}]": one.scene.meaning for at, one in enumerate(pack_scenes()["plain"][:60])}
    for question in question_set(truth, 3, 120):
        prompt = ANSWER.format(captions="[1] A dog.", question=question.text)
        pieces = tokenizer.tokenize(prompt)
        assert tokenizer.unk_token not in pieces
        assert not [piece for piece in pieces if len(piece) == 1 and piece.isalpha()], question


def test_a_new_t5_is_saved_as_an_ordinary_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer = build_tokenizer()
    save_model(new_model(len(tokenizer)), tokenizer, tmp_path, torch.float16)
    again = AutoTokenizer.from_pretrained(tmp_path)
    prompt = PAPER.format(captions="A dog on the beach.")
    assert again(prompt).input_ids == tokenizer(prompt).input_ids
    assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path).dtype == torch.float32


def test_repeats_are_left_out() -> None:
    told = ["A dog on the beach.", "There is a dog on the beach", "Two dogs on the beach."]
    assert without_repeats(told) == [told[0], told[2]]


def test_the_nearest_come_best_first() -> None:
    database = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    assert nearest(np.array([[0, 1]], np.float32), database, 2).tolist() == [[2, 1]]


def test_a_build_skips_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def writes(path: Path) -> Callable[[], None]:
        return path.touch

    def two_stages(pack: Path, work: Path, quick: bool) -> list[Stage]:
        assert not quick
        paths = {"one": pack / "one", "two": work / "two"}
        return [Stage(name, path, writes(path)) for name, path in paths.items()]

    monkeypatch.setattr(build_module, "stages", two_stages)
    (tmp_path / "one").touch()
    assert build(tmp_path, tmp_path) == ["two"]
    assert build(tmp_path, tmp_path) == []
    assert build(tmp_path, tmp_path, force=True) == ["one", "two"]


_LEARNT = """
from random import Random
from sample.clip.contrast import Facts
from sample.clip.train_clip import text_of
from sample.t5.retrievals import imagined
from sample.t5.train_t5 import base_examples
from sample.world.scenes import natural_scene
from sample.world.splits import fresh_scenes
rng = Random(1)
draw = base_examples(100, rng)
print([draw(step) for step in range(100)])
scenes = [natural_scene(rng) for _ in range(50)]
texts = [text_of(scene, 0.5, rng) for scene in scenes]
print([text.text for text in texts], Facts.of(scenes, texts).fit(Facts.of(scenes, texts)).tolist())
print([(shown.scene.groups, shown.seed) for shown in fresh_scenes(50, 3)])
"""


@pytest.mark.slow
def test_what_is_learnt_does_not_hang_on_the_hash_seed() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", _LEARNT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1] != b""
