"""Labels that pictures get: lists as people write them, directions, chances, and taggers kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alignment.alignment import Alignment, PairMoments
from engine.errors import Damaged, InvalidInput
from engine.tags.calibration import Calibration
from engine.tags.directions import chosen_strength, directions, mean_precision, spread_of
from engine.tags.labels import MOST_LABELS, label_of, read_labels, written
from engine.tags.making import Examples, Known, make_tagger
from engine.tags.prototypes import General, prototypes
from engine.tags.tagger import Tagger
from engine.tags.tagging import keep_tagging, new_tagging, read_tagging, tagging_names
from engine.tags.zero_shot import EVERYDAY, naming, prompts
from engine.types import CaptionHit, Vectors
from engine.vectors import unit
from engine.words import folded

DIM = 48
THINGS = ("dog", "cat", "tree", "boat")


class Words:
    """An encoder in whose space each word is a direction, and a sentence the sum of its words."""

    id, dim = "words", DIM

    def encode_texts(self, texts: list[str]) -> Vectors:
        rows = [
            sum((self.word(one) for one in text.lower().split()), np.zeros(DIM)) for text in texts
        ]
        return np.asarray(unit(np.array(rows)), np.float32)

    def encode_images(self, images: Sequence[Any]) -> Vectors:
        raise NotImplementedError

    def word(self, text: str) -> Any:
        bare = text.strip(".").removesuffix("s")
        return np.random.default_rng(list(bare.encode())).normal(size=DIM)


def shown(things: Sequence[str], seed: int) -> Any:
    """The raw vector of a picture of these things."""
    noise = np.random.default_rng(seed).normal(size=DIM)
    return sum((Words().word(one) for one in things), 1.2 * noise)


def world(count: int = 240, seed: int = 0) -> tuple[Vectors, list[tuple[str, ...]]]:
    """Pictures of one or two things, or of none of them."""
    rng = np.random.default_rng(seed)
    has = [tuple(rng.choice(THINGS, rng.integers(0, 3), replace=False)) for _ in range(count)]
    rows = [shown(things or ("stone",), 1000 * seed + at) for at, things in enumerate(has)]
    return np.asarray(unit(np.array(rows)), np.float32), has


def known(*, captions: bool = True, pictures_said: bool = True) -> Known:
    raw, has = world()
    said = [f"there is a {' and a '.join(things) or 'stone'}" for things in has]
    vectors = Words().encode_texts(said)
    moments = PairMoments(DIM)
    moments.update(raw, vectors)
    hits = [
        CaptionHit(str(at), text, 0.0, vector=vector)
        for at, (text, vector) in enumerate(zip(said, vectors, strict=True))
    ]
    told = [(text,) if pictures_said else () for text in said]
    return Known(Alignment.fit(moments, "centred"), raw, told, hits if captions else [], moments)


def labels(*names: str) -> tuple[Any, ...]:
    return tuple(map(label_of, names))


def names(tagger: Tagger, raw: Vectors) -> list[set[str]]:
    return [{tagger.labels[one.label].name for one in given} for given in tagger.give(raw)]


def right(given: list[set[str]], has: Sequence[tuple[str, ...]]) -> tuple[float, float]:
    """Precision and recall."""
    both = sum(len(one & set(things)) for one, things in zip(given, has, strict=True))
    return both / max(1, sum(map(len, given))), both / sum(map(len, has))


# Lists.


def test_a_list_is_read_as_people_write_it() -> None:
    text = "\ufeff# pets\r\ndog = dog,  puppy\r\n\r\n  Katze # German\nसाँप\nC#\n"
    assert [(one.name, one.phrases) for one in read_labels(text)] == [
        ("dog", ("dog", "puppy")), ("Katze", ("Katze",)), ("साँप", ("साँप",)), ("C#", ("C#",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no label"),
        ("# only a comment\n", "no label"),
        ("dog\ncat\nDog\n", "line 3 of the labels: 'Dog' is there already, in line 1"),
        ("dog = dog, ", "a wording without words"),
        (" = dog", "without a name"),
        ("???", "has no words"),
        ("a\u202eb", r"a\u202eb"),
        ("x" * 101, "101 characters"),
        ("\n".join(f"label {at}" for at in range(10_000)), f"limit is {MOST_LABELS:,}"),
        ("dog = " + ", ".join(f"word{at}" for at in range(33)), "33 wordings"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_the_place(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_labels(text)
    assert told in str(error.value)


@pytest.mark.parametrize("name", ["a = b", "dog # not", "#dog"])
def test_a_name_that_a_list_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="without = and #"):
        label_of(name)


WORD = st.text(st.characters(categories=("Ll", "Lu", "Lo", "Nd")), min_size=1, max_size=12)


@given(st.dictionaries(WORD, st.lists(WORD, max_size=3), min_size=1, max_size=6))
def test_a_list_is_read_again_as_it_was_written(told: dict[str, list[str]]) -> None:
    found = tuple(label_of(name, phrases) for name, phrases in told.items())
    if len({folded(name) for name in told}) == len(told):
        assert read_labels(written(found)) == found
    else:
        with pytest.raises(InvalidInput, match="there already"):
            read_labels(written(found))


def test_prompts_say_labels_as_english_does_and_leave_others_as_they_are() -> None:
    said = prompts(label_of("cherry"))
    assert "a photo of a cherry." in said
    assert not [one for one in said if "cherries" in one]  # places have no plural
    assert prompts(label_of("cherry"), ("two {many}.",)) == ["two cherries."]
    assert "there is an owl in the scene." in prompts(label_of("owl"))
    assert prompts(label_of("in the snow"))[0] == "in the snow."
    assert not [one for one in prompts(label_of("साँप")) if "two" in one]


def test_captions_name_a_label_by_all_words_of_one_of_its_phrases() -> None:
    found = naming(
        (label_of("dog", ("dog", "puppy")), label_of("red car")),
        [("Two DOGS run",), ("a puppy", "in a car"), ("the car is red",)],
    )
    assert found.tolist() == [[True, False], [True, False], [False, True]]


# Directions.


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 10))
def test_directions_are_those_of_ridge_on_one_hot(seed: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    centred = rows - rows.mean(axis=0)
    right = rng.permutation(40) < 12
    # Ridge of the label, centred, on the pictures: (X'X + l I)^-1 X'y.
    penalty = strength * np.trace(centred.T @ centred) / 5
    ridge = np.linalg.solve(
        centred.T @ centred + penalty * np.eye(5), centred.T @ (right - right.mean())
    )
    apart = centred[right].mean(axis=0)[None]
    found = directions(spread_of(rows), apart, strength)[:, 0]
    assert np.allclose(found, ridge / np.linalg.norm(ridge), atol=1e-8)


def test_strength_is_chosen_on_the_other_half_and_has_a_rule_for_too_few() -> None:
    rng = np.random.default_rng(0)
    right = np.arange(400)[:, None] % 4 == np.arange(4)
    signal = 3.0 * right @ np.eye(4, 20)
    loud = np.concatenate([np.zeros((400, 10)), 30 * rng.normal(size=(400, 10))], axis=1)
    rows = signal + rng.normal(size=(400, 20)) + loud
    assert chosen_strength(rows, right) <= 0.3  # loud directions are whitened away
    assert chosen_strength(rows[:4], right[:4], otherwise=3.0) == 3.0


def test_precision_is_that_of_a_ranking_worked_out_by_hand() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    hits = np.array([[True, False], [False, False], [True, False]])
    assert mean_precision(scores, hits) == pytest.approx((1 + 2 / 3) / 2)


# Taggers.


def test_pictures_get_the_labels_that_fit_and_those_of_nothing_get_none() -> None:
    tagger = make_tagger(labels(*THINGS), Words(), known())
    raw, has = world(200, seed=1)
    given = names(tagger, raw)
    precision, recall = right(given, has)
    assert precision > 0.84
    assert recall > 0.7
    nothing = [one for one, things in zip(given, has, strict=True) if not things]
    assert np.mean([not one for one in nothing]) > 0.85


@pytest.mark.parametrize("captions", [False, True])
def test_chances_keep_their_promise(captions: bool) -> None:
    tagger = make_tagger(labels(*THINGS), Words(), known(captions=captions, pictures_said=False))
    raw, has = world(400, seed=2)
    chances = tagger.calibration.chances(tagger.scorer.scores(raw))[:, : len(THINGS)]
    truth = np.array([[one in things for one in THINGS] for things in has])
    sure = chances >= 0.5
    assert sure.any()
    assert truth[sure].mean() >= chances[sure].mean() - 0.1


def test_what_people_say_of_a_picture_it_gets_whatever_it_looks_like() -> None:
    raw, has = world(200, seed=5)
    bare = [at for at, things in enumerate(has) if not things]
    said = [("Two dogs in a field.",) if at in bare else () for at in range(len(raw))]
    for single in (False, True):
        tagger = make_tagger(labels(*THINGS), Words(), known(), single=single)
        unsaid, given = tagger.give(raw), tagger.give(raw, said)
        dog = [[one for one in given[at] if one.label == THINGS.index("dog")] for at in bare]
        assert all(len(one) == 1 and one[0].chance > 0.9 for one in dog) or single
        assert all(dog)
        others = [at for at in range(len(raw)) if at not in bare]
        assert [given[at] for at in others] == [unsaid[at] for at in others]


def test_one_label_a_picture_is_its_likeliest() -> None:
    several = make_tagger(labels(*THINGS), Words(), known())
    single = make_tagger(labels(*THINGS), Words(), known(), single=True)
    raw, _ = world(120, seed=3)
    assert all(len(one) <= 1 for one in single.give(raw))
    assert max(map(len, several.give(raw))) > 1


def test_a_label_that_no_caption_names_is_told_by_examples() -> None:
    raw, has = world(200, seed=4)
    nonsense = labels("k17", "k18", "k19", "k20")  # stand for the things, and say nothing of them
    holds = np.array([[one in things for one in THINGS] for things in has])
    by_words = make_tagger(nonsense, Words(), known())
    learned = make_tagger(nonsense, Words(), known(), Examples(raw[:80], holds[:80]))
    worth = [
        mean_precision(one.scorer.scores(raw[80:])[:, : len(THINGS)], holds[80:])
        for one in (by_words, learned)
    ]
    assert worth[0] < 0.5
    assert worth[1] > 0.8


def test_examples_are_held_against_all_pictures_and_a_label_without_any_scores_nothing() -> None:
    raw, has = world(100, seed=5)
    general = General.of(None, raw)
    holds = np.array([[one in things for one in THINGS] for things in has])
    holds[:, 3] = False
    found = prototypes(raw, holds, general)
    assert found.counts.tolist() == [*holds[:, :3].sum(axis=0), 0]
    assert not found.scores(raw)[:, 3].any()
    assert mean_precision(found.scores(raw), holds) > 0.8


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.9))
def test_a_chance_never_falls_as_the_score_grows_and_is_cut_where_it_is_enough(
    seed: int, least: float
) -> None:
    scores = np.random.default_rng(seed).normal(size=(60, 25))
    told = scores > 1.5
    for one in (Calibration.fit(scores, None, told), Calibration.fit(scores, None, None)):
        grid = np.linspace(-3, 12, 200)[:, None] * np.ones(25)
        chances = one.chances(grid)
        assert (np.diff(chances, axis=0) >= -1e-12).all()
        cut = one.cut(least)
        enough = np.isfinite(cut)
        assert ((one.chances(grid) >= least) == (grid >= cut - 1e-9))[:, enough].all()


# On disk.


def test_a_tagging_gives_the_same_once_it_is_read_again(tmp_path: Path) -> None:
    raw, has = world(60, seed=6)
    holds = np.array([[one in things for one in THINGS] for things in has])
    tagger = make_tagger(
        labels(*THINGS), Words(), known(), Examples(raw, holds), single=True, least=0.4
    )
    keep_tagging(tmp_path, new_tagging("pets", tagger, "words", who="Ada", examples=60))
    kept = read_tagging(tmp_path, "pets")
    assert tagging_names(tmp_path) == ["pets"]
    assert (kept.who, kept.examples, kept.encoder_id) == ("Ada", 60, "words")
    assert kept.tagger.labels == tagger.labels
    assert kept.tagger.give(raw) == tagger.give(raw)
    assert len(kept.tagger.calibration.before) == len(THINGS) + len(EVERYDAY) - 4


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "x" * 64])
def test_a_name_that_could_be_a_path_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not allowed"):
        read_tagging(tmp_path, name)


def test_a_damaged_tagging_says_so_with_the_remedy(tmp_path: Path) -> None:
    tagger = make_tagger(labels(*THINGS), Words(), known())
    keep_tagging(tmp_path, new_tagging("pets", tagger, "words", who=""))
    path = tmp_path / "pets.safetensors"
    data = bytearray(path.read_bytes())
    for place in (9, len(data) // 2, len(data) - 1):
        path.write_bytes(bytes([*data[:place], data[place] ^ 0xFF, *data[place + 1 :]]))
        with pytest.raises(Damaged, match=r"mrag tag -c .* --undo pets"):
            read_tagging(tmp_path, "pets")
    path.write_bytes(data[:100])
    with pytest.raises(Damaged):
        read_tagging(tmp_path, "pets")


def test_a_tagger_of_another_map_does_not_move_with_it() -> None:
    """What a tagger gives depends on what it keeps alone: its own map goes with it."""
    about = known()
    tagger = make_tagger(labels(*THINGS), Words(), about)
    moved = replace(about.alignment, mean_image=np.zeros(DIM))
    assert tagger.scorer.alignment is about.alignment
    raw, _ = world(20, seed=7)
    assert tagger.give(raw) == tagger.give(raw)
    other = replace(tagger, scorer=replace(tagger.scorer, alignment=moved))
    assert other.give(raw) != tagger.give(raw)
