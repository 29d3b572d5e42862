"""Where shots begin, by frames whose truth is known; no video is decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.video.boundaries import LONGEST, SHORTEST, Boundaries, Glance

FPS = 10
Scene = Callable[[float], Glance]


def scene(seed: int, drift: float = 0.0) -> Scene:
    """A picture of blocks of colour that moves to the side, so many of its blocks a second."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.integers(0, 256, (9, 64, 3)), np.ones((4, 4, 1))).astype(np.uint8)

    def seen(time: float) -> Glance:
        return np.roll(blocks, -round(4 * drift * time), axis=1)[:, :64]

    return seen


Shown = tuple[float, Glance]


def film(*parts: tuple[Scene, float], fade: float = 0.0) -> list[Shown]:
    """Scenes for so many seconds each, one after the other or one out of the other."""
    frames: list[Shown] = []
    at = 0.0
    for number, (seen, seconds) in enumerate(parts):
        for place in range(round(seconds * FPS)):
            time = place / FPS
            picture = seen(time).astype(float)
            if number and time < fade / 2:
                before = parts[number - 1][0](time)
                picture = _mixed(before, picture, 0.5 + time / fade)
            elif number + 1 < len(parts) and seconds - time < fade / 2:
                picture = _mixed(picture, parts[number + 1][0](0), 0.5 - (seconds - time) / fade)
            frames.append((round(at + time, 3), picture.astype(np.uint8)))
        at += seconds
    return frames


def _mixed(before: Glance, after: Glance, share: float) -> Glance:
    mixed: Glance = ((1 - share) * before + share * after.astype(float)).astype(np.uint8)
    return mixed


def cuts(frames: Sequence[Shown], start: float = 0.0) -> list[float]:
    return [round(one, 3) for one in _cuts(frames, start)]


def _cuts(frames: Sequence[Shown], start: float) -> Iterator[float]:
    boundaries = Boundaries(start)
    for time, glance in frames:
        yield from boundaries.push(time, glance)
    yield from boundaries.finish()


def test_hard_cuts_are_where_the_first_frame_of_a_scene_is() -> None:
    frames = film((scene(1), 3.0), (scene(2), 1.2), (scene(3), 4.0))
    assert cuts(frames) == [3.0, 4.2]


@pytest.mark.parametrize("fade", [0.8, 1.6])
def test_a_scene_that_comes_out_of_another_begins_where_half_of_it_is_seen(fade: float) -> None:
    frames = film((scene(1), 6.0), (scene(2), 6.0), (scene(3), 6.0), fade=fade)
    found = cuts(frames)
    assert found == pytest.approx([6.0, 12.0], abs=0.3)


def test_a_scene_that_goes_soon_after_a_cut_is_told_from_what_comes_out_of_it() -> None:
    frames = film((scene(1), 5.0), (scene(2), 1.3))
    fading = film((scene(2), 1.0), (scene(3), 6.0), fade=1.6)
    frames += [(round(6.3 + time, 3), glance) for time, glance in fading]
    assert cuts(frames) == pytest.approx([5.0, 7.3], abs=0.3)


def test_a_camera_that_moves_cuts_nothing() -> None:
    assert cuts(film((scene(1, drift=2.0), 12.0))) == []


def test_a_flash_cuts_nothing_and_hides_no_cut() -> None:
    frames = film((scene(1), 6.0), (scene(2), 6.0))
    for at in (20, 90):  # one of them where a slow change would be looked for
        frames[at] = frames[at][0], np.full_like(frames[at][1], 255)
    assert cuts(frames) == [6.0]


def test_what_is_too_short_belongs_to_what_comes_before_it() -> None:
    frames = film((scene(1), 4.0), (scene(2), 0.3), (scene(3), 4.0))
    (found,) = cuts(frames)
    assert found in {4.0, 4.3}


def test_a_long_scene_is_cut_in_pieces() -> None:
    still = scene(1)(0)
    frames = [(at / 2, still) for at in range(260)]
    assert cuts(frames) == [LONGEST, 2 * LONGEST]


def test_a_cut_soon_after_the_longest_leaves_no_short_piece() -> None:
    frames = [(at / FPS, scene(1 if at < 602 else 2)(0)) for at in range(700)]
    assert cuts(frames) == [60.2]


def test_frames_of_uneven_times_are_cut_by_their_times() -> None:
    frames = film((scene(1), 4.0), (scene(2), 4.0))
    assert cuts([one for at, one in enumerate(frames) if at % 3 != 1]) == pytest.approx(
        [4.0], abs=0.1
    )


@settings(max_examples=12, deadline=None)
@given(st.lists(st.floats(0.3, 7.0), min_size=2, max_size=6), st.booleans(), st.integers(0, 5))
def test_whoever_begins_at_a_cut_finds_the_same_after_it(
    lengths: list[float], fades: bool, drift: int
) -> None:
    parts = [(scene(at, drift / 4), round(one, 1)) for at, one in enumerate(lengths)]
    frames = film(*parts, fade=0.6 if fades else 0.0)
    found = cuts(frames)
    assert all(b - a > SHORTEST - 1e-3 for a, b in pairwise([0.0, *found]))
    for cut in found:
        rest = [one for one in frames if one[0] >= cut - 1e-6]
        assert cuts(rest, cut) == [one for one in found if one > cut]
