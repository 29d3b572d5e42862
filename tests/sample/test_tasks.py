"""Judging and answering are scored by what the model says, whichever model it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from sample.tasks import LISTED_TOGETHER, answers_right, listwise_right, pointwise_right
from sample.world.splits import dev_scenes

SCENES = dev_scenes()[:40]


class FakeReader:
    """Says what it is told to say."""

    def __init__(self, choose: Callable[[str], int], answer: str = "") -> None:
        self._choose, self._answer = choose, answer

    def choices(self, prompts: Sequence[str], choices: Sequence[str]) -> npt.NDArray[np.int64]:
        del choices
        return np.array([self._choose(prompt) for prompt in prompts])

    def answers(self, prompts: Sequence[str]) -> list[str]:
        return [self._answer] * len(prompts)


@pytest.mark.parametrize("always", [0, 1])
def test_who_always_says_the_same_judges_half_of_the_captions_rightly(always: int) -> None:
    flags = pointwise_right(FakeReader(lambda _: always), SCENES, 100)
    assert flags.mean() == 0.5


def test_the_same_letter_always_is_seldom_right() -> None:
    flags = listwise_right(FakeReader(lambda _: LISTED_TOGETHER - 1), SCENES, 100)
    assert 0.05 < flags.mean() < 0.7


def test_a_refusal_is_right_where_nothing_is_said_and_nowhere_else() -> None:
    found = [(shown.scene.meaning, shown.captions[:2]) for shown in SCENES]
    refuses = FakeReader(lambda _: 0, "the captions do not say")
    right = {kind: flags.mean() for kind, flags in answers_right(refuses, found)}
    assert right.pop("unanswerable") == 1
    assert set(right.values()) == {0}
