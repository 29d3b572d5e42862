"""Maps of clusters lie between the map of all and those of their own pairs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.alignment.alignment import Alignment, PairMoments
from engine.errors import InvalidInput
from engine.types import Vectors
from evaluation.ablation.clusters import LocalMaps, cluster_centres, nearest_centre, scaled

DIM = 6


def rows(n: int, seed: int) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(n, DIM))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def moments(images: Vectors, captions: Vectors) -> PairMoments:
    made = PairMoments(DIM)
    made.update(images, captions)
    return made


IMAGES, CAPTIONS = rows(120, 0), rows(120, 1)
CENTRES = cluster_centres(IMAGES, 3)
assigned = nearest_centre(IMAGES, CENTRES)
PARTS = [moments(IMAGES[assigned == c], CAPTIONS[assigned == c]) for c in range(3)]
WHOLE = Alignment.fit(moments(IMAGES, CAPTIONS), "ridge", strength=0.1)


def test_a_heavy_prior_is_the_map_of_all() -> None:
    local = LocalMaps.fit(WHOLE, PARTS, CENTRES, prior=1e12)
    assert local.map_images(IMAGES) == pytest.approx(WHOLE.map_images(IMAGES), abs=1e-4)
    assert np.array_equal(local.map_texts(CAPTIONS), WHOLE.map_texts(CAPTIONS))


def test_a_light_prior_is_the_clusters_own_regression() -> None:
    """Against ridge regression with an intercept on the cluster's pairs alone."""
    own = assigned == 1
    x, t = IMAGES[own].astype(float), CAPTIONS[own].astype(float)
    xc, tc = x - x.mean(0), t - t.mean(0)
    penalty = 0.1 * np.trace(xc.T @ xc) / DIM
    weights = np.linalg.solve(xc.T @ xc + penalty * np.eye(DIM), xc.T @ tc)
    predicted = xc @ weights + t.mean(0) - WHOLE.mean_text
    predicted /= np.linalg.norm(predicted, axis=1, keepdims=True)
    many = [scaled(part, 1e9) for part in PARTS]
    local = LocalMaps.fit(WHOLE, many, CENTRES, prior=2)
    assert local.map_images(IMAGES[own]) == pytest.approx(predicted, abs=1e-4)


def test_one_cluster_is_the_map_of_all() -> None:
    total = PARTS[0] + PARTS[1] + PARTS[2]
    local = LocalMaps.fit(WHOLE, [total], CENTRES[:1], prior=50)
    assert local.map_images(IMAGES) == pytest.approx(WHOLE.map_images(IMAGES), abs=1e-5)


def test_clusters_with_maps_of_their_own_are_told_apart() -> None:
    """Two groups that need opposite maps: one map fits neither, two fit both."""
    rng = np.random.default_rng(3)
    base = rng.normal(size=(200, DIM))
    sides = np.repeat([5.0, -5.0], 100)
    base[:, 0] = sides
    x = base / np.linalg.norm(base, axis=1, keepdims=True)
    t = x.copy()
    t[sides < 0, 1:] *= -1
    centres = cluster_centres(x.astype(np.float32), 2)
    own = nearest_centre(x, centres)
    parts = [moments(x[own == c], t[own == c]) for c in range(2)]
    whole = Alignment.fit(parts[0] + parts[1], "ridge", strength=1e-3)
    local = LocalMaps.fit(whole, parts, centres, prior=2)
    captions = whole.map_texts(t)
    assert (local.map_images(x) * captions).sum(1).mean() > 0.99
    assert (whole.map_images(x) * captions).sum(1).mean() < 0.99


def test_centres_come_back_from_their_seed() -> None:
    assert np.array_equal(cluster_centres(IMAGES, 4, seed=1), cluster_centres(IMAGES, 4, seed=1))


def test_what_cannot_be_clustered_is_refused() -> None:
    with pytest.raises(InvalidInput, match="121 clusters of 120"):
        cluster_centres(IMAGES, 121)
    with pytest.raises(InvalidInput, match="prior"):
        LocalMaps.fit(WHOLE, PARTS, CENTRES, prior=1)
    raw = Alignment.fit(moments(IMAGES, CAPTIONS), "raw")
    with pytest.raises(InvalidInput, match="raw"):
        LocalMaps.fit(raw, PARTS, CENTRES, prior=10)
