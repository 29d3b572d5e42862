"""Describing into sidecars, text files, tables and pictures: modes, trouble, and coming back."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from engine.errors import DiskFull, InvalidInput
from engine.progress import Progress
from mrag_client.models import MadeWith
from service.takeaway import packet
from service.takeaway.containers import opened
from service.takeaway.describing import Counts, Takeaway
from service.takeaway.embedding import InFiles
from service.takeaway.outputs import Output
from service.takeaway.packet import Mode
from service.takeaway.pictures import pictures_of
from service.takeaway.sidecars import TextSidecars, XmpSidecars
from service.takeaway.tables import TableFile
from tests.service.takeaway.conftest import FakeAnswers

Photos = Callable[..., list[Path]]
NEWER = MadeWith(generator="t5", map="ridge 2", memory="coco", captions=7)


class Told:
    """Runs a takeaway and keeps what it tells."""

    def __init__(self, answers: FakeAnswers, *outputs: Output) -> None:
        self.reasons: dict[str, str] = {}
        self.steps: list[Progress] = []
        self.outputs = outputs
        self.takeaway = Takeaway(answers, outputs, tell=self._tell)

    def _tell(self, picture: Path, reason: str) -> None:
        self.reasons[picture.name] = reason

    def run(self, pictures: Sequence[Path]) -> Counts:
        done = False
        try:
            self.takeaway.run(pictures, self.steps.append)
            done = True
        finally:
            for output in self.outputs:
                output.close(done=done)
        return self.takeaway.counts


def rows(path: Path) -> list[tuple[str, str]]:
    """The image and caption of each row, whatever the kind of file."""
    if path.suffix == ".parquet":
        found = pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        found = list(csv.DictReader(StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    else:
        found = list(map(json.loads, path.read_text().splitlines()))
    return [(one["image"], one["caption"]) for one in found]


# All outputs


def test_bad_pictures_are_told_and_the_rest_go_on(answers: FakeAnswers, photos: Photos) -> None:
    a, bad, b, _, c = pictures = photos("a.png", "bad.png", "b.png", "odd.png", "c.png")
    told = Told(answers, XmpSidecars("skip"), TextSidecars("skip"))
    assert told.run(pictures) == Counts(described=3, failed=2)
    assert told.reasons == {
        "bad.png": "cannot be decoded",
        "odd.png": "no caption fits the prompt",
    }
    assert [one.with_suffix(".txt").exists() for one in (a, bad, b, c)] == [True, False, True, True]
    assert (told.steps[0].done, told.steps[-1].done, told.steps[-1].total) == (0, 5, 5)
    again = Told(answers, XmpSidecars("skip"), TextSidecars("skip"))
    answers.asked.clear()
    with pytest.raises(InvalidInput):  # nothing else is left, so that it may concern them all
        again.run([one for one in pictures if one.name != "bad.png"])
    assert answers.asked == ["odd.png"]


def test_nothing_is_asked_where_nothing_is_wanted(answers: FakeAnswers, photos: Photos) -> None:
    pictures = photos("a.png", "b.png")
    Told(answers, TextSidecars("skip")).run(pictures)
    answers.asked.clear()
    assert Told(answers, TextSidecars("skip")).run(pictures) == Counts(left_out=2)
    assert not answers.asked


def test_one_output_may_want_what_another_has(answers: FakeAnswers, photos: Photos) -> None:
    pictures = photos("a.png", "b.png")
    Told(answers, TextSidecars("skip")).run(pictures[:1])
    told = Told(answers, TextSidecars("skip"), XmpSidecars("skip"))
    assert told.run(pictures) == Counts(described=2)
    assert all(Path(f"{one}.xmp").exists() for one in pictures)


# XMP sidecars


def test_a_second_run_after_a_newer_map_renews_what_is_ours(
    answers: FakeAnswers, photos: Photos
) -> None:
    a, b, c = photos("a.png", "b.png", "c.png")
    Told(answers, XmpSidecars("skip")).run([a, b, c])
    mine = Path(f"{b}.xmp")
    mine.write_bytes(mine.read_bytes().replace(b"A picture called b", b"My own words, b", 2))
    before = mine.read_bytes()
    answers.made_with, answers.says = NEWER, "Newer: {name}."
    answers.asked.clear()
    assert Told(answers, XmpSidecars("append")).run([a, b, c]) == Counts(described=2, left_out=1)
    assert mine.read_bytes() == before
    assert b"Newer: a.png." in Path(f"{a}.xmp").read_bytes()
    answers.asked.clear()
    assert Told(answers, XmpSidecars("overwrite")).run([a, b, c]).described == 2
    assert answers.asked == ["a.png", "b.png"]  # the first shows what is made now
    assert b"My own words" not in mine.read_bytes()


def test_pictures_that_share_a_sidecar_are_named(answers: FakeAnswers, photos: Photos) -> None:
    pictures = photos("photo.png", "PHOTO.jpg", "other.png")
    told = Told(answers, XmpSidecars("skip", "adobe"))
    assert told.run(pictures) == Counts(described=2, failed=1)
    assert "photo.png" in told.reasons["PHOTO.jpg"]
    assert "--sidecar-name" in told.reasons["PHOTO.jpg"]
    assert {one.name for one in pictures[0].parent.glob("*.xmp")} == {"photo.xmp", "other.xmp"}


def test_what_is_no_sidecar_is_left_alone(
    answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    html, link, dangling, pipe, good = photos("html.png", "link.png", "dang.png", "p.png", "g.png")
    Path(f"{html}.xmp").write_text("<html/>")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    Path(f"{link}.xmp").symlink_to(elsewhere)
    Path(f"{dangling}.xmp").symlink_to(tmp_path / "nowhere")
    os.mkfifo(f"{pipe}.xmp")
    told = Told(answers, XmpSidecars("overwrite"))
    assert told.run([html, link, dangling, pipe, good]) == Counts(described=1, failed=4)
    assert answers.asked == ["g.png"]
    assert "no XMP" in told.reasons["html.png"]
    assert "link" in told.reasons["link.png"]
    assert elsewhere.read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_full_disk_ends_it_with_nothing_half_written(
    answers: FakeAnswers, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = photos("a.png", "b.png")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="free some space"):
        Told(answers, XmpSidecars("skip")).run(pictures)
    assert {one.suffix for one in pictures[0].parent.iterdir()} == {".png"}


def test_folders_that_may_not_be_written_are_told_before_anything_is_described(
    answers: FakeAnswers, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = photos("a.png", "b.png")
    Told(answers, XmpSidecars("skip"), TextSidecars("skip")).run(pictures[:1])
    answers.asked.clear()
    monkeypatch.setattr(os, "access", lambda *_: False)
    told = Told(answers, XmpSidecars("skip"), TextSidecars("skip"))
    assert told.run(pictures) == Counts(left_out=1, failed=1)
    assert "--out" in told.reasons["b.png"]
    assert not answers.asked


def test_what_a_killed_run_had_begun_goes(answers: FakeAnswers, photos: Photos) -> None:
    (picture,) = photos("a.png")
    old = picture.with_name(".a.png.xmp.0011aabb.partial")
    new = picture.with_name(".a.png.xmp.0011aabc.partial")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    Told(answers, XmpSidecars("skip")).run([picture])
    assert (old.exists(), new.exists()) == (False, True)  # another run may write it now


# Text


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("skip", "by hand\n"),
        ("append", "by hand\nA picture called a.png.\n"),
        ("overwrite", "A picture called a.png.\n"),
    ],
)
def test_text_beside_a_picture(
    mode: Mode, expected: str, answers: FakeAnswers, photos: Photos
) -> None:
    (picture,) = photos("a.png")
    text = picture.with_suffix(".txt")
    text.write_text("by hand\n")
    for _ in range(2):
        Told(answers, TextSidecars(mode)).run([picture])
        assert text.read_text() == expected


# Tables

KINDS = pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])


@KINDS
def test_a_table_grows_by_what_is_new(
    kind: str, answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    pictures = photos("a.png", "=b.png", "sub/c d.png")
    out = tmp_path / f"out.{kind}"
    assert Told(answers, TableFile(out, "skip")).run(pictures[:2]).described == 2
    counts = Told(answers, TableFile(out, "skip")).run(pictures)
    assert counts == Counts(described=1, left_out=2)
    names = [image for image, _ in rows(out)]
    assert names == ["photos/a.png", "photos/=b.png", "photos/sub/c d.png"]
    assert rows(out)[1][1] == "A picture called =b.png."


@KINDS
def test_a_name_that_is_no_text_has_its_row_once(
    kind: str, answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    answers.says = "A picture."
    (plain,) = photos("a.png")
    named = plain.with_name(os.fsdecode(b"\xff.png"))
    plain.rename(named)
    out = tmp_path / f"out.{kind}"
    assert Told(answers, TableFile(out, "skip")).run([named]).described == 1
    assert Told(answers, TableFile(out, "skip")).run([named]) == Counts(left_out=1)


@KINDS
def test_append_adds_what_was_made_otherwise_and_overwrite_begins_anew(
    kind: str, answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    pictures = photos("a.png", "b.png", "c.png")
    out = tmp_path / f"out.{kind}"
    Told(answers, TableFile(out, "skip")).run(pictures)
    counts = Told(answers, TableFile(out, "append")).run(pictures)
    assert len(rows(out)) == 3  # the same again says nothing new
    assert counts.left_out == 2
    answers.made_with, answers.says = NEWER, "Newer: {name}."
    Told(answers, TableFile(out, "append")).run(pictures[:2])
    assert [caption for _, caption in rows(out)][3:] == ["Newer: a.png.", "Newer: b.png."]
    Told(answers, TableFile(out, "overwrite")).run(pictures[1:])
    assert [caption for _, caption in rows(out)] == ["Newer: b.png.", "Newer: c.png."]


@KINDS
@pytest.mark.parametrize("mode", ["skip", "overwrite"])
def test_a_stopped_run_goes_on_where_it_was(
    kind: str, mode: Mode, answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    pictures = photos("a.png", "b.png", "c.png", "d.png")
    out = tmp_path / f"out.{kind}"
    if mode == "overwrite":
        Told(answers, TableFile(out, "skip")).run(pictures[:1])
        answers.made_with = NEWER
    before = out.read_bytes() if out.exists() else b""
    answers.stops_at = "c.png"
    with pytest.raises(KeyboardInterrupt):
        Told(answers, TableFile(out, mode)).run(pictures)
    if mode == "overwrite":
        assert out.read_bytes() == before  # until a whole one takes its place
    answers.stops_at = ""
    answers.asked.clear()
    Told(answers, TableFile(out, mode)).run(pictures)
    assert [name for name, _ in rows(out)] == [f"photos/{one.name}" for one in pictures]
    first = ["a.png"] if mode == "overwrite" else []  # shows what is made now
    assert answers.asked == [*first, "c.png", "d.png"]
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_torn_last_line_is_mended(
    kind: str, answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    pictures = photos("a.png", "b.png")
    out = tmp_path / f"out.{kind}"
    Told(answers, TableFile(out, "skip")).run(pictures)
    whole = out.read_bytes()
    first = Told(answers, TableFile(tmp_path / f"one.{kind}", "skip"))
    first.run(pictures[:1])
    start = len((tmp_path / f"one.{kind}").read_bytes())
    for cut in {1, start - 1, start, start + 1, (start + len(whole)) // 2, len(whole) - 1}:
        out.write_bytes(whole[:cut])
        Told(answers, TableFile(out, "skip")).run(pictures)
        assert len(rows(out)) == 2, cut
        assert out.read_bytes().count(b"\n") == whole.count(b"\n"), cut


@KINDS
def test_a_file_of_something_else_is_refused(kind: str, tmp_path: Path) -> None:
    out = tmp_path / f"out.{kind}"
    content = b"name,price\nbread,3\nmilk,1\n"
    out.write_bytes(content)
    with pytest.raises(InvalidInput, match="--mode overwrite"):
        TableFile(out, "append")
    assert out.read_bytes() == content


def test_a_table_is_read_as_a_source(answers: FakeAnswers, photos: Photos, tmp_path: Path) -> None:
    from corpus.records import ImageRecord
    from ingest.readers import open_source

    pictures = photos("a.png", "b.png")
    for kind in ("jsonl", "csv"):
        out = tmp_path / f"out.{kind}"
        Told(answers, TableFile(out, "skip")).run(pictures)
        found = [one for one in open_source(out) if isinstance(one, ImageRecord)]
        assert [(one.path, one.captions) for one in found] == [
            (one, (f"A picture called {one.name}.",)) for one in pictures
        ]


# Inside of pictures


def test_a_copy_is_written_into_and_the_picture_stays(
    answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    pictures = photos("a.jpg", "sub/b.png", "c.gif")
    before = [one.read_bytes() for one in pictures]
    root, into = tmp_path / "photos", tmp_path / "copies"
    told = Told(answers, InFiles("skip", into, [root]))
    assert told.run(pictures) == Counts(described=2, failed=1)
    assert "--xmp" in told.reasons["c.gif"]
    assert [one.read_bytes() for one in pictures] == before
    for one in pictures[:2]:
        copy = into / one.relative_to(root)
        assert Image.open(copy).tobytes() == Image.open(one).tobytes()
        assert set(packet.read(opened(copy.read_bytes()).xmp).authors.values()) == {"mrag"}
    answers.asked.clear()
    again = Told(answers, InFiles("skip", into, [root])).run(pictures[:2])
    assert again == Counts(left_out=2)
    assert not answers.asked


def test_in_place_the_picture_as_it_was_is_kept(answers: FakeAnswers, photos: Photos) -> None:
    (picture,) = photos("a.jpg")
    first = picture.read_bytes()
    kept = Path(f"{picture}_original")
    kept.write_bytes(b"a backup of another program")
    Told(answers, InFiles("skip")).run([picture])
    second = picture.read_bytes()
    assert kept.read_bytes() == b"a backup of another program"
    assert Path(f"{picture}_original2").read_bytes() == first
    assert Told(answers, InFiles("append")).run([picture]).described <= 1
    assert picture.read_bytes() == second  # nothing new: no further backup
    assert len(list(picture.parent.iterdir())) == 3


def test_copies_do_not_fall_onto_each_other(
    answers: FakeAnswers, photos: Photos, tmp_path: Path
) -> None:
    pictures = photos("one/a.jpg", "two/a.jpg")
    told = Told(answers, InFiles("skip", tmp_path / "copies"))
    assert told.run(pictures) == Counts(described=1, failed=1)
    inside = Told(answers, InFiles("skip", pictures[0].parent, [pictures[0].parent]))
    assert inside.run(pictures[:1]) == Counts(failed=1)


# Which pictures


def test_pictures_of_folders_and_files(photos: Photos) -> None:
    a, b, _, _, copy = photos("a.png", "sub/b.png", ".hidden/c.png", "@eaDir/d.png", "out/a.png")
    (a.parent / "notes.txt").write_text("no picture")
    told: list[str] = []
    found = pictures_of(
        [a.parent, b, a.parent / "gone.jpg"],
        lambda path, reason: told.append(f"{path}{reason}"),
        without=copy.parent,
    )
    assert list(found) == [a, b, a.parent / "gone.jpg"]
    assert not told
