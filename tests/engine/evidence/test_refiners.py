"""What goes into a prompt is refined, in any script, and never away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evidence.compression import Compression, clauses_of
from engine.evidence.contradictions import Contradictions, disputes
from engine.evidence.near_copies import COMPARED, NearCopies
from engine.stages.protocols import Found
from engine.types import CaptionHit

CAPTIONS = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.sampled_from(
            [
                "two dogs, in snow",
                "three dogs",
                "a red car",
                "the blue car",
                "दो कुत्ते",
                "三只狗，在雪里",
            ]
        ),
    ),
    max_size=8,
)


def hits(
    texts: Sequence[str], scores: Sequence[float] = (), vectors: Sequence[Sequence[float]] = ()
) -> tuple[CaptionHit, ...]:
    return tuple(
        CaptionHit(
            str(at),
            text,
            scores[at] if scores else 0.9 - at / 1000,
            vector=np.array(vectors[at], np.float32) if vectors else None,
        )
        for at, text in enumerate(texts)
    )


def refined(stage: object, found: tuple[CaptionHit, ...]) -> list[str]:
    (one,) = stage.refine([None], [Found(found)])  # type: ignore[attr-defined]
    return [hit.text for hit in one.items]


def letters(texts: Sequence[str]) -> int:
    """A prompt with a line for each text, of which each letter is a token."""
    return len("\n".join(texts))


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (["A dog runs in the snow.", "the dog is running in snow", "a cat"], [0, 2]),
        (["a dog and a cat", "A cat and a dog."], [0]),
        (["two dogs", "three dogs"], [0, 1]),
        (["a cat under a chair", "a cat on a chair"], [0, 1]),
        (["एक लड़का", "एक लड़की", "एक लड़का।"], [0, 1]),
        (["நாய் ஓடுகிறது", "நாய் தூங்குகிறது"], [0, 1]),
        (["แมวดำ", "แมวขาว", "แมวดำ!"], [0, 1]),
        (["一只猫", "两只猫", "一只猫。"], [0, 1]),
        (["🐶", "🐱", "🐶!"], [0, 1]),
        (["!!!", "???"], [0, 1]),
        ([], []),
    ],
)
def test_what_says_the_same_is_said_once(texts: list[str], kept: list[int]) -> None:
    assert refined(NearCopies(), hits(texts)) == [texts[at] for at in kept]


def test_nearly_the_same_words_are_near_copies_where_their_vectors_say_so() -> None:
    texts = ["a big dog runs on a beach", "a big dog runs on a sunny beach"]
    apart, close = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.99, 0.05]]
    assert refined(NearCopies(), hits(texts)) == texts
    assert refined(NearCopies(), hits(texts, vectors=apart)) == texts
    assert refined(NearCopies(), hits(texts, vectors=close)) == texts[:1]


def test_near_vectors_alone_make_no_near_copies() -> None:
    texts = ["two dogs", "three horses"]
    assert refined(NearCopies(), hits(texts, vectors=[[1.0, 0.0], [1.0, 0.0]])) == texts


def test_very_many_captions_are_compared_by_their_words() -> None:
    texts = [f"picture number{at}" for at in range(COMPARED)] + ["one more", "one more!"]
    vectors = [[1.0, at / 1e6] for at in range(len(texts))]
    assert refined(NearCopies(), hits(texts, vectors=vectors)) == texts[:-1]


def test_of_contradicting_counts_the_nearest_and_most_stand() -> None:
    texts = ["three dogs in snow", "two dogs", "two dogs on ice", "a cat"]
    assert refined(Contradictions(), hits(texts)) == [*texts[1:]]
    assert refined(Contradictions("last"), hits(texts)) == [*texts[1:], texts[0]]
    assert refined(Contradictions(), hits(texts, [0.9, 0.2, 0.2, 0.2])) == [texts[0], texts[3]]


def test_equal_votes_go_to_the_nearer() -> None:
    texts = ["a red car", "a blue car"]
    assert refined(Contradictions(), hits(texts, [0.5, 0.5])) == texts[:1]


def test_colours_that_meet_do_not_contradict() -> None:
    texts = ["a red and white bus", "a white bus", "a red bus"]
    assert refined(Contradictions(), hits(texts[:2])) == texts[:2]
    assert refined(Contradictions(), hits(texts)) == texts[:2]  # white has the nearer votes


def test_numbers_of_other_scripts_contradict_each_other() -> None:
    assert refined(Contradictions(), hits(["दो कुत्ते", "दो कुत्ते घर में", "३ कुत्ते"])) == [
        "दो कुत्ते", "दो कुत्ते घर में",
    ]  # fmt: skip
    assert refined(Contradictions(), hits(["两只狗", "2只狗在跑", "三只狗"])) == [
        "两只狗",
        "2只狗在跑",
    ]


def test_who_contradicts_each_other_in_everything_is_kept() -> None:
    texts = ["two dogs and a red car", "three dogs and a blue car"]
    scores = [0.5, 0.5]
    (one, other) = disputes(texts, scores)
    assert (one.losers, other.losers) == ((1,), (1,))
    crossed = ["two dogs", "three dogs and a blue car", "a red car and two dogs"]
    kept = refined(Contradictions(), hits(crossed, [0.1, 0.9, 0.1]))
    assert kept == ["three dogs and a blue car"]


def test_what_one_caption_alone_says_is_left_out_first() -> None:
    texts = [
        "a dog in the snow, at a birthday party",
        "a dog in the snow",
        "a dog running, in the snow",
    ]
    assert refined(Compression(72, letters), hits(texts)) == [
        "a dog in the snow", "a dog in the snow", "a dog running, in the snow",
    ]  # fmt: skip


def test_clauses_of_any_script_are_weighed_by_what_others_say() -> None:
    texts = ["一只狗在雪地里，戴着帽子", "一只狗在雪地里跑"]
    (first, _) = clauses_of(texts, [1.0, 1.0])
    assert [one.text for one in first] == ["一只狗在雪地里，", "戴着帽子"]
    assert first[0].support > first[1].support
    assert refined(Compression(16, letters), hits(texts)) == ["一只狗在雪地里", texts[1]]


def test_what_fits_stays_as_it_is() -> None:
    texts = ["a dog,  and a cat ,", "नमस्ते, दुनिया"]
    assert refined(Compression(1000, letters), hits(texts)) == texts


def test_of_captions_that_cannot_be_shortened_the_nearest_stay() -> None:
    texts = ["x" * 30, "y" * 30, "z" * 30]
    assert refined(Compression(61, letters), hits(texts)) == texts[:2]
    assert refined(Compression(5, letters), hits(texts)) == texts[:1]


@given(CAPTIONS, st.integers(1, 80))
def test_refiners_leave_captions_in_their_order_and_never_none(
    texts: list[str], budget: int
) -> None:
    found = hits(texts)
    for stage in (NearCopies(), Contradictions(), Compression(budget, letters)):
        (one,) = stage.refine([None], [Found(found)])
        ids = [int(hit.id) for hit in one.items]
        assert ids == sorted(set(ids))
        assert bool(ids) == bool(texts)


@given(CAPTIONS)
def test_refining_again_changes_nothing(texts: list[str]) -> None:
    for stage in (NearCopies(), Compression(40, letters)):
        once = stage.refine([None], [Found(hits(texts))])
        assert stage.refine([None], once)[0].items == once[0].items


@given(CAPTIONS, st.integers(1, 80))
def test_compression_is_extractive_and_keeps_the_budget_where_it_can(
    texts: list[str], budget: int
) -> None:
    (one,) = Compression(budget, letters).refine([None], [Found(hits(texts))])
    for hit in one.items:
        words = texts[int(hit.id)].split()
        assert all(any(part in word for word in words) for part in hit.text.split())
    if len(one.items) > 1:
        assert letters([hit.text for hit in one.items]) <= budget
