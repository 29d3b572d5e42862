"""From where a shot is played."""

from __future__ import annotations

import pytest

from ui.shared.videos import begins


@pytest.mark.parametrize(
    ("start", "end", "played"),
    [(0.0, 0.2, 0), (1.5, 3.0, 2), (2.0, 4.0, 2), (3.999, 5.0, 4), (1.2, 1.8, 1), (1.5, 2.0, 1)],
)
def test_a_shot_is_played_without_the_one_before_it_where_that_can_be(
    start: float, end: float, played: int
) -> None:
    assert begins(start, end) == played
