"""The modality gap: its picture, its numbers, what they are measured on, and that they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from engine.alignment.alignment import Alignment
from engine.alignment.hubs import Bank
from engine.collection import CollectionCard, CollectionFolder
from engine.compare import gap as gap_module
from engine.compare import gap_store
from engine.compare.gap import Gap, GapSample, measure, sign_test
from engine.compare.gap_store import GapKeeper
from engine.errors import CollectionMissing
from engine.identity import content_key
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_id,
    open_caption_store,
    open_image_store,
    picture_id,
)
from engine.types import CaptionPoint, CaptionSource, ImagePoint, Vectors

DIM = 8
PICTURES = 40


def unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def two_cones(n: int = PICTURES, per_picture: int = 2, noise: float = 0.01) -> GapSample:
    """Pictures and their captions with the same content, in two cones far apart."""
    rng = np.random.default_rng(0)
    content = rng.normal(size=(n, DIM)) * 0.3
    captions = np.repeat(content, per_picture, axis=0)
    captions += rng.normal(size=captions.shape) * noise
    shift = np.eye(DIM)[0] * 2
    owners = np.repeat(np.arange(n), per_picture)
    return GapSample(unit(content + shift), unit(captions - shift), owners, fitted=False)


def centring(sample: GapSample) -> Alignment:
    means = sample.images.mean(axis=0), sample.captions.mean(axis=0)
    return Alignment.from_means(*means, n_images=2, n_captions=2)


def test_centring_closes_the_gap_of_two_cones() -> None:
    sample = two_cones()
    gap = measure(sample, centring(sample))
    assert gap.raw.distance > 1.5
    assert gap.mapped.distance < 0.2
    assert gap.raw.matched < 0 < gap.mapped.matched
    assert gap.mapped.matched > gap.mapped.unmatched + 0.5
    assert gap.mapped.own_first > 0.9
    assert (gap.pictures, gap.own, gap.others, gap.judged) == (PICTURES, 2 * PICTURES, 0, PICTURES)


def test_the_numbers_are_those_of_a_full_scan() -> None:
    sample = two_cones(noise=0.3)
    owners = sample.owners.copy()
    owners[-3:] = -1  # captions of no picture
    sample = replace(sample, owners=owners)
    gap = measure(sample, centring(sample))
    own, other, first = [], [], []
    for i, image in enumerate(sample.images):
        cosines = [float(image @ caption) for caption in sample.captions]
        mine = [c for c, owner in zip(cosines, owners, strict=True) if owner == i]
        own += mine
        other += [c for c, owner in zip(cosines, owners, strict=True) if owner != i]
        first += [max(cosines) == max(mine)] if mine else []
    assert gap.raw.matched == pytest.approx(np.mean(own), abs=1e-5)
    assert gap.raw.unmatched == pytest.approx(np.mean(other), abs=1e-5)
    assert gap.raw.own_first == pytest.approx(np.mean(first))
    assert 0 < gap.raw.own_first < 1
    assert gap.others == 3
    assert gap.judged == len(first) == PICTURES - 1


def test_the_histograms_hold_every_cosine() -> None:
    sample = two_cones()
    gap = measure(sample, centring(sample))
    for side in (gap.raw, gap.mapped):
        assert side.matched_shares.sum() == pytest.approx(1)
        assert side.unmatched_shares.sum() == pytest.approx(1)
        centres = (gap.edges[1:] + gap.edges[:-1]) / 2
        width = gap.edges[1] - gap.edges[0]
        assert side.matched_shares @ centres == pytest.approx(side.matched, abs=width)


def test_the_first_axis_runs_along_the_gap_from_pictures_to_captions() -> None:
    sample = two_cones()
    gap = measure(sample, centring(sample))
    assert gap.raw.images[:, 0].max() < 0 < gap.raw.captions[:, 0].min()
    np.testing.assert_allclose(gap.raw.axes @ gap.raw.axes.T, np.eye(2), atol=1e-9)
    for image, point in zip(sample.images, gap.raw.images, strict=True):
        assert gap.raw.project(image) == pytest.approx(tuple(point), abs=1e-5)


def test_both_sides_are_drawn_on_the_same_axes_so_that_closing_is_seen() -> None:
    sample = two_cones()
    gap = measure(sample, centring(sample))
    np.testing.assert_array_equal(gap.raw.axes, gap.mapped.axes)
    for side in (gap.raw, gap.mapped):
        means = side.images.mean(axis=0), side.captions.mean(axis=0)
        np.testing.assert_allclose(means[0] + means[1], 0, atol=1e-6)  # centred between them
    before = gap.raw.captions[:, 0].mean() - gap.raw.images[:, 0].mean()
    after = gap.mapped.captions[:, 0].mean() - gap.mapped.images[:, 0].mean()
    assert before == pytest.approx(gap.raw.distance, abs=1e-5)  # all of it lies along the axis
    assert abs(after) < 0.1 * before


def test_clouds_that_lie_on_each_other_are_drawn_all_the_same() -> None:
    sample = two_cones(per_picture=1)
    same = replace(sample, captions=sample.images)
    gap = measure(same, centring(same))
    np.testing.assert_allclose(gap.raw.axes @ gap.raw.axes.T, np.eye(2), atol=1e-9)


def test_the_pictures_whose_answer_the_map_changes_are_named() -> None:
    sample = replace(two_cones(noise=0.3), ids=[f"picture {i}" for i in range(PICTURES)])
    alignment = centring(sample)
    gap = measure(sample, alignment)
    spaces = {
        "raw": (sample.images, sample.captions),
        "mapped": (alignment.map_images(sample.images), alignment.map_texts(sample.captions)),
    }
    first = {
        space: sample.owners[(images @ captions.T).argmax(axis=1)] == np.arange(PICTURES)
        for space, (images, captions) in spaces.items()
    }
    changed = {f"picture {i}" for i in np.flatnonzero(first["raw"] != first["mapped"])}
    assert gap.telling
    assert set(gap.telling) <= changed
    assert len(gap.telling) == min(len(changed), gap_module.TELLING)


def test_a_map_that_mixes_pictures_up_loses() -> None:
    sample = two_cones()
    good, rng = centring(sample), np.random.default_rng(1)
    bad = replace(good, method="ols", matrix=np.linalg.qr(rng.normal(size=(DIM, DIM)))[0])
    gap = measure(sample, bad)
    assert gap.winner == "raw"
    assert gap.raw_wins > gap.mapped_wins


def test_sides_that_are_the_same_have_no_winner() -> None:
    sample = two_cones()
    gap = measure(sample, replace(centring(sample), method="raw"))
    assert (gap.raw_wins, gap.mapped_wins, gap.winner) == (0, 0, None)


def test_without_pairs_there_are_clouds_and_a_distance_but_nothing_matched() -> None:
    sample = two_cones()
    gap = measure(replace(sample, owners=np.full(len(sample.owners), -1)), centring(sample))
    assert gap.judged == 0
    assert gap.winner is None
    assert isnan(gap.raw.matched)
    assert isnan(gap.raw.own_first)
    assert gap.raw.captions.shape == (PICTURES, 2)
    assert gap.raw.distance > 1.5


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_sign_test_is_the_binomial_test(a: int, b: int) -> None:
    expected = binomtest(a, a + b).pvalue if a + b else 1.0
    assert sign_test(a, b) == pytest.approx(expected, rel=1e-9)


# Sampling a collection, and keeping what was measured.


class Shop:
    """A collection's two stores, and the keeper of its gap."""

    def __init__(self, home: Path) -> None:
        card = CollectionCard("shop", "fake", "fake", DIM, "consensus")
        self.folder, settings = CollectionFolder(home, "shop"), Settings(home=home)
        self.images: ImageStore = open_image_store(self.folder, card, settings, create=True)
        self.captions: CaptionStore = open_caption_store(self.folder, card, settings, create=True)
        self.world = two_cones()
        self.alignment = centring(self.world)
        self.path = self.folder.path / "gap.safetensors"

    def put(self, i: int, split: str, source: CaptionSource = "human", said: bool = True) -> None:
        image, texts = self.world.images[i], [f"caption {i}", f"another {i}"]
        sha256 = f"{i:064x}"
        self.images.upsert(
            [
                ImagePoint(
                    picture_id(sha256), f"{i}.jpg", f"{i}.jpg", sha256, 2, 2, image, image,
                    captions=tuple(texts) if said else (), source=source, split=split,
                )
            ]
        )  # fmt: skip
        if said:
            self.put_captions(
                content_key(sha256), texts, self.world.captions[2 * i : 2 * i + 2], source
            )

    def put_captions(
        self, picture: str, texts: list[str], rows: Vectors, source: CaptionSource = "human"
    ) -> None:
        self.captions.upsert(
            [
                CaptionPoint(
                    caption_id(picture, text, source), text, row, row, picture, source=source
                )
                for text, row in zip(texts, rows, strict=True)
            ]
        )

    def keeper(self) -> GapKeeper:
        return GapKeeper(self.path, "shop", self.alignment)

    def gap(self, keeper: GapKeeper | None = None) -> Gap:
        return (keeper or self.keeper()).gap(self.images, [self.captions])


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.images.close()
    made.captions.close()


def test_pictures_that_the_map_has_not_seen_are_measured_where_there_are_enough(
    shop: Shop,
) -> None:
    for i in range(PICTURES):
        shop.put(i, "train" if i < PICTURES - gap_store.HELD_OUT else "val")
    gap = shop.gap()
    assert (gap.pictures, gap.own, gap.fitted) == (
        gap_store.HELD_OUT,
        2 * gap_store.HELD_OUT,
        False,
    )
    assert gap.others == 2 * (PICTURES - gap_store.HELD_OUT)


def test_else_all_are_measured_and_that_is_said(shop: Shop) -> None:
    for i in range(10):
        shop.put(i, "train" if i < 5 else "val")
    gap = shop.gap()
    assert (gap.pictures, gap.own, gap.others, gap.fitted) == (10, 20, 0, True)
    expected = measure(
        GapSample(
            shop.world.images[:10], shop.world.captions[:20], shop.world.owners[:20], fitted=True
        ),
        shop.alignment,
    )
    assert gap.raw.matched == pytest.approx(expected.raw.matched, abs=1e-3)
    assert gap.mapped.distance == pytest.approx(expected.mapped.distance, abs=1e-2)


def test_generated_captions_are_no_pairs(shop: Shop) -> None:
    for i in range(4):
        shop.put(i, "", source="generated")
    shop.put_captions("", ["a loose one"], shop.world.captions[20:21])
    gap = shop.gap()
    assert (gap.pictures, gap.own, gap.others, gap.judged) == (4, 0, 1, 0)
    assert not gap.fitted


def test_what_was_measured_is_kept_until_counts_change(shop: Shop) -> None:
    for i in range(6):
        shop.put(i, "val")
    keeper = shop.keeper()
    first = shop.gap(keeper)
    assert shop.gap(keeper) is first
    again = shop.gap()  # as another process would
    assert again.raw.distance == first.raw.distance
    np.testing.assert_array_equal(again.mapped.axes, first.mapped.axes)
    assert (again.fitted, again.mapped_wins) == (first.fitted, first.mapped_wins)
    assert again.telling == first.telling
    shop.put(6, "val")
    assert shop.gap(keeper).pictures == 7


def test_a_gap_that_was_kept_without_pairs_is_read_again(shop: Shop) -> None:
    shop.put(0, "", said=False)
    shop.put_captions("", ["a loose one"], shop.world.captions[:1])
    assert isnan(shop.gap().raw.matched)
    assert isnan(shop.gap().raw.matched)


def test_a_damaged_file_is_measured_again(shop: Shop) -> None:
    for i in range(6):
        shop.put(i, "val")
    first = shop.gap()
    shop.path.write_bytes(b"nonsense")
    assert shop.gap().raw.distance == first.raw.distance


def test_a_collection_without_captions_has_no_gap_to_show(shop: Shop) -> None:
    shop.put(0, "", said=False)
    with pytest.raises(CollectionMissing, match="mrag ingest SOURCE --collection shop"):
        shop.gap()


def test_own_captions_stand_higher_where_hubs_are_taken_off() -> None:
    """One caption is near to every picture, and the nearest of most."""
    rng = np.random.default_rng(4)
    drawn = rng.standard_normal((2, 40, 12)).astype(np.float32)
    pictures = unit(drawn[0] + np.float32(1.2))
    captions = unit(pictures + drawn[1] * np.float32(0.9 / np.sqrt(12)))
    hub = unit(pictures.mean(axis=0, keepdims=True))
    numbers = np.arange(1, 41, dtype=np.uint64)
    sample = GapSample(
        pictures, np.concatenate([captions, hub]), np.append(np.arange(40), -1), False, (), numbers
    )
    raw = Alignment("raw", 12, np.zeros(12), np.zeros(12))
    bank = Bank(pictures.astype(np.float16), numbers, captions.astype(np.float16), numbers)
    found = measure(sample, replace(raw, bank=bank, hub_strength=0.75))
    near = sample.captions @ pictures.T
    near[np.arange(40), np.arange(40)] = -9
    scores = pictures @ sample.captions.T - 0.75 * np.sort(near, axis=1)[:, -16:].mean(axis=1)
    assert found.mapped.own_first == np.mean(scores.argmax(axis=1) == np.arange(40))
    assert found.raw.own_first == measure(sample, raw).mapped.own_first
    assert found.mapped.own_first > found.raw.own_first + 0.2
    assert found.mapped.matched == pytest.approx(found.raw.matched, abs=1e-6)
