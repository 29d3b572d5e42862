"""The map: equal to other people's solvers, sane at its limits, honest about its choice."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import LinearRegression, Ridge

from engine.alignment.alignment import Alignment, Choice, Fold, Method, PairMoments
from engine.alignment.cross_validation import best_of_each
from engine.errors import AlignmentError
from engine.types import Vectors

Rows = NDArray[np.float64]
METHODS: tuple[Method, ...] = ("raw", "centred", "shrink", "ridge", "procrustes", "ols")
LEARNED: tuple[Method, ...] = ("shrink", "ridge", "procrustes", "ols")
DIM = 8

seeds = st.integers(0, 2**32 - 1)


def unit(rows: Rows) -> Rows:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1))


def paired(seed: int, n: int, dim: int = DIM, noise: float = 0.3) -> tuple[Rows, Rows]:
    """Unit rows in two cones: a picture and its caption share a meaning in the same frame."""
    rng = np.random.default_rng(seed)
    meaning = rng.normal(size=(n, dim))
    gap = np.eye(dim)[0] * 3
    images = meaning + noise * rng.normal(size=(n, dim)) + gap
    captions = meaning + noise * rng.normal(size=(n, dim)) - gap
    return unit(images), unit(captions)


def rotated(seed: int, n: int, dim: int = DIM) -> tuple[Rows, Rows]:
    """As `paired`, but captions live in another frame: only a learned map can match them."""
    images, captions = paired(seed, n, dim, noise=0.05)
    rotation, _ = np.linalg.qr(np.random.default_rng(7).normal(size=(dim, dim)))
    return images, captions @ rotation


def moments_of(images: Rows, captions: Rows) -> PairMoments:
    moments = PairMoments(images.shape[1])
    moments.update(images, captions)
    return moments


def folds_of(images: Rows, captions: Rows, count: int = 5) -> list[Fold]:
    parts = np.array_split(np.arange(len(images)), count)
    return [
        Fold(
            moments_of(images[part], captions[part]),
            images[part].astype(np.float32),
            captions[part].astype(np.float32),
        )
        for part in parts
    ]


def fit(images: Rows, captions: Rows, method: Method, strength: float | None = None) -> Alignment:
    return Alignment.fit(moments_of(images, captions), method, strength=strength)


def matrix_of(alignment: Alignment) -> Rows:
    assert alignment.matrix is not None
    return alignment.matrix


def recall(alignment: Alignment, images: Rows, captions: Rows) -> float:
    cosines = alignment.map_images(images) @ alignment.map_texts(captions).T
    return float((cosines.argmax(axis=1) == np.arange(len(images))).mean())


# --- equal to what others compute -------------------------------------------------------


def test_ols_equals_numpy_and_scikit_learn() -> None:
    x, t = paired(0, 200)
    expected = np.linalg.lstsq(x - x.mean(0), t - t.mean(0), rcond=None)[0]
    np.testing.assert_allclose(matrix_of(fit(x, t, "ols")), expected, atol=1e-6)
    np.testing.assert_allclose(
        matrix_of(fit(x, t, "ols")), LinearRegression().fit(x, t).coef_.T, atol=1e-6
    )


def test_ols_with_fewer_pairs_than_dimensions_is_the_shortest_solution() -> None:
    x, t = paired(1, 12, dim=40)
    expected = np.linalg.lstsq(x - x.mean(0), t - t.mean(0), rcond=None)[0]
    np.testing.assert_allclose(matrix_of(fit(x, t, "ols")), expected, atol=1e-6)


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("n", [5, 200])
def test_ridge_equals_scikit_learn(n: int, strength: float) -> None:
    x, t = paired(2, n)
    alpha = strength * np.trace(np.cov(x.T, bias=True)) * n / DIM
    expected = Ridge(alpha=alpha).fit(x, t).coef_.T
    np.testing.assert_allclose(matrix_of(fit(x, t, "ridge", strength)), expected, atol=1e-6)


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_shrink_equals_ridge_on_what_the_scaled_identity_leaves(strength: float) -> None:
    x, t = paired(3, 200)
    x_centred, t_centred = x - x.mean(0), t - t.mean(0)
    spread = np.trace(x_centred.T @ x_centred)
    gain = np.trace(x_centred.T @ t_centred) / spread
    ridge = Ridge(alpha=strength * spread / DIM).fit(x_centred, t_centred - gain * x_centred)
    expected = ridge.coef_.T + gain * np.eye(DIM)
    np.testing.assert_allclose(matrix_of(fit(x, t, "shrink", strength)), expected, atol=1e-6)


def test_procrustes_equals_scipy() -> None:
    x, t = rotated(4, 200)
    expected, _ = orthogonal_procrustes(x - x.mean(0), t - t.mean(0))
    np.testing.assert_allclose(matrix_of(fit(x, t, "procrustes")), expected, atol=1e-6)


def test_captions_by_weight_fit_as_captions_by_row() -> None:
    x, t = paired(5, 60)
    by_row, by_weight = PairMoments(DIM), PairMoments(DIM)
    by_row.update(np.repeat(x[:20], 3, axis=0), t)
    by_weight.update(x[:20], t.reshape(20, 3, DIM).mean(axis=1), np.full(20, 3))
    for method in LEARNED:
        np.testing.assert_allclose(
            matrix_of(Alignment.fit(by_row, method)),
            matrix_of(Alignment.fit(by_weight, method)),
            atol=1e-9,
        )


# --- limits and shapes ------------------------------------------------------------------


def test_weak_shrinkage_goes_to_ols_and_strong_shrinkage_to_centring() -> None:
    x, t = paired(6, 200)
    weak, strong = fit(x, t, "shrink", 1e-10), fit(x, t, "shrink", 1e10)
    np.testing.assert_allclose(matrix_of(weak), matrix_of(fit(x, t, "ols")), atol=1e-6)
    centred = fit(x, t, "centred")
    np.testing.assert_allclose(strong.map_images(x), centred.map_images(x), atol=1e-6)


@given(seeds, st.integers(3, 30))
def test_procrustes_is_orthogonal(seed: int, n: int) -> None:
    matrix = matrix_of(fit(*paired(seed, n), "procrustes"))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(DIM), atol=1e-9)


def test_procrustes_leaves_directions_without_evidence_alone() -> None:
    frame, _ = np.linalg.qr(np.random.default_rng(8).normal(size=(6, 6)))
    seen, unseen = frame[:, :3], frame[:, 3:]
    x, t = rotated(8, 20, dim=3)
    matrix = matrix_of(fit(x @ seen.T, t @ seen.T, "procrustes"))
    np.testing.assert_allclose(unseen.T @ matrix, unseen.T, atol=1e-5)


@given(seeds, st.sampled_from(METHODS), st.integers(2, 20))
def test_mapped_rows_are_finite_unit_rows_even_with_few_pairs(
    seed: int, method: Method, n: int
) -> None:
    alignment = fit(*paired(seed, n), method)
    images, captions = paired(seed + 1, 10)
    for mapped in (alignment.map_images(images), alignment.map_texts(captions)):
        assert mapped.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-5)


@given(seeds, st.sampled_from(METHODS), st.floats(1e-3, 1e3))
def test_the_length_of_mapped_rows_does_not_matter(seed: int, method: Method, scale: float) -> None:
    images, captions = paired(seed, 20)
    alignment = fit(images, captions, method)
    np.testing.assert_allclose(
        alignment.map_images(images * scale), alignment.map_images(images), atol=1e-5
    )


def test_the_map_is_what_the_formula_says() -> None:
    x, t = paired(9, 100)
    ols = fit(x, t, "ols")
    expected = unit((x - x.mean(0)) @ matrix_of(ols))
    np.testing.assert_allclose(ols.map_images(x), expected, atol=1e-6)
    np.testing.assert_allclose(ols.map_texts(t), unit(t - t.mean(0)), atol=1e-6)
    raw = fit(x, t, "raw")
    np.testing.assert_allclose(raw.map_images(5 * x), x, atol=1e-6)
    np.testing.assert_allclose(raw.map_texts(5 * t), t, atol=1e-6)


def test_each_row_is_mapped_on_its_own_also_across_blocks() -> None:
    x, t = paired(10, 5000, dim=1024)
    alignment = fit(x[:50], t[:50], "centred")
    whole = alignment.map_images(x)
    np.testing.assert_allclose(whole[4990:], alignment.map_images(x[4990:]), atol=1e-6)
    assert alignment.map_images(np.empty((0, 1024))).shape == (0, 1024)


@pytest.mark.parametrize("method", METHODS)
def test_zero_rows_stay_zero(method: Method) -> None:
    x, t = paired(11, 30)
    alignment = fit(x, t, method)
    x[3] = t[3] = 0
    for mapped in (alignment.map_images(x), alignment.map_texts(t)):
        np.testing.assert_array_equal(np.flatnonzero(~mapped.any(axis=1)), [3])


# --- auto -------------------------------------------------------------------------------


def test_auto_leaves_vectors_alone_that_have_no_gap() -> None:
    rng = np.random.default_rng(12)
    meaning = rng.normal(size=(300, DIM))
    x, t = unit(meaning + 0.1 * rng.normal(size=meaning.shape)), unit(meaning)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    assert alignment.method == "raw"
    assert alignment.matrix is None


def test_auto_centres_where_only_the_means_differ() -> None:
    rng = np.random.default_rng(13)
    meaning = rng.normal(size=(300, 32))
    offset = 0.7 * rng.normal(size=32)
    x = unit(meaning + 0.5 * rng.normal(size=meaning.shape) + offset)
    t = unit(meaning + 0.5 * rng.normal(size=meaning.shape) - offset)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    assert alignment.method == "centred"


def test_auto_learns_a_rotation_and_serves_new_pairs_with_it() -> None:
    x, t = rotated(14, 400)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    assert alignment.method in LEARNED
    new_x, new_t = rotated(15, 100)
    assert recall(alignment, new_x, new_t) > 0.8
    assert recall(fit(x, t, "centred"), new_x, new_t) < 0.2


def top(cosines: NDArray[np.floating]) -> Rows:
    """The mean of the 16 largest of each row."""
    return np.asarray(np.sort(cosines, axis=1)[:, -16:].mean(axis=1))


def test_the_table_of_auto_is_what_held_out_pairs_say() -> None:
    """By hand: fitted without the fold, told from all captions, and back from its pictures."""
    x, t = rotated(16, 60)
    _, loose = rotated(28, 40)
    folds = folds_of(x, t, 3)
    total = moments_of(x, t)
    alignment = Alignment.fit(total, folds=folds, distractors=loose.astype(np.float32))
    for choice in alignment.choices:
        scores = []
        for fold in folds:
            trained = Alignment.fit(total - fold.moments, choice.method, strength=choice.strength)
            others = [one for one in folds if one is not fold]
            seen, said = (
                np.concatenate([getattr(one, kind) for one in others])
                for kind in ("images", "captions")
            )
            mapped, own = trained.map_images(fold.images), trained.map_texts(fold.captions)
            every = trained.map_texts(np.concatenate([fold.captions, said, loose]))
            bank = trained.map_images(seen)
            near = every @ bank.T
            for at in range(len(said)):  # what their own pictures say of the bank's captions
                near[len(own) + at, at] = -9
            to_caption = mapped @ every.T - choice.hub_strength * top(near)
            hubs = choice.hub_strength * top(mapped @ trained.map_texts(said).T)
            to_picture = own @ mapped.T - hubs
            for corrected in (to_caption, to_picture):
                partner = np.diag(corrected)[:, None]
                scores.append((1 / (corrected >= partner - 1e-6).sum(axis=1)).mean())
        assert choice.score == pytest.approx(np.mean(scores), abs=2e-3)
    assert {choice.hub_strength for choice in alignment.choices} == {0, 0.25, 0.5, 0.75}
    assert "60 held-out pairs in 3 folds, among 100 captions" in alignment.reason


def shifted(seed: int, n: int) -> tuple[Rows, Rows, Vectors]:
    """Pairs of a domain whose pictures all lie aside, and 1,000 captions of other meanings."""
    rng = np.random.default_rng(seed)
    meaning = rng.normal(size=(n + 1000, 24))
    captions = unit(meaning + 0.3 * rng.normal(size=meaning.shape))
    images = meaning[:n] + 0.3 * rng.normal(size=(n, 24))
    return unit(images + 5 * np.eye(24)[0]), captions[:n], captions[n:].astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_a_shift_that_few_pairs_cannot_show_is_seen_among_other_captions(seed: int) -> None:
    x, t, loose = shifted(seed, 20)
    few = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    many = Alignment.fit(moments_of(x, t), folds=folds_of(x, t), distractors=loose)
    assert few.method == "raw"
    assert few.choices[0].score > 0.95
    assert many.method == "centred"
    assert many.choices[0].score < 0.95
    new_x, new_t, others = shifted(seed + 100, 100)
    every = np.concatenate([new_t, others])
    hits = [
        (one.map_images(new_x) @ one.map_texts(every).T).argmax(axis=1) == np.arange(100)
        for one in (few, many)
    ]
    assert hits[1].mean() > hits[0].mean() + 0.1


def test_other_captions_decide_which_map_is_taken_and_nothing_else() -> None:
    x, t, loose = shifted(5, 60)
    total, folds = moments_of(x, t), folds_of(x, t)
    alone = Alignment.fit(total, "shrink", strength=0.1)
    assert (
        Alignment.fit(total, "shrink", strength=0.1, folds=folds, distractors=loose).fingerprint
        == alone.fingerprint
    )
    auto = Alignment.fit(total, folds=folds, distractors=loose)
    named = Alignment.fit(total, auto.method, strength=auto.strength)
    assert auto.fingerprint == named.fingerprint
    assert auto.choices == Alignment.fit(total, folds=folds, distractors=loose[::-1]).choices


def test_however_many_pairs_the_captions_of_other_folds_are_bounded() -> None:
    x, t = paired(31, 2200, dim=4)
    alignment = Alignment.fit(moments_of(x, t), "ridge", folds=folds_of(x, t, 2))
    assert "2200 held-out pairs in 2 folds, among 2100 captions" in alignment.reason


def test_auto_takes_the_simplest_map_within_one_standard_error_of_the_best() -> None:
    x, t = rotated(17, 200)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    plain = [choice for choice in alignment.choices if not choice.hub_strength]
    best = max(choice.score for choice in plain)
    picked = next(
        at
        for at, choice in enumerate(plain)
        if (choice.method, choice.strength) == (alignment.method, alignment.strength)
    )
    assert plain[picked].difference <= plain[picked].standard_error
    for choice in plain:
        assert choice.difference == pytest.approx(best - choice.score)
    for simpler in plain[:picked]:
        assert simpler.difference > simpler.standard_error
    order = [(METHODS.index(c.method), -(c.strength or 0)) for c in plain]
    assert order == sorted(order)
    assert {choice.method for choice in alignment.choices} == set(METHODS)
    assert alignment.method in alignment.reason
    assert "200 held-out pairs in 5 folds" in alignment.reason


def hubby(seed: int, n: int, dim: int = 48) -> tuple[Rows, Rows]:
    """Pairs of which some captions and pictures lie near the middle of all others."""
    rng = np.random.default_rng(seed)
    meaning, middle = rng.normal(size=(n, dim)), 3 * rng.normal(size=dim) / np.sqrt(dim)
    pull = rng.exponential(1.5, size=(2, n, 1)) * middle
    noise = 0.9 * rng.normal(size=(2, n, dim))
    return unit(meaning + noise[0] + pull[0]), unit(meaning + noise[1] + pull[1])


def test_auto_takes_hubs_off_where_that_is_clearly_better() -> None:
    x, t = hubby(1, 300)
    hubs = Alignment.fit(moments_of(x, t), "raw", folds=folds_of(x, t))
    assert hubs.hub_strength > 0
    assert f"with hub correction {hubs.hub_strength:g}" in hubs.reason
    (chosen,) = [choice for choice in hubs.choices if choice.chosen]
    assert (chosen.method, chosen.hub_strength) == ("raw", hubs.hub_strength)
    rows = {choice.hub_strength: choice.score for choice in hubs.choices}
    assert rows[hubs.hub_strength] > rows[0.0] + 0.01
    # Nothing is known of it without pairs to tell by, and what is right already stays as it is.
    assert fit(x, t, "raw").hub_strength == 0
    assert Alignment.fit(moments_of(x, x), "raw", folds=folds_of(x, x)).hub_strength == 0


def test_of_each_method_the_chosen_row_is_shown_or_else_the_best() -> None:
    table = [
        Choice("raw", None, 0.5, 0.4, 0.1),
        Choice("shrink", 10, 0.8, 0.1, 0.2, chosen=True),
        Choice("shrink", 1, 0.9, 0, 0),
        Choice("ridge", 10, 0.2, 0.7, 0.1),
        Choice("ridge", 1, 0.3, 0.6, 0.1),
    ]
    assert best_of_each(table) == [table[0], table[1], table[4]]


def test_a_map_that_sends_all_to_one_point_scores_nothing() -> None:
    x, _ = paired(18, 100)
    t = np.tile(np.eye(DIM)[0], (100, 1))
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    assert all(choice.score < 0.2 for choice in alignment.choices)


def test_ridge_and_shrink_choose_their_strength_on_folds() -> None:
    x, t = rotated(19, 300)
    alignment = Alignment.fit(moments_of(x, t), "shrink", folds=folds_of(x, t))
    assert {choice.method for choice in alignment.choices} == {"shrink"}
    assert alignment.strength is not None
    assert alignment.strength <= 1
    assert alignment.strength < (fit(x, t, "shrink").strength or 0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_auto_with_too_few_pairs_to_judge_learns_nothing(count: int) -> None:
    x, t = rotated(20, 2)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t, count))
    assert alignment.method == "raw"
    assert "too few" in alignment.reason


def test_one_fold_is_too_few_to_judge() -> None:
    x, t = rotated(20, 50)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t)[:1])
    assert (alignment.method, alignment.choices) == ("raw", ())


def test_auto_skips_empty_folds() -> None:
    x, t = rotated(21, 6)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t, 10))
    assert "6 held-out pairs in 6 folds" in alignment.reason


def test_auto_without_folds_says_what_it_needs() -> None:
    with pytest.raises(AlignmentError, match="give folds"):
        Alignment.fit(moments_of(*paired(22, 10)))


# --- refused input ----------------------------------------------------------------------


def test_what_cannot_be_fitted_is_refused() -> None:
    x, t = paired(23, 10)
    moments = moments_of(x, t)
    with pytest.raises(AlignmentError, match="at least 2 pairs, there are 1"):
        fit(x[:1], t[:1], "raw")
    with pytest.raises(AlignmentError, match="pictures of all 10 pairs are the same"):
        fit(np.tile(x[:1], (10, 1)), t, "ols")
    with pytest.raises(AlignmentError, match=r"unknown method 'magic'.*procrustes"):
        Alignment.fit(moments, "magic")
    for strength in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(AlignmentError, match="strength above 0"):
            Alignment.fit(moments, "ridge", strength=strength)
    with pytest.raises(AlignmentError, match="ols takes no strength"):
        Alignment.fit(moments, "ols", strength=1.0)
    with pytest.raises(AlignmentError, match="auto chooses the strength"):
        Alignment.fit(moments, strength=1.0, folds=folds_of(x, t))


def test_folds_that_do_not_fit_are_refused() -> None:
    x, t = paired(24, 10)
    moments = moments_of(x, t)
    short = x.astype(np.float32), t[:5].astype(np.float32)
    with pytest.raises(AlignmentError, match="10 images and 5 captions"):
        Alignment.fit(moments, folds=[Fold(moments_of(x[:5], t[:5]), *short)])
    with pytest.raises(AlignmentError, match="distractors have dimension 5"):
        Alignment.fit(moments, folds=folds_of(x, t), distractors=np.ones((3, 5), np.float32))
    with pytest.raises(AlignmentError, match="cannot take 20 pairs out of 10"):
        Alignment.fit(moments, folds=folds_of(np.tile(x, (4, 1)), np.tile(t, (4, 1)), 2))


def test_what_cannot_be_mapped_is_refused() -> None:
    alignment = fit(*paired(25, 10), "ols")
    with pytest.raises(AlignmentError, match=r"images have dimension 5.*dimension 8"):
        alignment.map_images(np.ones((2, 5)))
    with pytest.raises(AlignmentError, match="texts must be rows"):
        alignment.map_texts(np.ones(8))
    rows = np.ones((6000, 8))
    rows[5123, 2] = np.nan
    with pytest.raises(AlignmentError, match=r"row 5123 of texts .*1 of 6000"):
        alignment.map_texts(rows)


# --- unpaired means ---------------------------------------------------------------------


def test_unpaired_means_give_the_centred_map() -> None:
    x, t = paired(26, 50)
    unpaired = Alignment.from_means(
        x.mean(0), t.mean(0), n_images=50, n_captions=50, encoder_id="e", source="s"
    )
    paired_map = fit(x, t, "centred")
    np.testing.assert_array_equal(unpaired.map_images(x), paired_map.map_images(x))
    np.testing.assert_array_equal(unpaired.map_texts(t), paired_map.map_texts(t))
    assert (unpaired.method, unpaired.n, unpaired.encoder_id) == ("centred", 0, "e")
    assert "50 pictures and 50 captions" in unpaired.reason


def test_a_map_of_captions_only_waits_for_pictures(tmp_path: Path) -> None:
    x, t = paired(27, 50)
    alignment = Alignment.from_means(None, t.mean(0), n_images=0, n_captions=50)
    alignment.save(tmp_path / "map")
    captions_only = Alignment.load(tmp_path / "map")
    np.testing.assert_allclose(captions_only.map_texts(t), unit(t - t.mean(0)), atol=1e-6)
    with pytest.raises(AlignmentError, match="captions only"):
        captions_only.map_images(x)
    complete = captions_only.with_image_mean(x.mean(0), 50)
    np.testing.assert_array_equal(complete.map_images(x), fit(x, t, "centred").map_images(x))
    assert (complete.n_images, complete.n_captions) == (50, 50)
    assert complete.fingerprint != captions_only.fingerprint


def test_means_of_another_dimension_or_not_finite_are_refused() -> None:
    alignment = Alignment.from_means(None, np.ones(8) / 8, n_images=0, n_captions=3)
    with pytest.raises(AlignmentError, match=r"pictures has shape \(5,\), not \(8,\)"):
        alignment.with_image_mean(np.ones(5), 2)
    with pytest.raises(AlignmentError, match=r"length 2\.828"):
        alignment.with_image_mean(np.ones(8), 2)
    with pytest.raises(AlignmentError, match="captions is not finite"):
        Alignment.from_means(None, np.full(8, np.nan), n_images=0, n_captions=3)


# --- files ------------------------------------------------------------------------------

PLAIN_FIELDS = (
    "method",
    "dim",
    "strength",
    "n",
    "n_images",
    "n_captions",
    "encoder_id",
    "source",
    "choices",
    "reason",
    "created",
    "program",
    "fingerprint",
)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_saved_and_loaded_bit_for_bit(tmp_path: Path, method: Method) -> None:
    x, t = paired(28, 40)
    alignment = Alignment.fit(
        moments_of(x, t), method, encoder_id="ViT-B-32/tag", source="COCO Größe"
    )
    path = tmp_path / "map.safetensors"
    alignment.save(path)
    loaded = Alignment.load(path)
    for name in PLAIN_FIELDS:
        assert getattr(loaded, name) == getattr(alignment, name)
    np.testing.assert_array_equal(loaded.map_images(x), alignment.map_images(x))
    np.testing.assert_array_equal(loaded.map_texts(t), alignment.map_texts(t))
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert alignment.program.startswith("mrag")
    assert alignment.created


def test_the_table_of_auto_is_kept_in_the_file(tmp_path: Path) -> None:
    x, t = rotated(29, 60)
    alignment = Alignment.fit(moments_of(x, t), folds=folds_of(x, t))
    alignment.save(tmp_path / "map")
    loaded = Alignment.load(tmp_path / "map")
    assert loaded.choices == alignment.choices
    assert loaded.reason == alignment.reason


def test_equal_maps_have_equal_fingerprints() -> None:
    x, t = paired(30, 40)
    moments = moments_of(x, t)
    one = Alignment.fit(moments, "ols", encoder_id="a")
    assert one.fingerprint == Alignment.fit(moments, "ols", encoder_id="a").fingerprint
    others = [
        Alignment.fit(moments, "ols", encoder_id="b"),
        Alignment.fit(moments, "procrustes", encoder_id="a"),
        Alignment.fit(moments, "centred", encoder_id="a"),
        Alignment.fit(moments, "raw", encoder_id="a"),
        fit(x[1:], t[1:], "ols"),
    ]
    assert len({alignment.fingerprint for alignment in [one, *others]}) == 6


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    x, t = paired(31, 40)
    target = tmp_path / "map"
    target.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match="map"):
        fit(x, t, "ols").save(target)
    assert list(tmp_path.iterdir()) == [target]


def test_files_that_hold_no_map_are_refused(tmp_path: Path) -> None:
    x, t = paired(32, 10)
    absent, text, foreign = tmp_path / "absent", tmp_path / "text", tmp_path / "foreign"
    text.write_text("not a map")
    save_file({"weight": np.ones(3)}, foreign)
    with pytest.raises(AlignmentError, match=r"there is no file .*absent.*mrag fit"):
        Alignment.load(absent)
    with pytest.raises(AlignmentError, match="text cannot be read"):
        Alignment.load(text)
    with pytest.raises(AlignmentError, match="foreign is not a file of kind"):
        Alignment.load(foreign)
    moments_of(x, t).save(tmp_path / "moments")
    with pytest.raises(AlignmentError, match="mrag-pair-moments"):
        Alignment.load(tmp_path / "moments")


@pytest.mark.parametrize(
    ("tensors", "about"),
    [
        ({}, '{"choices": []}'),
        ({"mean_text": np.ones(3)}, "not json"),
        ({"mean_text": np.ones(3)}, '{"method": "centred", "dim": 4, "choices": []}'),
        ({"mean_text": np.ones(3)}, '{"method": "ols", "dim": 3, "choices": []}'),
        ({"mean_text": np.ones(3)}, '{"method": "magic", "dim": 3, "choices": []}'),
        ({"mean_text": np.array([1, np.nan, 1])}, '{"method": "raw", "dim": 3, "choices": []}'),
        ({"mean_text": np.ones(3)}, '{"method": "raw", "dim": "3", "choices": []}'),
        ({"mean_text": np.ones(3)}, '{"method": "raw", "dim": 3, "choices": [{"a": 1}]}'),
    ],
)
def test_damaged_maps_are_refused(tmp_path: Path, tensors: dict[str, Rows], about: str) -> None:
    path = tmp_path / "damaged"
    save_file(tensors, path, metadata={"kind": "mrag-alignment/1", "alignment": about})
    with pytest.raises(AlignmentError, match="damaged"):
        Alignment.load(path)
