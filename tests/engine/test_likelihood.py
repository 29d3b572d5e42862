"""What a score is worth grows with it, and never with the number of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.search.likelihood import Background, Likelihood, Tail, matched_pairs
from engine.search.relevance import LIKELY, Judge

RNG = np.random.default_rng(3)


def noise(queries: int = 200, pictures: int = 1000, seed: int = 0) -> np.ndarray:
    """Scores of queries with pictures that have nothing to do with them, each with its own mean."""
    rng = np.random.default_rng(seed)
    return rng.normal(rng.normal(0, 0.3, (queries, 1)), 1.0, (queries, pictures)) * 0.05 + 0.2


def fitted(gain: float = 5.0) -> Likelihood:
    """Where matched pairs score `gain` standard deviations above the mean of their query."""
    scores = noise()
    scores[:, 0] = scores.mean(axis=1) + RNG.normal(gain, 1.0, len(scores)) * 0.05
    own = np.zeros(scores.shape, np.bool_)
    own[:, 0] = True
    return Likelihood.fit(
        scores, matched_pairs(scores, np.zeros(len(scores), int), own), left_out=own
    )


def judge(likelihood: Likelihood, background: Background, count: int) -> Judge:
    nowhere = np.zeros(2, np.float32)
    return Judge(likelihood, background, count, False, nowhere, 0.0)


LEARNED = fitted()
USUAL = Likelihood.fit(noise())


@settings(deadline=None)
@given(
    some.sampled_from([LEARNED, USUAL]),
    some.lists(some.floats(-1, 1), min_size=2, max_size=30),
    some.integers(1, 10**7),
    some.floats(-0.5, 0.5),
    some.floats(0.01, 0.2),
    some.floats(0, 0.99),
)
def test_the_chance_grows_with_the_score_and_never_with_the_count(
    likelihood: Likelihood,
    scores: list[float],
    count: int,
    mean: float,
    spread: float,
    known: float,
) -> None:
    upper, without = (np.array([mean + far * spread]) for far in (2.3, 2.2))
    query = Background(np.array([mean]), np.array([spread]), upper, without, 1000)
    rising, vouched = np.sort(scores), np.full(len(scores), known)
    for more in (None, vouched):
        few = judge(likelihood, query, count).chances(rising, more)
        many = judge(likelihood, query, count * 10).chances(rising, more)
        assert ((few >= 0) & (few <= 1)).all()
        assert (np.diff(few) >= -1e-12).all()
        assert (many <= few + 1e-12).all()


@settings(deadline=None)
@given(some.integers(20, 10**7), some.floats(-1, 1.5))
def test_alone_a_score_is_likely_only_where_a_stranger_is_not(count: int, score: float) -> None:
    background = Background.of(noise(1, seed=9))
    one = judge(LEARNED, background, count)
    (chance,) = one.chances(np.array([score]))
    strangers = count * LEARNED.share(np.array([score]), background)[0]
    assert chance < LIKELY or strangers <= 1


@pytest.mark.parametrize("pictures", [500, 5_000, 50_000])
def test_among_strangers_hardly_any_is_likely_at_any_size(pictures: int) -> None:
    scores = noise(40, pictures, seed=5)
    backgrounds = [Background.of(row[None, :2000]) for row in scores]
    likely = [
        int((judge(LEARNED, one, pictures).chances(row) >= LIKELY).sum())
        for one, row in zip(backgrounds, scores, strict=True)
    ]
    assert np.mean(likely) < 0.25  # with 5 % of unrelated pairs it were 25, 250 and 2,500


def test_what_matches_is_found_among_many() -> None:
    scores = noise(40, 5_000, seed=6)
    scores[:, 0] = 0.2 + 0.05 * 9
    found = [
        judge(LEARNED, Background.of(row[None]), 5_000).chances(row)[0] >= LIKELY for row in scores
    ]
    assert np.mean(found) > 0.9


@given(some.lists(some.floats(-50, 50), min_size=2, max_size=50), some.integers(0, 3))
def test_the_tail_never_grows(levels: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(size=5000), rng.exponential(size=5000), rng.uniform(size=5000)]
    tail = Tail.of(np.concatenate([drawn[seed % 3], np.zeros(3)]))
    shares = tail.share(np.sort(levels))
    assert (np.diff(shares) <= 1e-12).all()
    assert ((shares > 0) & (shares <= 1)).all()


def test_the_tail_reaches_beyond_what_was_seen() -> None:
    rng = np.random.default_rng(1)
    tail = Tail.of(rng.exponential(size=20_000))
    for level in (3.0, 7.0, 12.0):  # the last is beyond all of them
        assert tail.share(np.array([level]))[0] == pytest.approx(np.exp(-level), rel=0.7)


def test_equal_scores_are_nothing_to_tell_from() -> None:
    flat = Likelihood.fit(np.full((30, 40), 0.5))
    chances = judge(flat, Background.of(np.full((1, 40), 0.5)), 40).chances(np.array([0.5]))
    assert np.isfinite(chances).all()
