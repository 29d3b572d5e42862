import os
import sys
from operator import length_hint
from pathlib import Path

import pytest

from corpus.records import ImageRecord, Skipped, WholeFolder
from engine.errors import InvalidInput, SourceError
from ingest.readers import open_captions, open_source


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def read(folder: Path) -> list[ImageRecord]:
    *records, last = open_source(folder)
    assert last == WholeFolder(folder.resolve())
    assert all(isinstance(record, ImageRecord) for record in records), records
    return [record for record in records if isinstance(record, ImageRecord)]


def ids(folder: Path) -> list[str]:
    return [record.image_id for record in read(folder)]


def test_pictures_come_in_order_with_stable_ids(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "sub/deep/z.webp", "sub/c.heic", "note.txt", "film.mp4")
    assert ids(tmp_path) == ["a.PNG", "b.jpg", "film.mp4", "sub/c.heic", "sub/deep/z.webp"]
    assert ids(tmp_path) == ids(tmp_path)


def test_how_many_are_to_come_is_known(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "sub/deep/z.webp", "sub/c.heic", "note.txt", "a.txt")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    records = open_source(tmp_path)
    assert length_hint(records) == 4
    next(records)
    assert length_hint(records) == 3
    assert len(list(records)) == 3 + 1


def test_a_picture_is_shown_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "album/a.jpg")
    monkeypatch.chdir(tmp_path)
    (record,) = read(Path("album"))
    assert record.image_id == "a.jpg"
    assert record.uri == str(tmp_path / "album" / "a.jpg")
    assert record.path == tmp_path / "album" / "a.jpg"


def test_a_folder_has_one_name_however_it_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "album/a.jpg", "other/b.jpg")
    monkeypatch.chdir(tmp_path / "other")
    expected = read(tmp_path / "album")
    for spelling in ("../album", "../other/../album", f"{tmp_path}/other/../album"):
        assert read(Path(spelling)) == expected


@pytest.mark.parametrize("sidecar", ["photo.txt", "photo.jpg.txt", "photo.TXT"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_captions_are_the_lines_of_a_file_beside(
    tmp_path: Path, sidecar: str, encoding: str
) -> None:
    touch(tmp_path, "photo.jpg", "other.jpg")
    (tmp_path / sidecar).write_bytes("A café.\r\n\r\n  A  dog \n".encode(encoding))
    other, photo = read(tmp_path)
    assert photo.captions == ("A café.", "A dog")
    assert other.captions == ()


def test_the_file_that_names_the_whole_picture_counts_first(tmp_path: Path) -> None:
    touch(tmp_path, "photo.jpg", "photo.png")
    (tmp_path / "photo.txt").write_text("both")
    (tmp_path / "photo.png.txt").write_text("the png")
    assert [record.captions for record in read(tmp_path)] == [("both",), ("the png",)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"caf\xe9", "not UTF-8"),
        ("a cat".encode("utf-16-le"), "not UTF-8"),
        ("a cat".encode("utf-32-be"), "not UTF-8"),
        (b"a" * (2**20 + 1), "1,048,576"),
    ],
)
def test_captions_that_cannot_be_read_do_not_cost_the_picture(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    touch(tmp_path, "photo.jpg")
    (tmp_path / "photo.txt").write_bytes(content)
    skipped, photo, _ = open_source(tmp_path)
    assert isinstance(skipped, Skipped)
    assert skipped.uri == str(tmp_path / "photo.txt")
    assert reason in skipped.reason
    assert isinstance(photo, ImageRecord)
    assert photo.captions == ()


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and devices")
def test_captions_in_a_pipe_or_a_device_are_named_and_not_waited_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").symlink_to("/dev/zero")
    (tmp_path / "c.txt").write_text("a cat")
    *records, _ = open_source(tmp_path)
    reasons = [one.reason for one in records if isinstance(one, Skipped)]
    assert reasons == [
        "captions not read: is a named pipe, not a regular file",
        "captions not read: is a device, not a regular file",
    ]
    found = [one.captions for one in records if isinstance(one, ImageRecord)]
    assert found == [(), (), ("a cat",)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and devices")
def test_a_picture_that_is_a_pipe_or_a_device_is_called_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "gone.jpg")
    reasons = [one.reason for one in open_source(tmp_path) if isinstance(one, Skipped)]
    assert reasons == [
        "is a named pipe, not a regular file",
        "is a device, not a regular file",
        "there is no such picture file",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs pipes")
@pytest.mark.parametrize("name", ["s.txt", "s.csv", "s.tsv", "s.json", "s.jsonl", "s.jpg"])
def test_a_source_that_is_a_pipe_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    for read_it in (open_source, open_captions):
        with pytest.raises(SourceError, match="is a named pipe, not a regular file"):
            next(read_it(tmp_path / name))


def test_hidden_and_foreign_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, ".thumbnails/a.jpg", "@eaDir/b.jpg", "__MACOSX/c.jpg", "._d.jpg", "e.jpg")
    touch(tmp_path, "$RECYCLE.BIN/f.jpg", "sub/.git/g.jpg")
    assert ids(tmp_path) == ["e.jpg"]


def test_a_hidden_folder_that_was_asked_for_is_read(tmp_path: Path) -> None:
    touch(tmp_path, ".mine/a.jpg")
    assert ids(tmp_path / ".mine") == ["a.jpg"]


def test_links_in_a_circle_end_and_no_folder_is_read_twice(tmp_path: Path) -> None:
    touch(tmp_path, "a/one.jpg", "b/two.jpg")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "self").symlink_to("self")
    assert ids(tmp_path) == ["a/one.jpg", "b/two.jpg"]


def test_a_linked_folder_outside_is_read_last(tmp_path: Path) -> None:
    touch(tmp_path, "album/z.jpg", "disk/old.jpg")
    (tmp_path / "album" / "a_link").symlink_to(tmp_path / "disk")
    assert ids(tmp_path / "album") == ["z.jpg", "a_link/old.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are not bytes here")
def test_odd_names_survive(tmp_path: Path) -> None:
    names = [b"new\nline.jpg", "snow\N{SNOWMAN}\N{GRINNING FACE}.jpg".encode(), b"caf\xe9.jpg"]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    records = read(tmp_path)
    assert {record.path.read_bytes() for record in records} == set(names)
    for record in records:
        record.image_id.encode()  # what is stored and shown is plain Unicode
        record.uri.encode()
    assert "caf\\udce9.jpg" in {record.image_id for record in records}


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_what_is_named_like_a_picture_and_is_none_is_reported(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    records = list(open_source(tmp_path))
    assert [Path(r.uri).name for r in records if isinstance(r, Skipped)] == [
        "broken.jpg",
        "pipe.jpg",
    ]
    assert len(records) == 2 + 1


def test_a_folder_that_goes_away_meanwhile_is_reported_and_the_rest_is_read(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "a.jpg", "gone/b.jpg", "later/c.jpg")
    records = open_source(tmp_path)
    next(records)
    (tmp_path / "gone" / "b.jpg").unlink()
    (tmp_path / "gone").rmdir()
    skipped, last, _ = records
    assert isinstance(skipped, Skipped)
    assert skipped.uri == str(tmp_path / "gone")
    assert "cannot be read" in skipped.reason
    assert isinstance(last, ImageRecord)
    assert last.image_id == "later/c.jpg"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_folder_without_permission_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    first, skipped, _ = open_source(tmp_path)
    (tmp_path / "locked").chmod(0o700)
    assert isinstance(first, ImageRecord)
    assert isinstance(skipped, Skipped)


def test_limit(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.jpg" for i in range(5)))
    limited = list(open_source(tmp_path, limit=3))
    assert [type(record) for record in limited] == [ImageRecord] * 3
    assert length_hint(open_source(tmp_path, limit=3)) == 3
    with pytest.raises(InvalidInput, match="limit is 0"):
        open_source(tmp_path, limit=0)


def test_a_split_that_a_folder_does_not_have_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(SourceError, match="nothing of split train; splits it has: none"):
        list(open_source(tmp_path, split=frozenset({"train"})))


def test_images_with_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="leave it out"):
        open_source(tmp_path, images=tmp_path)


def test_a_missing_source_is_an_error_that_says_what_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere.*a folder of pictures"):
        open_source(tmp_path / "nowhere")
