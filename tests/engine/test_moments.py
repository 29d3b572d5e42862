"""Moments: what they add up to, how they combine, and what they refuse."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.alignment.alignment import PairMoments
from engine.errors import AlignmentError

Rows = NDArray[np.float64]
DIM = 6
FIELDS = ("n", "image_sum", "text_sum", "image_image", "image_text")

seeds = st.integers(0, 2**32 - 1)


def unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def pairs(seed: int, n: int, dim: int = DIM) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (n, dim)), rng.normal(-0.5, 1, (n, dim))


def moments_of(images: Rows, captions: Rows, weights: Rows | None = None) -> PairMoments:
    moments = PairMoments(images.shape[1])
    moments.update(images, captions, weights)
    return moments


def assert_same(left: PairMoments, right: PairMoments, tolerance: float = 1e-12) -> None:
    for name in FIELDS:
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), atol=tolerance)


def test_they_are_the_sums_over_unit_rows() -> None:
    images, captions = pairs(0, 50)
    moments = moments_of(images, captions)
    x, t = unit(images), unit(captions)
    mean_image, mean_text = moments.means()
    s_xx, s_xt = moments.scatter()
    assert moments.n == 50
    np.testing.assert_allclose(mean_image, x.mean(axis=0))
    np.testing.assert_allclose(mean_text, t.mean(axis=0))
    np.testing.assert_allclose(s_xx, 50 * np.cov(x.T, bias=True), atol=1e-12)
    np.testing.assert_allclose(s_xt, (x - mean_image).T @ (t - mean_text), atol=1e-12)


def test_large_batches_are_summed_block_by_block() -> None:
    images, captions = pairs(1, 5000, 1024)
    whole = moments_of(images, captions)
    parts = PairMoments(1024)
    for start in range(0, 5000, 1000):
        parts.update(images[start : start + 1000], captions[start : start + 1000])
    assert_same(whole, parts, 1e-9)


@given(seeds, st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_a_weighted_mean_equals_a_row_per_caption(seed: int, counts: list[int]) -> None:
    images, _ = pairs(seed, len(counts))
    captions = unit(pairs(seed + 1, sum(counts))[1])
    of_image = np.repeat(np.arange(len(counts)), counts)
    means = np.stack([captions[of_image == i].mean(axis=0) for i in range(len(counts))])
    assert_same(
        moments_of(images, means, np.array(counts, dtype=float)),
        moments_of(images[of_image], captions),
    )


@given(seeds, seeds, seeds)
def test_they_merge_in_any_order_and_grouping(one: int, two: int, three: int) -> None:
    a, b, c = (moments_of(*pairs(seed, 4)) for seed in (one, two, three))
    assert_same(a + b, b + a)
    assert_same((a + b) + c, a + (b + c))


@given(seeds, st.integers(1, 20), st.integers(0, 20))
def test_the_parts_add_up_to_the_whole(seed: int, n: int, cut: int) -> None:
    images, captions = pairs(seed, n)
    whole = moments_of(images, captions)
    assert_same(
        moments_of(images[:cut], captions[:cut]) + moments_of(images[cut:], captions[cut:]), whole
    )


@given(seeds, st.integers(2, 20))
def test_the_order_of_pairs_does_not_matter(seed: int, n: int) -> None:
    images, captions = pairs(seed, n)
    order = np.random.default_rng(seed).permutation(n)
    assert_same(moments_of(images[order], captions[order]), moments_of(images, captions))


@given(seeds, seeds)
def test_withdrawing_undoes_adding(kept_seed: int, withdrawn_seed: int) -> None:
    kept, withdrawn = moments_of(*pairs(kept_seed, 5)), moments_of(*pairs(withdrawn_seed, 500))
    assert_same((kept + withdrawn) - withdrawn, kept, 1e-9)


@given(seeds, st.floats(1e-3, 1e3))
def test_the_length_of_rows_does_not_matter(seed: int, scale: float) -> None:
    images, captions = pairs(seed, 5)
    assert_same(moments_of(images * scale, captions / scale), moments_of(images, captions))


def test_adding_leaves_both_parts_as_they_were() -> None:
    a, b = moments_of(*pairs(1, 3)), moments_of(*pairs(2, 3))
    total = a + b
    total.update(*pairs(3, 3))
    assert_same(a, moments_of(*pairs(1, 3)))
    assert_same(b, moments_of(*pairs(2, 3)))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_narrow_rows_are_summed_to_single_precision(kind: type[np.floating]) -> None:
    images, captions = (rows.astype(kind) for rows in pairs(4, 5000, 64))
    moments = PairMoments(64)
    moments.update(images, captions)
    exact = moments_of(images.astype(float), captions.astype(float))
    assert moments.n == exact.n
    for name in FIELDS[1:]:
        found, wanted = getattr(moments, name), getattr(exact, name)
        assert found.dtype == np.float64
        assert np.linalg.norm(found - wanted) < 2e-7 * np.linalg.norm(wanted)


def test_sums_of_narrow_rows_do_not_grow_less_exact_with_their_number() -> None:
    images, captions = (rows.astype(np.float32) for rows in pairs(4, 300, DIM))
    once, often = PairMoments(DIM), PairMoments(DIM)
    once.update(images, captions)
    for _ in range(200):
        often.update(images, captions)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(often, name), 200 * getattr(once, name), rtol=1e-12)


@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_narrow_rows_may_be_of_any_length(length: float) -> None:
    images, captions = pairs(5, 30)
    images[7], captions[8] = 0, 0
    moments = PairMoments(DIM)
    moments.update((images * length).astype(np.float32), (captions / length).astype(np.float32))
    assert_same(moments, moments_of(images, captions), 1e-5)


def test_narrow_rows_that_are_not_finite_are_named_and_nothing_is_added() -> None:
    images, captions = (rows.astype(np.float16) for rows in pairs(8, 9000, 1024))
    captions[8999, 3] = np.inf
    moments = PairMoments(1024)
    with pytest.raises(AlignmentError, match="row 8999 of captions"):
        moments.update(images, captions)
    assert_same(moments, PairMoments(1024))


def test_a_mean_that_is_too_long_is_named_wherever_it_stands() -> None:
    images, captions = pairs(9, 9000, 1024)
    captions = unit(captions)
    captions[8990] *= 1.5
    with pytest.raises(AlignmentError, match=r"row 8990 of captions has length 1\.5"):
        PairMoments(1024).update(images, captions, np.ones(9000))


def test_pairs_with_a_zero_row_are_left_out() -> None:
    images, captions = pairs(5, 6)
    images[1] = 0
    captions[4] = 0
    kept = [0, 2, 3, 5]
    assert_same(moments_of(images, captions), moments_of(images[kept], captions[kept]))


def test_no_rows_and_weights_of_zero_add_nothing() -> None:
    moments = moments_of(*pairs(6, 3))
    moments.update(np.empty((0, DIM)), np.empty((0, DIM)))
    images, captions = pairs(7, 2)
    moments.update(images, unit(captions), np.zeros(2))
    assert_same(moments, moments_of(*pairs(6, 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["images", "captions"])
def test_rows_that_are_not_finite_are_named_and_nothing_is_added(side: str, value: float) -> None:
    images, captions = pairs(8, 5000, 1024)
    (images if side == "images" else captions)[4321, 7] = value
    moments = PairMoments(1024)
    with pytest.raises(AlignmentError, match=f"row 4321 of {side}"):
        moments.update(images, captions)
    assert_same(moments, PairMoments(1024))


def test_input_that_does_not_fit_is_refused() -> None:
    images, captions = pairs(9, 3)
    moments = PairMoments(DIM)
    with pytest.raises(AlignmentError, match=r"captions have dimension 4.*dimension 6"):
        moments.update(images, captions[:, :4])
    with pytest.raises(AlignmentError, match=r"3 image rows.*2 caption rows"):
        moments.update(images, captions[:2])
    with pytest.raises(AlignmentError, match="rows"):
        moments.update(images[0], captions[0])
    with pytest.raises(AlignmentError, match=r"weight -1 of row 2"):
        moments.update(images, unit(captions), [1, 1, -1])
    with pytest.raises(AlignmentError, match=r"weights have shape \(2,\)"):
        moments.update(images, unit(captions), [1, 1])
    with pytest.raises(AlignmentError, match=r"row 0 of captions has length 2"):
        moments.update(images, 2 * unit(captions), [1, 1, 1])
    with pytest.raises(AlignmentError, match="at least 1"):
        PairMoments(0)


def test_moments_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(AlignmentError, match="dimension 6 and 4"):
        PairMoments(6) + PairMoments(4)
    with pytest.raises(AlignmentError, match="cannot take 5 pairs out of 3"):
        moments_of(*pairs(1, 3)) - moments_of(*pairs(1, 5))


def test_fewer_than_two_pairs_have_no_scatter() -> None:
    with pytest.raises(AlignmentError, match="at least 2 pairs, there are 1"):
        moments_of(*pairs(1, 1)).scatter()


def test_they_are_saved_and_loaded_bit_for_bit(tmp_path: Path) -> None:
    moments = moments_of(*pairs(10, 9))
    path = tmp_path / "new folder" / "moments.safetensors"
    moments.save(path)
    loaded = PairMoments.load(path)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(moments, name))
    assert loaded.dim == DIM
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


@settings(max_examples=30)
@given(st.integers(0, 500))
def test_a_file_cut_short_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "moments.safetensors"
    moments_of(*pairs(11, 3)).save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(AlignmentError, match=r"moments\.safetensors"):
        PairMoments.load(path)


def test_a_missing_file_is_an_error_that_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(AlignmentError, match=r"there is no file .* mrag fit"):
        PairMoments.load(tmp_path / "none.safetensors")
