"""Uploaded archives: the good ones unpack whole, the hostile ones not at all."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from corpus.records import ImageRecord
from engine.errors import InvalidInput, SourceError
from engine.progress import Progress
from engine.settings import Settings
from ingest.jobs.archive import (
    beside_table,
    keep_upload,
    source_in,
    unpack_upload,
    uploads,
)
from ingest.readers import open_source

PNG = b"\x89PNG not really"


def pack(files: dict[str, bytes], **about: Any) -> BytesIO:
    """An archive of these files; `about` sets fields of every member."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            for field, value in about.items():
                setattr(member, field, value)
            zipped.writestr(member, content)
    buffer.seek(0)
    return buffer


@pytest.fixture
def small(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", max_zip_files=5, max_zip_bytes=20_000_000)


def unpacked(file: BytesIO, settings: Settings, name: str = "My Photos.zip") -> Path:
    return unpack_upload(keep_upload(file, name, "album", settings), settings)


def listed(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_paths_are_kept_and_what_is_no_picture_is_left(small: Settings) -> None:
    taken = ("a.png", "trip/b.JPG", "trip/b.JPG.xmp", "trip/b.txt")
    files = dict.fromkeys((*taken, "trip/run.sh"), PNG)
    folder = unpacked(pack(files), small)
    assert listed(folder) == set(taken)
    assert folder.name.startswith("my-photos-")
    assert (folder / "a.png").read_bytes() == PNG
    assert [path.name for path in uploads(small.home, "album").iterdir()] == [folder.name]


def test_hidden_files_and_copies_of_other_systems_are_left(small: Settings) -> None:
    files = dict.fromkeys(("a.png", "__MACOSX/._a.png", ".trash/b.png"), PNG)
    assert listed(unpacked(pack(files), small)) == {"a.png"}


def test_the_same_archive_twice_is_one_folder(small: Settings) -> None:
    first = unpacked(pack({"a.png": PNG}), small)
    assert unpacked(pack({"a.png": PNG}), small) == first
    assert unpacked(pack({"a.png": PNG + b"."}), small) != first


def test_paths_made_on_windows_are_paths(small: Settings) -> None:
    assert listed(unpacked(pack({"trip\\a.png": PNG}), small)) == {"trip/a.png"}


@pytest.mark.parametrize(
    "name", ["../a.png", "trip/../../a.png", "/tmp/a.png", "..\\a.png", "C:/a.png", "C:\\a.png"]
)
def test_a_path_that_leads_out_is_refused(small: Settings, name: str) -> None:
    with pytest.raises(SourceError, match="outside its own folder"):
        keep_upload(pack({"good.png": PNG, name: PNG}), "x.zip", "album", small)
    assert not uploads(small.home, "album").exists()


def test_a_link_is_refused(small: Settings) -> None:
    link = pack({"a.png": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(SourceError, match="link or device"):
        keep_upload(link, "x.zip", "album", small)


def test_a_password_is_refused(small: Settings) -> None:
    locked = bytearray(pack({"a.png": PNG}).getvalue())
    locked[locked.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(SourceError, match="password"):
        keep_upload(BytesIO(locked), "x.zip", "album", small)


def test_too_many_files_are_refused(small: Settings) -> None:
    many = pack({f"{n}.png": PNG for n in range(6)})
    with pytest.raises(InvalidInput, match=r"more than 5 files.*MRAG_MAX_ZIP_FILES"):
        keep_upload(many, "x.zip", "album", small)


def test_a_directory_that_would_fill_the_memory_is_refused_unread(small: Settings) -> None:
    """Its length is believed by whoever reads it: so it is looked at first."""
    huge = bytearray(pack({"a.png": PNG}).getvalue())
    struct.pack_into("<L", huge, huge.rindex(b"PK\5\6") + 12, 2**31)
    with pytest.raises(InvalidInput, match="more than 5 files"):
        keep_upload(BytesIO(huge), "x.zip", "album", small)


def test_nor_is_one_read_that_only_its_64_bit_record_tells_of(small: Settings) -> None:
    """Readers heed that record whatever the other says, so a small figure there hides nothing."""
    packed = pack({"a.png": PNG}).getvalue()
    end = packed.rindex(b"PK\5\6")
    told = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**31, 0)
    where = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    huge = packed[:end] + told + where + packed[end:]
    with pytest.raises(InvalidInput, match="more than 5 files"):
        keep_upload(BytesIO(huge), "x.zip", "album", small)


def test_more_bytes_than_allowed_are_refused(small: Settings) -> None:
    with pytest.raises(InvalidInput, match=r"30,000,000 bytes.*MRAG_MAX_ZIP_BYTES"):
        keep_upload(pack({"a.png": bytes(30_000_000)}), "x.zip", "album", small)


def test_a_bomb_within_the_bytes_allowed_is_refused(small: Settings) -> None:
    with pytest.raises(SourceError, match="times its size"):
        keep_upload(pack({"a.png": bytes(19_000_000)}), "x.zip", "album", small)


def test_a_size_that_is_a_lie_does_not_unpack(small: Settings) -> None:
    """The directory says 14 bytes, the packed data say a million."""
    lie = bytearray(pack({"a.png": bytes(1_000_000)}).getvalue())
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<L", lie, lie.index(mark) + place, 14)
    with pytest.raises(SourceError, match="damaged"):
        unpacked(BytesIO(lie), small)
    assert not any(path.is_dir() and path.suffix != ".part" for path in small.home.glob("*/*/*"))


def test_an_upload_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, max_upload_bytes=10)
    with pytest.raises(InvalidInput, match=r"limit is 10.*MRAG_MAX_UPLOAD_BYTES"):
        keep_upload(BytesIO(bytes(11)), "x.zip", "album", settings)


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\5\6", b"PK\3\4" + bytes(100)])
def test_what_is_no_archive_is_named(small: Settings, content: bytes) -> None:
    with pytest.raises(SourceError, match=r"x\.zip is no zip archive, or is damaged"):
        keep_upload(BytesIO(content), "x.zip", "album", small)


def test_a_damaged_archive_is_named(small: Settings) -> None:
    packed = bytearray(pack({"a.png": bytes(range(256)) * 40}).getvalue())
    packed[60] ^= 0xFF
    with pytest.raises(SourceError, match="damaged"):
        unpacked(BytesIO(packed), small)


def test_an_archive_of_nothing_of_use_is_refused(small: Settings) -> None:
    with pytest.raises(SourceError, match="neither pictures nor captions"):
        keep_upload(pack({"run.sh": b"rm"}), "x.zip", "album", small)


def test_unpacking_that_was_stopped_goes_on(small: Settings) -> None:
    class Stop(Exception):
        pass

    def stop(step: Progress) -> None:
        if step.done == 1:
            raise Stop

    kept = keep_upload(pack({"a.png": PNG, "b.png": PNG}), "x.zip", "album", small)
    with pytest.raises(Stop):
        unpack_upload(kept, small, on_progress=stop)
    assert listed(unpack_upload(kept, small)) == {"a.png", "b.png"}
    assert listed(unpack_upload(kept, small)) == {"a.png", "b.png"}


Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    def lay(**files: str) -> Path:
        for name, content in files.items():
            path = tmp_path / "laid" / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return tmp_path / "laid"

    return lay


def test_a_table_of_captions_is_taken_for_the_source(lay: Lay) -> None:
    row = json.dumps({"image": "a.png", "caption": "a dog"})
    folder = lay(photos__captions_jsonl=row, photos__a_png="", photos__b_png="")
    assert source_in(folder) == folder / "photos" / "captions.jsonl"


def test_without_a_table_it_is_the_folder(lay: Lay) -> None:
    folder = lay(deep__er__a_png="", deep__er__a_txt="a dog", deep__er__b_png="")
    assert source_in(folder) == folder / "deep" / "er"


def test_captions_alone_are_a_source(lay: Lay) -> None:
    folder = lay(captions_txt="a dog\na cat")
    assert source_in(folder) == folder / "captions.txt"


def test_pictures_that_the_table_does_not_name_are_taken_too(small: Settings) -> None:
    table = b"image,caption\nphotos/a.png,from the table\n"
    files = {"captions.csv": table, "photos/c.txt": b"from its own file"}
    files |= {f"photos/{name}.png": PNG for name in "abc"}
    folder = unpacked(pack(files), small)
    source = source_in(folder)
    records = beside_table(source, open_source(source))
    found = {
        record.path.name: record.captions for record in records if isinstance(record, ImageRecord)
    }
    assert found == {
        "a.png": ("from the table",),
        "b.png": (),
        "c.png": ("from its own file",),
    }
