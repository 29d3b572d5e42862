"""Videos in a collection: each shot is a picture with a time, whatever the file is like."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from errno import EIO
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image

from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.shards import Shard
from corpus.videos import Videos
from engine.collection import CollectionFolder
from engine.errors import InvalidInput, SourceError
from engine.images import open_picture, open_pixels
from engine.progress import Progress
from engine.settings import SAMPLE_PACK
from engine.types import Vector, Vectors
from engine.vectors import unit
from engine.video.address import Clip
from engine.video.container import Video
from ingest.embed import EmbedOptions, EmbedReport, embed
from ingest.readers import open_source
from ingest.video.shots import ShotReader
from tests.films import SMALL, film, sound_alone
from tests.ingest.syncing import Album
from tests.worlds import PixelEncoder

BEGAN = datetime(2024, 5, 1, 16, 59, 58, tzinfo=UTC)


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    made = Album(tmp_path)
    yield made
    made.engine.close()


@pytest.fixture
def films(tmp_path: Path) -> Path:
    made = tmp_path / "films"
    made.mkdir()
    return made


def living(folder: CollectionFolder) -> dict[str, tuple[Entry, Vector]]:
    """The pictures of a collection by what they are called, with their vectors."""
    found = {}
    with Ledger.open(folder) as ledger:
        for file in ledger.shards():
            shard = Shard(file)
            rows = ledger.live(file.number).pictures
            for row, entry in zip(rows, shard.entries(rows), strict=True):
                found[entry.image_id] = entry, unit(shard.images[row][None])[0]
    return found


def spans(folder: CollectionFolder) -> list[tuple[str, float, float]]:
    clips = [Clip.at(entry.uri) for entry, _ in living(folder).values()]
    return sorted((one.file.name, one.start, one.end) for one in clips if one)


def reasons(report: EmbedReport) -> list[str]:
    return [f"{Path(one.uri).name}: {one.reason}" for one in report.examples]


def test_each_shot_is_a_picture_with_its_time(album: Album, films: Path) -> None:
    film(films / "trip.mp4", 0, 1, 2, how=replace(SMALL, created=BEGAN))
    report = album.ingest(films).embed
    assert (report.read, report.embedded, report.skipped) == (3, 3, {})
    assert spans(album.folder) == [
        ("trip.mp4", 0.0, 2.0), ("trip.mp4", 2.0, 4.0), ("trip.mp4", 4.0, 6.0)
    ]  # fmt: skip
    entries = [entry for entry, _ in living(album.folder).values()]
    assert sorted(entry.taken_at or "" for entry in entries) == [
        "2024-05-01T16:59:58+00:00", "2024-05-01T17:00:00+00:00", "2024-05-01T17:00:02+00:00"
    ]  # fmt: skip
    assert {(entry.width, entry.height) for entry in entries} == {(160, 120)}


def test_a_shots_vector_is_the_mean_of_its_frames(album: Album, films: Path) -> None:
    film(films / "trip.mp4", 3, 4)
    album.ingest(films)
    stored = [vector for _, (_, vector) in sorted(living(album.folder).items())]
    with Video(films / "trip.mp4") as video:
        shots = list(ShotReader(video))
    for vector, shot in zip(stored, shots, strict=True):
        assert len(shot.frames) == 3
        mean = unit(PixelEncoder().encode_images(list(shot.frames))).mean(axis=0)
        np.testing.assert_allclose(vector, unit(mean[None])[0], atol=2e-3)


def test_a_video_that_is_as_it_was_is_not_watched_again(album: Album, films: Path) -> None:
    path = films / "trip.mp4"
    film(path, 0, 1)
    album.ingest(films)
    status = path.stat()
    path.write_bytes(bytes(status.st_size))  # what would be told of, were it opened
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = album.ingest(films).embed
    assert (again.embedded, again.unchanged, again.removed, again.skipped) == (0, 2, 0, {})


def test_a_lost_cache_brings_the_same_shots(album: Album, films: Path) -> None:
    film(films / "trip.mp4", 0, 1, 2)
    album.ingest(films)
    before = living(album.folder).keys()
    album.folder.videos.unlink()
    again = album.ingest(films).embed
    assert (again.embedded, again.unchanged) == (0, 3)
    assert living(album.folder).keys() == before


def test_of_a_video_that_has_changed_the_old_shots_leave(album: Album, films: Path) -> None:
    film(films / "trip.mp4", 0, 1, 2)
    album.ingest(films)
    film(films / "trip.mp4", 5, 6, seconds=2.5)
    report = album.ingest(films).embed
    assert (report.embedded, report.removed) == (2, 3)
    assert spans(album.folder) == [("trip.mp4", 0.0, 2.5), ("trip.mp4", 2.5, 5.0)]


def test_a_sync_takes_in_what_has_changed_moved_and_gone(album: Album, films: Path) -> None:
    film(films / "a.mp4", 0, 1)
    film(films / "b.mp4", 2, 3, 4)
    film(films / "c.mp4", 5)
    album.ingest(films)
    assert not album.sync().found.changes
    film(films / "a.mp4", 7, 8)
    (films / "b.mp4").rename(films / "moved.mp4")
    (films / "c.mp4").unlink()
    found = album.preview().found
    assert (found.counts["moved"], found.counts["gone"]) == (3, 1)
    album.sync("all")
    names = [name for name, _, _ in spans(album.folder)]
    assert names == ["a.mp4", "a.mp4", "moved.mp4", "moved.mp4", "moved.mp4"]
    assert album.encoder.pictures == 3 * (2 + 3 + 1 + 2)
    assert not album.sync().found.changes


def test_a_video_that_was_moved_keeps_its_vectors(album: Album, films: Path) -> None:
    film(films / "a.mp4", 0, 1)
    album.ingest(films)
    (films / "a.mp4").rename(films / "b.mp4")
    report = album.ingest(films).embed
    assert (report.embedded, report.reused) == (0, 2)
    assert [name for name, _, _ in spans(album.folder)] == ["b.mp4", "b.mp4"]


def test_copies_of_a_video_are_the_same_pictures(album: Album, films: Path) -> None:
    film(films / "a.mp4", 0, 1)
    shutil.copy(films / "a.mp4", films / "b.mp4")
    report = album.ingest(films).embed
    assert (report.embedded, report.skipped) == (2, {"duplicate": 2})
    assert len(living(album.folder)) == 2


def test_two_videos_that_begin_alike_are_two_pictures(album: Album, films: Path) -> None:
    film(films / "a.mp4", 0, 1)
    film(films / "b.mp4", 0, 2)
    assert album.ingest(films).embed.embedded == 4


def test_a_single_video_is_a_source_and_may_be_told_when_it_began(
    album: Album, films: Path
) -> None:
    path = films / "trip.mp4"
    film(path, 0, 1)
    album.ingest(path, started="2024-05-01T09:00")
    taken = [entry.taken_at for entry, _ in living(album.folder).values()]
    assert taken == ["2024-05-01T09:00:00", "2024-05-01T09:00:02"]
    assert not album.sync().found.changes
    album.ingest(path, started="2024-05-01T10:30")
    taken = [entry.taken_at for entry, _ in living(album.folder).values()]
    assert taken == ["2024-05-01T10:30:00", "2024-05-01T10:30:02"]
    assert album.encoder.pictures == 6


@pytest.mark.parametrize(("started", "told"), [("noon", "like 2024-05-01T09:00"), ("2024", "like")])
def test_a_start_that_is_no_moment_is_refused(films: Path, started: str, told: str) -> None:
    film(films / "trip.mp4", 0)
    with pytest.raises(InvalidInput, match=told):
        open_source(films / "trip.mp4", started=started)
    with pytest.raises(InvalidInput, match="is no video"):
        open_source(films, started="2024-05-01T09:00")


def test_the_shots_of_a_slow_film_are_kept_before_a_batch_is_full(
    films: Path, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.building.SHARD_SECONDS", 0)
    film(films / "trip.mp4", 0, 1, 2, 3)
    album.folder.embeddings.mkdir(parents=True)
    encoder = PixelEncoder()
    encoder.fails_at = 3 * 3
    with pytest.raises(RuntimeError):
        embed(open_source(films), encoder, album.folder, EmbedOptions(batch_size=100))
    assert len(living(album.folder)) == 3


def test_a_picture_of_a_turned_video_is_upright(films: Path, album: Album) -> None:
    film(films / "level.mp4", 3)
    film(films / "turned.mp4", 3, how=replace(SMALL, turned=90))
    album.ingest(films)
    for entry, _ in living(album.folder).values():
        shot = open_picture(Path(entry.uri))
        if entry.image_id.startswith("turned"):
            turned, size = shot.image, (entry.width, entry.height)
        else:
            level = shot.image
    assert size == turned.size == (120, 160)
    difference = np.asarray(turned.rotate(-90, expand=True), float) - np.asarray(level, float)
    assert np.abs(difference).mean() < 6


def test_times_come_from_the_file_where_frames_are_uneven(films: Path, album: Album) -> None:
    film(films / "uneven.mp4", 0, 1, 2, how=replace(SMALL, uneven=True))
    album.ingest(films)
    starts = [start for _, start, _ in spans(album.folder)]
    assert starts == pytest.approx([0.0, 2.0, 4.0], abs=0.11)


def test_a_single_frame_is_a_shot(films: Path, album: Album) -> None:
    film(films / "one.mp4", 0, seconds=0.1)
    assert album.ingest(films).embed.embedded == 1
    (address,) = (Path(entry.uri) for entry, _ in living(album.folder).values())
    assert open_picture(address).image.size == open_pixels(address).size == (160, 120)


def test_what_is_no_video_is_told_and_the_rest_goes_on(films: Path, album: Album) -> None:
    film(films / "good.mp4", 0)
    (films / "empty.mp4").touch()
    (films / "text.mp4").write_text("a shopping list\n" * 50)
    sound_alone(films / "sound.mp4")
    (films / "picture.mp4").write_bytes((SAMPLE_PACK / "plain/images/000.webp").read_bytes())
    film(films / "cut.mp4", 1, 2)
    cut = (films / "cut.mp4").read_bytes()
    (films / "cut.mp4").write_bytes(cut[: len(cut) * 2 // 3])
    report = album.ingest(films).embed
    assert report.skipped == {"unreadable": 5}
    told = " ".join(reasons(report))
    assert "sound.mp4: holds sound alone" in told
    assert "empty.mp4: is empty" in told
    assert "picture.mp4: holds a picture and no video; name it .webp" in told
    for name in ("text", "cut"):
        assert f"{name}.mp4: is not a video that can be read" in told
    assert [name for name, _, _ in spans(album.folder)] == ["good.mp4"]


def test_a_list_of_other_files_is_never_followed(films: Path, album: Album) -> None:
    film(films / "secret.mkv", 0)
    target = films.parent / "list.mp4"
    target.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{films}/secret.mkv\n")
    with pytest.raises(SourceError, match="is not a video that can be read"):
        album.ingest(target)


def test_of_a_video_that_is_cut_short_what_can_be_seen_is_taken(films: Path, album: Album) -> None:
    film(films / "cut.mkv", 0, 1, 2)
    whole = (films / "cut.mkv").read_bytes()
    (films / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    report = album.ingest(films).embed
    found = spans(album.folder)
    assert report.embedded == len(found) >= 2
    assert 2.0 < found[-1][2] < 5.5
    (told,) = reasons(report)
    assert "cut.mkv: what could be seen of it was taken in; it says that it lasts 00:00:06" in told
    again = album.ingest(films).embed
    assert (again.embedded, again.unchanged) == (0, len(found))


def test_a_name_that_is_no_text_keeps_no_film_out(films: Path, album: Album) -> None:
    film(films / "odd.mp4", 0, 1)
    (films / "odd.mp4").rename(films / os.fsdecode(b"odd\xff.mp4"))
    album.folder.embeddings.mkdir(parents=True)
    options = EmbedOptions(stills=films.parent / "stills")
    report = embed(open_source(films), PixelEncoder(), album.folder, options)
    assert (report.embedded, report.skipped) == (2, {})
    assert len(list((films.parent / "stills").iterdir())) == 2


class Changing(PixelEncoder):
    """Does something to the film as its first frames are encoded."""

    def __init__(self, change: Callable[[], object]) -> None:
        super().__init__()
        self._change: Callable[[], object] | None = change

    def encode_images(self, images: list[Image]) -> Vectors:
        change, self._change = self._change, None
        if change:
            change()
        return super().encode_images(images)


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_film_that_goes_while_it_is_watched_is_told_once_and_taken_up_again(
    films: Path, album: Album, is_replaced: bool
) -> None:
    at, other = films / "trip.mp4", films.parent / "other.mp4"
    film(at, *range(5), seconds=1.0)
    film(other, 7, 9, seconds=1.0)
    after = (other if is_replaced else at).read_bytes()
    album.folder.embeddings.mkdir(parents=True)
    options = EmbedOptions(batch_size=1, workers=1, shard_size=1)
    change = (lambda: other.replace(at)) if is_replaced else at.unlink
    report = embed(open_source(at), Changing(change), album.folder, options)
    assert report.skipped == {"unreadable": 1}
    assert "trip.mp4: was changed or taken away while it was watched" in reasons(report)[0]
    assert 0 < len(spans(album.folder)) < 5
    at.write_bytes(after)
    embed(open_source(at), PixelEncoder(), album.folder, options)
    starts = [start for _, start, _ in spans(album.folder)]
    assert starts == [float(one) for one in range(2 if is_replaced else 5)]
    vectors = {name: vector for name, (_, vector) in living(album.folder).items()}
    fresh = CollectionFolder(films.parent / "fresh", "fresh")
    fresh.embeddings.mkdir(parents=True)
    embed(open_source(at), PixelEncoder(), fresh, options)
    for name, (_, vector) in living(fresh).items():
        np.testing.assert_array_equal(vectors[name], vector)


def test_of_a_video_of_which_nothing_can_be_seen_that_is_told(films: Path, album: Album) -> None:
    film(films / "bad.mp4", 0)
    data = (films / "bad.mp4").read_bytes()
    first, last = data.index(b"mdat") + 4, data.index(b"moov") - 4
    (films / "bad.mp4").write_bytes(data[:first] + bytes(last - first) + data[last:])
    with pytest.raises(SourceError, match=r"no picture of it can be seen .* cannot be decoded"):
        album.ingest(films)


def test_a_disk_that_fails_in_the_middle_costs_no_shot(
    films: Path, album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(films / "trip.mkv", 0, 1, 2, 3, 4)
    film(films / "other.mp4", 5)
    far = (films / "trip.mkv").stat().st_size * 2 // 3

    class Failing(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= far:
                raise OSError(EIO, "Input/output error")
            return super().read(size)

    with monkeypatch.context() as patched:
        patched.setattr(
            "engine.video.container.open_regular", lambda path: Failing(path.read_bytes())
        )
        report = album.ingest(films).embed
    assert "trip.mkv: cannot be read any further (Input/output error)" in reasons(report)[0]
    assert report.skipped == {"unreadable": 1}
    kept = report.embedded
    again = album.ingest(films).embed
    assert (again.embedded, again.unchanged) == (6 - kept, kept)
    assert kept > 1
    assert [start for name, start, _ in spans(album.folder) if name == "trip.mkv"] == [
        0.0, 2.0, 4.0, 6.0, 8.0
    ]  # fmt: skip


def test_what_is_damaged_within_is_passed_over_and_told(films: Path, album: Album) -> None:
    film(films / "bad.avi", 0, 1, 2, 3, how=replace(SMALL, codec="mpeg4"))
    data = bytearray((films / "bad.avi").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = os.urandom(3000)
    (films / "bad.avi").write_bytes(data)
    report = album.ingest(films).embed
    assert report.embedded >= 3
    assert spans(album.folder)[-1][2] == pytest.approx(8.0, abs=0.3)


def test_an_ingest_that_ended_goes_on_with_the_shot_that_is_missing(
    films: Path, album: Album
) -> None:
    film(films / "trip.mp4", 0, 1, 2, 3, 4, 5)
    options = EmbedOptions(batch_size=3, workers=1, shard_size=2)
    broken = PixelEncoder()
    broken.fails_at = 3 * 4
    folder = album.folder
    with pytest.raises(RuntimeError):
        embed(open_source(films), broken, folder, options)
    kept = len(living(folder))
    assert 2 <= kept < 6
    encoder, seen = PixelEncoder(), list[Progress]()
    report = embed(open_source(films), encoder, folder, options, on_progress=seen.append)
    assert (report.embedded, report.unchanged) == (6 - kept, kept)
    assert len(spans(folder)) == 6
    watched = [one for one in seen if one.stage == "watch trip.mp4"]
    assert all(one.total == 12 and one.unit == "seconds" for one in watched)
    assert min(one.done for one in watched) >= 2 * kept  # what was seen is not decoded again
    with Videos.open(folder.videos) as videos:
        (content,) = videos.were_at(films / "trip.mp4")
        assert videos.watched(content, "another method").shots == ()
