"""A sync brings a collection level with its sources, and removes nothing that is merely away."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corpus.corrections import correction_of
from corpus.ledger import Ledger
from corpus.lock import writing
from engine.errors import NothingToSync, StoreLocked, TooMuchLeaves
from engine.store import picture_id
from ingest.corrections import level, note_correction, take_in
from ingest.pipeline import pushed_commit
from ingest.sources import Source, Sources
from tests.ingest.syncing import Album


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Album]:
    """One that is embedded alone: to write an index takes longer than all else."""
    made = Album(tmp_path)
    yield made
    made.engine.close()


@pytest.fixture
def indexed(tmp_path: Path) -> Iterator[Album]:
    made = Album(tmp_path, has_index=True)
    yield made
    made.engine.close()


def numbered(count: int, first: int = 0) -> list[str]:
    return [f"{number:03}.png" for number in range(first, first + count)]


def is_level(album: Album) -> None:
    """A second sync finds nothing, encodes nothing and pushes nothing; the index holds it all."""
    before, commit = album.encoder.pictures, pushed_commit(album.folder)
    texts = len(album.encoder.texts)
    report = album.sync()
    assert not report.found.changes, report.text
    assert (album.encoder.pictures, len(album.encoder.texts)) == (before, texts)
    if album.has_index:
        assert report.done is None, report.text
        assert pushed_commit(album.folder) == commit
        with Ledger.open(album.folder) as ledger:
            assert album.indexed() == (ledger.pictures(), ledger.indexed_captions())


def test_new_changed_moved_and_gone_pictures_of_a_folder(indexed: Album) -> None:
    album = indexed
    paths = album.paint(*numbered(30))
    (album.base / "photos" / "000.txt").write_text("the first")
    album.ingest(album.base / "photos")
    is_level(album)
    album.paint("new.png")
    shutil.copy(album.paint("other.png", folder="elsewhere")[0], paths[1])
    album.touch(paths[1])
    (album.base / "photos" / "deep").mkdir()
    paths[2].rename(album.base / "photos" / "deep" / "moved.png")
    paths[3].unlink()
    (album.base / "photos" / "000.txt").unlink()
    looked = album.preview()
    before = album.encoder.pictures
    report = album.sync()
    for seen in (looked, report):
        counts = seen.found.counts
        assert (counts["new"], counts["changed"], counts["moved"], counts["gone"]) == (1, 2, 1, 1)
        assert seen.found.captions_lost == 1
        assert seen.found.examples["moved"] == [f"{paths[2]} -> {paths[2].parent}/deep/moved.png"]
        assert seen.found.examples["gone"] == [str(paths[3])]
    assert looked.done is None
    assert album.encoder.pictures - before == 2
    assert album.holds() == album.afresh()
    is_level(album)


def test_a_preview_writes_nothing(album: Album) -> None:
    album.paint(*numbered(5))
    album.ingest(album.base / "photos")
    (album.base / "photos" / "000.png").unlink()
    album.paint("new.png")

    def seen() -> dict[Path, bytes]:
        found = album.folder.path.rglob("*")
        files = (path for path in found if path.is_file())
        # SQLite's own, which any reader of the ledger makes.
        return {
            path: path.read_bytes() for path in files if path.suffix[-4:] not in ("-wal", "-shm")
        }

    before = seen()
    assert album.preview().found.changes
    assert seen() == before


def test_a_moved_folder_encodes_nothing(album: Album) -> None:
    album.paint(*numbered(60))
    album.paint("stays.png", folder="photos/other")
    album.ingest(album.base / "photos")
    before = album.encoder.pictures
    moved = album.base / "photos" / "2024" / "summer"
    moved.mkdir(parents=True)
    for path in list((album.base / "photos").glob("*.png")):
        path.rename(moved / path.name)
    report = album.sync()
    assert (report.found.counts["moved"], report.found.counts["gone"]) == (60, 0)
    assert album.encoder.pictures == before
    assert album.holds() == album.afresh()
    is_level(album)


def test_rows_that_are_taken_out_of_a_table_leave_though_their_files_stay(album: Album) -> None:
    paths = album.paint(*numbered(40))
    rows = [f"photos/{path.name},words of {path.stem}" for path in paths]
    table = album.write("table.csv", "image,caption", *rows)
    album.ingest(table)
    is_level(album)
    album.write("table.csv", "image,caption", *rows[2:-1], f"photos/{paths[-1].name},")
    report = album.sync()
    assert (report.found.counts["gone"], report.found.counts["changed"]) == (2, 1)
    assert report.found.captions_lost == 1
    assert album.holds() == album.afresh()
    assert all(path.exists() for path in paths)
    is_level(album)


@pytest.mark.parametrize("kind", ["text", "jsonl", "coco", "karpathy"])
def test_lines_and_entries_that_are_taken_out_leave(album: Album, kind: str) -> None:

    paths = album.paint(*numbered(40))

    def write(numbers: range) -> Path:
        if kind == "text":
            return album.write("said.txt", *(f"caption {at}" for at in numbers))
        if kind == "jsonl":
            rows = [{"image": paths[at].name, "caption": f"c {at}"} for at in numbers]
            return album.write("said.jsonl", *map(json.dumps, rows))
        if kind == "coco":
            images = [{"id": at, "file_name": paths[at].name} for at in numbers]
            told = [{"image_id": at, "caption": f"c {at}"} for at in numbers]
            return album.write("said.json", json.dumps({"images": images, "annotations": told}))
        entries = [
            {"filename": paths[at].name, "split": "train", "sentences": [{"raw": f"c {at}"}]}
            for at in numbers
        ]
        return album.write("said.json", json.dumps({"images": entries}))

    album.ingest(write(range(40)), images="" if kind == "text" else str(album.base / "photos"))
    is_level(album)
    write(range(2, 40))
    report = album.sync()
    lost = report.found.captions_gone if kind == "text" else report.found.counts["gone"]
    assert lost == 2
    assert album.holds() == album.afresh()
    is_level(album)


def test_what_two_sources_give_stays_while_one_has_it(album: Album) -> None:
    paths = album.paint(*numbered(40))
    rows = [f"photos/{path.name},words of {path.stem}" for path in paths]
    table = album.write("table.csv", "image,caption", *rows)
    lines = album.write("said.txt", "both say this", "only one says this")
    album.write("also.txt", "both say this")
    for source in (album.base / "photos", table, lines, album.base / "also.txt"):
        album.ingest(source)
    is_level(album)
    album.write("table.csv", "image,caption", *rows[1:])
    album.write("said.txt", "nobody said this before")
    report = album.sync("all")
    assert report.found.counts["gone"] == 0
    assert report.found.captions_gone == 1
    holds = album.holds()
    assert holds["alone"] == {("both say this", ""), ("nobody said this before", "")}
    told = [said for key, said in holds.items() if key != "alone"]
    # The words of the row went, its picture still lies in the folder.
    assert sum(not captions for _, captions, _ in told) == 1
    assert len(holds) == 41
    assert holds == album.afresh()
    is_level(album)


def test_what_nobody_knows_the_source_of_stays(album: Album) -> None:
    album.paint(*numbered(4), folder="unknown")
    album.paint(*numbered(4, first=10))
    album.embed(Source(str(album.base / "unknown")).records())
    with pytest.raises(NothingToSync, match="mrag ingest SOURCE"):
        album.sync()
    album.ingest(album.base / "photos")
    (album.base / "unknown" / "000.png").unlink()
    is_level(album)
    (album.base / "photos" / "010.png").unlink()
    assert album.sync().found.counts["gone"] == 1
    assert len(album.holds()) == 7


def test_much_leaves_only_where_somebody_says_so(album: Album) -> None:
    paths = album.paint(*numbered(30))
    album.ingest(album.base / "photos")
    for path in paths[:4]:
        path.unlink()
    album.paint("new.png")
    before = album.holds()
    with pytest.raises(TooMuchLeaves, match=r"4 of 30 pictures would leave.*--yes"):
        album.sync()
    assert album.holds() == before
    report = album.sync("rest")
    assert report.kept
    assert report.failed
    assert len(album.holds()) == 31
    assert album.sync("rest").found.only_leaves
    assert album.sync("all").found.counts["gone"] == 4
    assert len(album.holds()) == 27
    is_level(album)


def test_a_few_of_a_small_collection_leave_unasked_but_never_all(album: Album) -> None:
    paths = album.paint(*numbered(4))
    album.ingest(album.base / "photos")
    for path in paths[:3]:
        path.unlink()
    assert album.sync().found.counts["gone"] == 3
    paths[3].unlink()
    (album.base / "photos" / "notes.md").write_text("not empty")
    with pytest.raises(TooMuchLeaves, match="1 of 1"):
        album.sync()


def test_words_that_would_leave_in_masses_count_too(album: Album) -> None:
    paths = album.paint(*numbered(20))
    rows = [f"photos/{path.name},words of {path.stem}" for path in paths]
    album.ingest(album.write("table.csv", "image,caption", *rows))
    album.write("table.csv", "image,note", *rows)  # the column has another name
    with pytest.raises(TooMuchLeaves, match="20 of 20 captions"):
        album.sync()


@pytest.mark.parametrize("left", ["nothing", "clutter", "gone", "closed"])
def test_a_disk_that_is_not_mounted_takes_nothing_along(album: Album, left: str) -> None:
    album.paint(*numbered(10), folder="disk")
    album.paint(*numbered(3, first=20))
    album.ingest(album.base / "disk")
    album.ingest(album.base / "photos")
    disk, aside = album.base / "disk", album.base / "aside"
    disk.rename(aside)
    if left != "gone":
        disk.mkdir()
    if left == "clutter":
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (disk / name).write_bytes(b"x")
        for name in ("lost+found", ".Trash-1000", "@eaDir"):
            (disk / name).mkdir()
    if left == "closed":
        if os.geteuid() == 0:
            pytest.skip("root may read any folder")
        disk.chmod(0)
    album.paint("new.png")
    report = album.sync()
    assert report.failed
    assert "may not be mounted" in report.text
    assert report.found.counts["gone"] == 0
    assert report.found.counts["new"] == 1
    assert len(album.holds()) == 14
    if left == "closed":
        disk.chmod(0o700)
    shutil.rmtree(disk, ignore_errors=True)
    aside.rename(disk)
    report = album.sync()
    assert not report.failed
    assert not report.found.changes
    is_level(album)


def test_a_disk_inside_a_source_takes_nothing_along(album: Album) -> None:
    album.paint(*numbered(5))
    inside = album.paint(*numbered(10, first=50), folder="photos/usb")
    album.ingest(album.base / "photos")
    for path in inside:
        path.unlink()
    report = album.sync()
    assert report.failed
    assert f"10 pictures of {album.base / 'photos/usb'}" in report.text
    assert len(album.holds()) == 15
    (album.base / "photos/usb").rmdir()  # as is told
    assert album.sync("all").found.counts["gone"] == 10
    is_level(album)


def test_the_pictures_of_a_table_that_are_out_of_reach_stay(album: Album) -> None:
    paths = album.paint(*numbered(20), folder="disk/images")
    rows = [f"{path.name},words of {path.stem}" for path in paths]
    table = album.write("table.csv", "image,caption", *rows)
    album.ingest(table, images=str(album.base / "disk/images"))
    (album.base / "disk").rename(album.base / "aside")
    for is_there in (False, True):
        if is_there:
            (album.base / "disk/images").mkdir(parents=True)
        report = album.sync()
        assert report.failed
        assert report.found.counts["gone"] == 0
    shutil.rmtree(album.base / "disk")
    (album.base / "aside").rename(album.base / "disk")
    paths[0].unlink()  # this one is gone indeed, though its row is there
    report = album.sync()
    assert report.found.counts["gone"] == 1
    assert len(album.holds()) == 19
    is_level(album)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="empty"),
        pytest.param(["image,caption"], id="header alone"),
        pytest.param(["image,caption", 'photos/000.png,"never closed'], id="a quote is open"),
        pytest.param(["other,columns", "1,2"], id="other columns"),
    ],
)
def test_a_table_that_cannot_be_read_takes_nothing_along(album: Album, lines: list[str]) -> None:
    paths = album.paint(*numbered(20))
    rows = [f"photos/{path.name},words of {path.stem}" for path in paths]
    album.ingest(album.write("table.csv", "image,caption", *rows))
    album.write("table.csv", *lines)
    report = album.sync("all")
    assert report.failed
    assert "nothing of it leaves" in report.text
    assert len(album.holds()) == 20
    album.write("table.csv", "image,caption", *rows[1:])
    assert album.sync().found.counts["gone"] == 1


def test_json_that_is_cut_short_takes_nothing_along(album: Album) -> None:

    paths = album.paint(*numbered(20))
    rows = [{"image": f"photos/{path.name}", "caption": path.stem} for path in paths]
    table = album.write("table.json", json.dumps(rows))
    album.ingest(table)
    table.write_text(json.dumps(rows)[:300])
    report = album.sync("all")
    assert report.failed
    assert len(album.holds()) == 20


def test_a_folder_that_cannot_be_read_keeps_its_pictures(
    album: Album, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of a listing, as when a disk fails."""
    album.paint(*numbered(5))
    album.paint(*numbered(5, first=50), folder="photos/deep")
    album.ingest(album.base / "photos")
    real = os.scandir

    def failing(path: str | Path = ".") -> object:
        if Path(str(path)).name == "deep":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(os, "scandir", failing)
    report = album.sync("all")
    monkeypatch.undo()
    assert report.failed
    assert "deep: the folder cannot be read: Input/output error" in report.text
    assert report.found.counts["gone"] == 0
    assert len(album.holds()) == 10
    is_level(album)


def test_words_that_cannot_be_read_now_are_kept(album: Album) -> None:
    paths = album.paint(*numbered(3))
    words = paths[0].with_suffix(".txt")
    words.write_text("a red door")
    album.ingest(album.base / "photos")
    before = album.holds()
    words.write_bytes(b"\xff\xfe\x00")
    report = album.sync("all")
    assert report.failed
    assert "000.txt: captions not read" in report.text
    assert album.holds() == before
    words.write_text("a green door")
    assert album.sync().found.counts["changed"] == 1


def test_one_at_a_time_syncs_and_others_may_look(album: Album) -> None:
    paths = album.paint(*numbered(5))
    album.ingest(album.base / "photos")
    paths[0].unlink()
    with ThreadPoolExecutor(1) as other, writing(album.folder):
        with pytest.raises(StoreLocked, match="being written to"):
            other.submit(album.sync).result()
        assert other.submit(album.preview).result().found.counts["gone"] == 1
    assert album.sync().found.counts["gone"] == 1


def test_the_same_source_is_one_however_it_is_named(album: Album) -> None:
    album.paint(*numbered(3))
    (album.base / "link").symlink_to(album.base / "photos")
    for path in ("photos", "link", "photos/../photos"):
        album.ingest(album.base / path, limit=2 if path == "photos" else None)
    (source,) = Sources(album.folder).known()
    assert source.path == str(album.base / "photos")
    assert source.limit is None
    is_level(album)


def test_a_bad_file_is_tried_again_only_when_it_has_changed(album: Album) -> None:
    album.paint(*numbered(3))
    bad = album.write("photos/bad.png", "no picture")
    album.ingest(album.base / "photos")
    assert bad.read_text() == "no picture\n"
    report = album.sync()
    assert not report.found.changes
    assert report.found.bad == 1
    assert report.failed
    album.paint("bad.png")
    assert album.sync().found.counts["new"] == 1
    is_level(album)


def test_odd_names_and_links(album: Album) -> None:
    paths = album.paint(*numbered(3))
    folder = album.base / "photos"
    (folder / "round").symlink_to(folder)
    os.link(paths[0], folder / "hard.png")
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    shutil.copy(album.paint("odd.png", folder="elsewhere")[0], odd)
    album.ingest(folder)
    is_level(album)
    paths[1].rename(folder / "001.PNG")
    odd.rename(Path(os.fsdecode(os.fsencode(folder) + b"/th\xe9.png")))
    paths[0].unlink()
    before = album.encoder.pictures
    report = album.sync()
    assert report.found.counts["moved"] == 2
    assert report.found.counts["gone"] == 0
    assert album.encoder.pictures == before
    assert len(album.holds()) == 4
    assert album.holds() == album.afresh()
    is_level(album)


def test_what_the_owner_corrected_stays_whatever_leaves_the_sources(indexed: Album) -> None:
    album = indexed
    paths = album.paint(*numbered(30))
    rows = [f"photos/{path.name},words of {path.stem}" for path in paths]
    album.ingest(album.write("table.csv", "image,caption", *rows))
    key = hashlib.sha256(paths[0].read_bytes()).hexdigest()
    said = correction_of(key, "edited", "a red door", replaced="words of 000", who="ann")
    note_correction(album.folder, said)
    take_in(album.folder, album.encoder)
    level(album.folder, album.folder.read_card(), album.settings)
    album.write("table.csv", "image,caption", f"photos/{paths[0].name},", *rows[1:])
    assert album.sync().found.captions_lost == 1
    stored = album.engine.open("album").images.get([picture_id(key)])
    assert stored[0].captions == ("a red door",)
    album.write("table.csv", "image,caption", *rows[1:])
    assert album.sync().found.counts["gone"] == 1
    assert album.engine.open("album").images.get([picture_id(key)]) == []
    album.write("table.csv", "image,caption", *rows)
    assert album.sync().found.counts["new"] == 1
    stored = album.engine.open("album").images.get([picture_id(key)])
    assert stored[0].captions == ("a red door", "words of 000")
    is_level(album)
