"""A miniature COCO, fetched from a server on this machine or taken from a folder."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image

from corpus.records import CaptionRecord, ImageRecord, Record, Skipped
from engine.errors import DownloadFailed, SourceError
from engine.progress import Progress
from ingest.memory import COCO, Archive, MemorySource, coco_records
from ingest.unpack import unpack


def zip_folder(folder: Path, archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(folder.parent.rglob(f"{folder.name}/*")):
            zipped.write(path, path.relative_to(folder.parent))


def caption_file(first: int, count: int) -> str:
    ids = range(first, first + count)
    captions = [{"image_id": i, "id": 10 * i, "caption": f"Picture {i}."} for i in ids]
    images = [{"id": i, "file_name": f"{i:012}.jpg"} for i in ids]
    return json.dumps({"info": {}, "images": images, "annotations": captions})


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """COCO as someone has it who has unpacked it, with more than is wanted."""
    folder = tmp_path / "unpacked"
    (folder / "annotations").mkdir(parents=True)
    (folder / "val2017").mkdir()
    (folder / "annotations" / "captions_val2017.json").write_text(caption_file(1, 3))
    (folder / "annotations" / "captions_train2017.json").write_text(caption_file(101, 4))
    (folder / "annotations" / "instances_val2017.json").write_text("{}")
    for i in (1, 2, 3):
        Image.new("RGB", (8, 6), (80 * i, 0, 0)).save(folder / "val2017" / f"{i:012}.jpg")
    return folder


def describe(archive: Archive, packed: Path) -> Archive:
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    return replace(archive, size=packed.stat().st_size, checksum=f"sha256:{digest}")


@pytest.fixture
def served(tmp_path: Path, unpacked: Path) -> Path:
    """The archives as a server has them."""
    folder = tmp_path / "served"
    zip_folder(unpacked / "annotations", folder / COCO.annotations.path)
    zip_folder(unpacked / "val2017", folder / COCO.pictures.path)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def source(served: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemorySource]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield replace(
            COCO,
            base_url=f"http://127.0.0.1:{http.server_port}",
            annotations=describe(COCO.annotations, served / COCO.annotations.path),
            pictures=describe(COCO.pictures, served / COCO.pictures.path),
        )
        http.shutdown()
        thread.join()


def summary(records: Iterator[Record]) -> list[tuple[str, str, str, bool]]:
    """(image id, caption, split, is there a picture) of each record."""
    found = []
    for record in records:
        assert isinstance(record, ImageRecord | CaptionRecord), record
        if isinstance(record, ImageRecord):
            assert record.path.is_file()
            assert record.path.is_absolute()
        text = record.text if isinstance(record, CaptionRecord) else " ".join(record.captions)
        found.append((record.image_id, text, record.split, isinstance(record, ImageRecord)))
    return found


EXPECTED = [(f"{i}", f"Picture {i}.", "train", True) for i in (1, 2, 3)] + [
    (f"{i}", f"Picture {i}.", "train", False) for i in range(101, 105)
]


def test_coco_is_fetched_once_and_read(tmp_path: Path, source: MemorySource, served: Path) -> None:
    steps: list[Progress] = []
    assert summary(coco_records(tmp_path, source=source, on_progress=steps.append)) == EXPECTED
    assert {step.stage for step in steps if step.done == step.total} == {
        "fetch annotations_trainval2017.zip",
        "unpack annotations_trainval2017.zip (files)",
        "fetch val2017.zip",
        "unpack val2017.zip (files)",
    }
    work = tmp_path / "downloads" / "coco"
    assert {path.name for path in work.iterdir()} - {".lock"} == {"annotations", "val2017"}
    assert not (work / "annotations" / "instances_val2017.json").exists()
    for path in (COCO.annotations.path, COCO.pictures.path):
        (served / path).unlink()
    assert summary(coco_records(tmp_path, source=source)) == EXPECTED


def test_a_failed_fetch_comes_before_any_record_and_loses_nothing(
    tmp_path: Path, source: MemorySource, served: Path
) -> None:
    pictures = served / COCO.pictures.path
    content = pictures.read_bytes()
    pictures.write_bytes(content[::-1])
    with pytest.raises(DownloadFailed, match=r"val2017\.zip could not.*sha256 differs.*--from"):
        coco_records(tmp_path, source=source)
    pictures.write_bytes(content)
    (served / COCO.annotations.path).unlink()  # is not needed again
    assert summary(coco_records(tmp_path, source=source)) == EXPECTED


def test_unpacking_goes_on_where_it_was_killed(tmp_path: Path, source: MemorySource) -> None:
    started = tmp_path / "downloads" / "coco" / "val2017.part"
    started.mkdir(parents=True)
    (started / "000000000001.jpg").write_bytes(b"cut")
    (started / "000000000002.jpg.tmp").write_bytes(b"cut")
    records = list(coco_records(tmp_path, source=source))
    for record in records[:3]:
        assert isinstance(record, ImageRecord)
        Image.open(record.path).load()


def test_a_limit_keeps_all_pairs_and_the_first_captions(
    tmp_path: Path, source: MemorySource
) -> None:
    assert summary(coco_records(tmp_path, source=source, limit=2)) == EXPECTED[:5]


@pytest.mark.parametrize("kind", ["archives", "folders", "mixed"])
def test_a_local_copy_works_the_same_without_a_network(
    tmp_path: Path, source: MemorySource, served: Path, unpacked: Path, kind: str
) -> None:
    copy = unpacked
    if kind != "folders":
        copy = served / "annotations"
        (served / COCO.pictures.path).rename(copy / "val2017.zip")
    if kind == "mixed":
        (unpacked / "val2017").rename(copy / "val2017")
    source = replace(source, base_url="http://127.0.0.1:9")
    before = sorted(copy.rglob("*"))
    assert summary(coco_records(tmp_path, source=source, from_folder=copy)) == EXPECTED
    assert sorted(copy.rglob("*")) == before


def test_a_relative_copy_gives_absolute_paths(
    tmp_path: Path, source: MemorySource, unpacked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(unpacked)
    assert summary(coco_records(tmp_path, source=source, from_folder=Path())) == EXPECTED


def test_a_local_copy_that_lacks_something_or_is_damaged_is_named(
    tmp_path: Path, source: MemorySource, served: Path
) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        coco_records(tmp_path, source=source, from_folder=tmp_path / "nowhere")
    with pytest.raises(SourceError, match="has neither annotations_trainval2017"):
        coco_records(tmp_path, source=source, from_folder=served / "zips")
    packed = served / "annotations" / "annotations_trainval2017.zip"
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(SourceError, match="not the archive expected"):
        coco_records(tmp_path, source=source, from_folder=served / "annotations")


def test_a_picture_that_is_missing_in_the_copy_is_skipped(
    tmp_path: Path, source: MemorySource, unpacked: Path
) -> None:
    (unpacked / "val2017" / "000000000002.jpg").unlink()
    records = list(coco_records(tmp_path, source=source, from_folder=unpacked))
    assert [type(r) for r in records[:3]] == [ImageRecord, Skipped, ImageRecord]


def test_two_at_a_time_are_kept_apart(tmp_path: Path, source: MemorySource) -> None:
    (tmp_path / "downloads" / "coco").mkdir(parents=True)
    with (
        FileLock(tmp_path / "downloads" / "coco" / ".lock"),
        pytest.raises(DownloadFailed, match="another mrag process"),
    ):
        coco_records(tmp_path, source=source)


def test_size_and_licence_are_said_beforehand() -> None:
    said = COCO.announcement()
    for part in ("252.9 MB", "815.6 MB", "1,068.5 MB", "Creative Commons Attribution 4.0",
                 "Flickr", "images.cocodataset.org", "616,767"):  # fmt: skip
        assert part in said


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    names = ["../evil.jpg", "/tmp/evil.jpg", "a/../../evil.jpg", "a/good.jpg", "a/b/c.jpg"]
    archive = make_zip(tmp_path / "x.zip", dict.fromkeys(names, b"1"))
    unpack(archive, tmp_path / "one" / "out", wanted=r"a/\w+\.jpg", limit=10)
    unpack(archive, tmp_path / "two" / "out", wanted=r".*", limit=10)
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.jpg"))
    assert found == ["one/out/good.jpg", "two/out/c.jpg", "two/out/evil.jpg", "two/out/good.jpg"]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {f"a/{i}.jpg": bytes(10**6) for i in range(20)})
    with pytest.raises(SourceError, match=r"20,000,000 bytes, over the limit of 19,999,999"):
        unpack(archive, tmp_path / "out", wanted=r"a/\d+\.jpg", limit=19_999_999)
    assert not (tmp_path / "out").exists()


def test_damaged_archives_are_errors(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "x.zip", {"a/1.jpg": b"some content" * 100})
    whole = archive.read_bytes()
    damaged = bytearray(whole)
    damaged[45] ^= 0xFF
    for content in (b"", b"no zip", whole[:60], bytes(damaged)):
        archive.write_bytes(content)
        with pytest.raises(SourceError, match=r"x\.zip is damaged.*get it again"):
            unpack(archive, tmp_path / "out", wanted=r"a/1\.jpg", limit=10_000)
        assert not (tmp_path / "out").exists()
    archive.write_bytes(whole)
    with pytest.raises(SourceError, match="another archive"):
        unpack(archive, tmp_path / "out", wanted="b", limit=10_000)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        unpack(tmp_path / "none.zip", tmp_path / "out", wanted="b", limit=10_000)
