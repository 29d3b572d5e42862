"""Maps are fitted on shares of the pictures as `mrag fit` fits them on all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from corpus.captions import CaptionTable
from corpus.examples import Examples
from engine.alignment.alignment import Alignment, PairMoments
from engine.errors import InvalidInput
from engine.identity import PictureIdentity
from engine.types import Vectors
from evaluation.ablation.clusters import LocalMaps
from evaluation.ablation.grid import MapChoice
from evaluation.ablation.study import Study, fit_map, orthogonality

DIM, PICTURES, EACH = 6, 200, 2


def rows(n: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(n, DIM)) + 0.5
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def examples(seed: int = 0) -> Examples:
    return Examples(
        tuple(PictureIdentity(f"{i:03}") for i in range(PICTURES)),
        tuple(f"{i:03}" for i in range(PICTURES)),
        ("",) * PICTURES,
        ("train",) * PICTURES,
        tuple((f"one {i}", f"two {i}") for i in range(PICTURES)),
        rows(PICTURES, seed),
        rows(PICTURES * EACH, seed + 1),
        np.repeat(np.arange(PICTURES), EACH),
    )


TRAINING = examples()


def test_all_pairs_give_the_map_of_their_moments() -> None:
    moments = PairMoments(DIM)
    moments.update(np.repeat(TRAINING.images, EACH, axis=0), TRAINING.captions)
    expected = Alignment.fit(moments, "ols")
    made = fit_map(TRAINING, MapChoice("ols"))
    assert isinstance(made, Alignment)
    assert made.n == PICTURES * EACH
    assert made.matrix == pytest.approx(expected.matrix, abs=1e-6)
    assert made.mean_text == pytest.approx(expected.mean_text, abs=1e-7)


def test_a_share_counts_pictures_with_all_their_captions() -> None:
    made = fit_map(TRAINING, MapChoice("ols", share=0.1))
    assert isinstance(made, Alignment)
    assert made.n == PICTURES * EACH / 10
    again = fit_map(TRAINING, MapChoice("ols", share=0.1))
    assert isinstance(again, Alignment)
    assert again.fingerprint == made.fingerprint
    smallest = fit_map(TRAINING, MapChoice("centred", share=0.001))
    assert isinstance(smallest, Alignment)
    assert smallest.n == 2 * EACH


def test_without_centring_nothing_is_taken_off() -> None:
    made = fit_map(TRAINING, MapChoice("ols", centring=False))
    assert isinstance(made, Alignment)
    assert made.mean_image is not None
    assert not made.mean_image.any()
    assert not made.mean_text.any()
    x = np.repeat(TRAINING.images, EACH, axis=0).astype(float)
    expected, *_ = np.linalg.lstsq(x, TRAINING.captions.astype(float), rcond=None)
    assert made.matrix == pytest.approx(expected, abs=1e-5)


def test_auto_chooses_on_held_out_pairs() -> None:
    made = fit_map(TRAINING, MapChoice("auto"))
    assert isinstance(made, Alignment)
    assert "held-out pairs in 5 folds" in made.reason


def test_clusters_are_maps_of_their_own() -> None:
    made = fit_map(TRAINING, MapChoice("shrink", clusters=3, prior=0.1))
    assert isinstance(made, LocalMaps)
    whole = fit_map(TRAINING, MapChoice("shrink"))
    assert np.array_equal(made.map_texts(TRAINING.captions), whole.map_texts(TRAINING.captions))
    apart = np.abs(made.map_images(TRAINING.images) - whole.map_images(TRAINING.images))
    assert apart.max() > 1e-3


def test_how_far_from_orthogonal() -> None:
    assert orthogonality(fit_map(TRAINING, MapChoice("procrustes"))) == pytest.approx(0, abs=1e-9)
    assert orthogonality(fit_map(TRAINING, MapChoice("centred"))) == 0
    ols = fit_map(TRAINING, MapChoice("ols"))
    assert isinstance(ols, Alignment)
    assert ols.matrix is not None
    values = np.linalg.svd(ols.matrix, compute_uv=False)
    assert orthogonality(ols) == pytest.approx(np.sqrt(((values**2 - 1) ** 2).sum()))
    assert orthogonality(fit_map(TRAINING, MapChoice("shrink", clusters=2, prior=1))) is None


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_shares_outside_0_to_1_are_refused(share: float) -> None:
    with pytest.raises(InvalidInput, match="share"):
        fit_map(TRAINING, MapChoice("ols", share=share))


def test_the_map_is_chosen_among_captions_of_no_picture_too() -> None:
    alone = fit_map(TRAINING, MapChoice("auto"))
    among = fit_map(TRAINING, MapChoice("auto"), rows(50, 9))
    assert isinstance(alone, Alignment)
    assert isinstance(among, Alignment)
    assert f"among {PICTURES} captions" in alone.reason
    assert f"among {PICTURES + 50} captions" in among.reason


def test_a_studys_fingerprint_tells_its_data_and_encoder_apart() -> None:
    index = CaptionTable(("a", "b"), rows(2, 5), ("1", ""))
    study = Study("shop", "spec", "id", TRAINING, index, TRAINING)
    said_else = CaptionTable(("a", "c"), rows(2, 5), ("1", ""))
    others = [
        replace(study, encoder_id="another id"),
        replace(study, training=examples(7)),
        replace(study, index=said_else),
        replace(study, examples=TRAINING.take([0, 1])),
        replace(study, distractors=rows(3, 6)),
    ]
    assert len({study.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert replace(study, name="other", encoder="other").fingerprint == study.fingerprint
