"""Outlines of videos as subtitles: whatever was written stays within its cue."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mrag_client.models import OutlineAnswer, OutlineShot
from service.takeaway.subtitles import SubtitleFiles, as_srt, as_vtt


def outline(*captions: str, start: float = 0.0) -> OutlineAnswer:
    shots = tuple(
        OutlineShot(start=start + at, end=start + at + 1, caption=one)
        for at, one in enumerate(captions)
    )
    return OutlineAnswer(video="trip.mp4", seconds=None, shots=shots)


def test_parts_of_a_video_are_one_file_in_order() -> None:
    parts = [outline("a cat & a dog"), outline("", "snow", start=3725.25)]
    assert as_vtt(parts) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na cat &amp; a dog\n\n"
        "01:02:06.250 --> 01:02:07.250\nsnow\n"
    )
    assert as_srt(parts) == (
        "1\n00:00:00,000 --> 00:00:01,000\na cat & a dog\n\n"
        "2\n01:02:06,250 --> 01:02:07,250\nsnow\n"
    )


@given(st.lists(st.text(max_size=40) | st.text("-> \n<a", max_size=20), max_size=5))
def test_no_text_ends_a_cue_or_begins_another(captions: list[str]) -> None:
    told = outline(*captions)
    count = sum(1 for one in captions if one.strip())
    for written in (as_vtt([told]), as_srt([told])):
        assert len(re.findall("-->", written)) == count
    blocks = [one for one in as_vtt([told]).split("\n\n") if one.strip()]
    assert all(len(one.strip("\n").split("\n")) <= 2 for one in blocks)


def test_files_that_are_there_are_replaced_only_where_that_is_asked(tmp_path: Path) -> None:
    video = tmp_path / "trip.mp4"
    (tmp_path / "trip.srt").write_text("mine\n")
    assert not SubtitleFiles("srt", "skip").wants(video)
    assert SubtitleFiles("vtt", "skip").wants(video)
    over = SubtitleFiles("srt", "overwrite")
    assert over.wants(video)
    over.write(video, [outline("snow")])
    assert (tmp_path / "trip.srt").read_text().endswith("snow\n")
