"""What captions are judged by: one metric as it is, several by their standard scores."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidInput
from refine.yardstick import Yardstick, caption_values


def test_one_metric_counts_as_it_is() -> None:
    values = {"cider-d": np.array([0.5, 2.0])}
    yardstick = Yardstick.parse("CIDEr-D").standardised(values)
    assert yardstick.name == "cider-d"
    assert yardstick.combined(values).tolist() == [0.5, 2.0]


def test_several_metrics_count_by_their_weights() -> None:
    yardstick = Yardstick.parse("cider-d=3, rouge-l")
    values = {"cider-d": np.array([0.0, 2.0]), "rouge-l": np.array([0.6, 0.4])}
    yardstick = yardstick.standardised(values)
    assert yardstick.name == "cider-d=3,rouge-l=1"
    # One deviation below and above in the one, above and below in the other.
    assert yardstick.combined(values) == pytest.approx([-0.5, 0.5])
    later = {"cider-d": np.array([2.0]), "rouge-l": np.array([0.6])}
    assert yardstick.combined(later) == pytest.approx([1.0])


def test_a_metric_that_is_the_same_for_all_tells_nothing() -> None:
    values = {"cider-d": np.array([0.0, 2.0]), "rouge-l": np.array([0.5, 0.5])}
    yardstick = Yardstick.parse("cider-d,rouge-l").standardised(values)
    assert yardstick.combined(values) == pytest.approx([-0.5, 0.5])


@given(
    st.lists(st.floats(0, 10), min_size=2, max_size=20),
    st.floats(0.1, 5),
    st.floats(0.1, 5),
)
def test_the_mean_of_what_it_was_standardised_on_is_zero(
    worth: list[float], one: float, other: float
) -> None:
    values = {"cider-d": np.array(worth), "rouge-l": np.array(worth)[::-1]}
    yardstick = Yardstick({"cider-d": one, "rouge-l": other}).standardised(values)
    assert yardstick.combined(values).mean() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("text", ["", "cider", "cider-d,cider-d", "cider-d=0", "cider-d=x"])
def test_what_is_no_metric_or_weight_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Yardstick.parse(text)


@pytest.mark.skipif(shutil.which("java") is None, reason="the tokeniser needs Java")
def test_captions_are_judged_by_the_metrics_themselves() -> None:
    captions, references = ["A dog runs.", "A cat."], [["A dog runs."], ["Two red cars."]]
    values = caption_values(captions, references, ["rouge-l", "cider-d"])
    assert values["rouge-l"].tolist() == [1.0, 0.0]
    assert values["cider-d"][0] > values["cider-d"][1] == 0
