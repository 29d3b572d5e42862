"""What pairs are told from: a bounded sample of captions that no order of reading changes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.alignment.distractors import Distractors

TEXTS = [f"caption {i}" for i in range(40)]


def vectors(texts: list[str]) -> NDArray[np.float32]:
    """One row a text, the same wherever it stands."""
    return np.array([[len(text), sum(text.encode())] for text in texts], np.float32)


def sampled(portions: list[list[str]], size: int) -> list[tuple[float, ...]]:
    distractors = Distractors(2, size)
    for portion in portions:
        distractors.update(portion, vectors(portion).reshape(-1, 2))
    return [tuple(row) for row in distractors.captions.tolist()]


@given(st.permutations(TEXTS), st.integers(1, 50), st.integers(0, 40))
def test_neither_order_nor_portions_nor_repetition_change_the_sample(
    texts: list[str], size: int, cut: int
) -> None:
    expected = sampled([TEXTS], size)
    assert len(expected) == min(size, len(TEXTS))
    assert sampled([texts[:cut], texts[cut:], texts[:7]], size) == expected


def test_a_larger_sample_holds_the_smaller_and_nothing_gives_nothing() -> None:
    assert sampled([TEXTS], 20)[:5] == sampled([TEXTS], 5)
    assert Distractors(3).captions.shape == (0, 3)
