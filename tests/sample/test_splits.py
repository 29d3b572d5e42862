"""What is held out is held out in meaning, and the memory does not give it away."""

from __future__ import annotations

from random import Random

from sample.t5.retrievals import imagined
from sample.world.reading import read_caption
from sample.world.scenes import avoiding, natural_scene
from sample.world.splits import (
    CAPTIONS_PER_MEANING,
    SPLITS,
    dev_scenes,
    fresh_scenes,
    held_out_meanings,
    memory_captions,
    pack_scenes,
)

PICTURED = [shown for part in pack_scenes().values() for shown in part]


def test_no_meaning_is_pictured_twice_in_pack_and_dev() -> None:
    everything = [*PICTURED, *dev_scenes()]
    assert len({shown.scene.meaning for shown in everything}) == len(everything)
    assert len({shown.seed for shown in everything}) == len(everything)


def test_every_collection_has_all_splits() -> None:
    for part in pack_scenes().values():
        for split, count in SPLITS.items():
            assert sum(shown.split == split for shown in part) == count


def test_training_draws_no_held_out_scene() -> None:
    rng = Random(0)
    held_out = held_out_meanings()
    assert len(held_out) == 2 * (SPLITS["val"] + SPLITS["test"]) + len(dev_scenes())
    draw = avoiding(natural_scene, held_out)
    assert not any(draw(rng).meaning in held_out for _ in range(3000))
    assert not any(imagined(rng).scene.meaning in held_out for _ in range(100))


def test_fresh_scenes_are_new_pictures_of_meanings_that_nothing_was_trained_or_chosen_on() -> None:
    fresh = fresh_scenes(410, 1)
    meanings = [shown.scene.meaning for shown in fresh]
    assert len(set(meanings[:400])) == 400  # before any comes again
    assert set(meanings) <= held_out_meanings()
    assert not set(meanings) & {shown.scene.meaning for shown in dev_scenes()}
    assert not {shown.seed for shown in fresh} & {shown.seed for shown in PICTURED}
    assert fresh_scenes(20, 1) == fresh[:20]
    assert fresh_scenes(20, 2) != fresh[:20]


def test_the_memory_repeats_no_held_out_caption() -> None:
    memory = memory_captions()
    held = {t for s in [*PICTURED, *dev_scenes()] if s.split != "train" for t in s.captions}
    assert len(set(memory)) == len(memory)
    assert not held & set(memory)


def test_the_memory_says_nearly_everything_and_nothing_often() -> None:
    told = [read_caption(text) for text in memory_captions()]
    known = set(told)
    assert sum(meaning in known for meaning in held_out_meanings()) > 0.97 * len(
        held_out_meanings()
    )
    assert max(told.count(meaning) for meaning in list(known)[:200]) <= CAPTIONS_PER_MEANING * 6
