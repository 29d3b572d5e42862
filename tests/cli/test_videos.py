"""Videos at the terminal, with real models: ingested, found by time, told shot by shot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.films import SMALL, film
from tests.worlds import copied_tree

BEGAN = datetime(2024, 5, 1, 16, 59, 58, tzinfo=UTC)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    made = tmp_path / "films"
    made.mkdir()
    film(made / "trip.mp4", 1, 4, how=replace(SMALL, created=BEGAN))
    return made


def test_a_video_is_told_shot_by_shot_and_taken_away_as_subtitles(
    mrag: Run, films: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.mp4").write_text("a shopping list")
    done = mrag("caption", films / "trip.mp4", tmp_path / "bad.mp4", "--json")
    assert done.code == 1
    assert "bad.mp4: is not a video that can be read" in done.err
    (told,) = done.answers
    captions = [shot["caption"] for shot in told["shots"]]
    assert "duck" in captions[0].lower()
    assert "truck" in captions[1].lower()
    written = mrag("describe", films, "--vtt", "--srt", "--json")
    assert written.answers == [{"described": 1, "left_out": 0, "failed": 0}]
    assert captions[0] in (films / "trip.vtt").read_text()
    assert captions[1] in (films / "trip.srt").read_text()
    again = mrag("describe", films, "--vtt", "--srt", "--json")
    assert again.answers == [{"described": 0, "left_out": 1, "failed": 0}]


def test_shots_are_found_by_words_and_by_the_time_of_day(
    mrag: Run, home: Path, films: Path, tmp_path: Path
) -> None:
    own = tmp_path / "home"  # others count on a home with one collection
    copied_tree(home, own)
    filled = mrag("ingest", films, "-c", "films", "--memory", "plain", "--json", at=own)
    assert filled.code == 0, filled.err
    assert filled.answers[0]["embedded"] == 2
    (found,) = mrag("search", "a duck before:17:00", "-c", "films", "--json", at=own).answers
    first, second = found["hits"]
    assert (Path(first["video"]).name, first["start"], first["end"]) == ("trip.mp4", 0.0, 2.0)
    assert second["start"] == 2.0
    (early,) = mrag("search", "before:16:59:59", "-c", "films", "--json", at=own).answers
    assert [one["start"] for one in early["hits"]] == [0.0]
    shown = mrag("search", "after:17:00", "-c", "films", at=own)
    assert "trip.mp4 at 00:00:02:" in shown.out
