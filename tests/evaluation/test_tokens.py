from __future__ import annotations

from evaluation.metrics.tokens import words_of


def test_a_word_gains_a_picture_its_references_that_hold_it() -> None:
    words = words_of(
        [["A dog, a DOG runs.", "The dog is there"], ["Two cats' 2 tails"], ["of the"]]
    )
    assert words.words == ("2", "cats", "dog", "runs", "tails", "two")
    relevance = words.relevance
    assert relevance.n == 3
    held = zip(
        relevance.queries.tolist(),
        (words.words[row] for row in relevance.documents),
        relevance.gains.tolist(),
        strict=True,
    )
    assert sorted(held) == [
        (0, "dog", 2.0), (0, "runs", 1.0),
        (1, "2", 1.0), (1, "cats", 1.0), (1, "tails", 1.0), (1, "two", 1.0),
    ]  # fmt: skip


def test_words_of_other_scripts_are_kept_whole() -> None:
    assert words_of([["Ein Hündchen läuft", "don’t собака", "लड़का"]]).words == (
        "don’t", "ein", "hündchen", "läuft", "собака", "लड़का",
    )  # fmt: skip
