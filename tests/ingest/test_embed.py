from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from corpus.entry import Entry
from corpus.ledger import Ledger
from corpus.records import CaptionRecord, ImageRecord, Record, Skipped, WholeFolder
from corpus.shards import Shard, shard_files
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.limits import Limits
from engine.progress import Progress
from engine.types import Vector, Vectors
from engine.vectors import unit
from ingest.embed import EmbedOptions, EmbedReport, embed
from ingest.readers import open_source

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder

Pictures = Callable[..., list[ImageRecord]]
Paint = Callable[[Path, int], None]


@pytest.fixture
def run(folder: CollectionFolder, encoder: PixelEncoder) -> Callable[..., EmbedReport]:
    def run(records: list[Record], *, shard_size: int = 4) -> EmbedReport:
        return embed(
            records, encoder, folder, EmbedOptions(batch_size=4, workers=2, shard_size=shard_size)
        )

    return run


Run = Callable[..., EmbedReport]


def living(folder: CollectionFolder) -> Iterator[tuple[Entry, Vector, Vectors]]:
    """What the ledger says is embedded, with vectors as read from the shards."""
    with Ledger.open(folder) as ledger:
        for file in ledger.shards():
            shard = Shard(file)
            images, captions = unit(shard.images), unit(shard.captions)
            rows = ledger.live(file.number).pictures
            for row, entry in zip(rows, shard.entries(rows), strict=True):
                yield entry, images[row], captions[shard.span(row)]


def assert_true(folder: CollectionFolder, encoder: PixelEncoder) -> dict[str, Entry]:
    """Every stored vector is that of its own file and captions, encoded directly; each is once."""
    found, contents = {}, set()
    for entry, vector, captions in living(folder):
        assert entry.sha256 not in contents
        contents.add(entry.sha256)
        found[entry.image_id] = entry
        with Image.open(entry.path) as image:
            np.testing.assert_allclose(vector, encoder.encode_images([image])[0], atol=2e-3)
        expected = encoder.encode_texts(list(entry.captions))
        np.testing.assert_allclose(captions, expected, atol=2e-3)
    return found


def skipped(folder: CollectionFolder) -> list[dict[str, str]]:
    lines = folder.skipped.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_pictures_and_captions_are_stored_in_shards(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    report = run(pictures(13, captions=2))
    assert (report.read, report.embedded, report.captions) == (13, 13, 26)
    assert not report.skipped
    assert len(shard_files(folder.embeddings)) == 4
    assert len(assert_true(folder, encoder)) == 13


def test_nothing_is_encoded_again(run: Run, pictures: Pictures, encoder: PixelEncoder) -> None:
    records: list[Record] = [*pictures(6, captions=2), CaptionRecord("alone", "far away")]
    run(records)
    encoder.pictures, encoder.texts = 0, []
    report = run(records)
    assert (report.embedded, report.captions, report.unchanged) == (0, 0, 7)
    assert encoder.pictures == 0
    assert encoder.texts == []


def test_unchanged_files_are_not_read(
    run: Run, pictures: Pictures, encoder: PixelEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = pictures(3)
    run(records)

    def refuse(*args: object) -> None:
        raise AssertionError(f"read {args}")

    monkeypatch.setattr("ingest.embed.open_picture", refuse)
    assert run(records).unchanged == 3
    assert encoder.pictures == 3


def test_files_added_later_cost_only_themselves(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run(pictures(7, captions=1))
    encoder.pictures = 0
    report = run(pictures(9, captions=1))
    assert (encoder.pictures, report.embedded, report.unchanged) == (2, 2, 7)
    assert len(assert_true(folder, encoder)) == 9


def test_bad_files_are_named_and_shift_nothing(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records: list[Record] = [*pictures(12, captions=2)]
    bad = {1: b"", 4: b"this is text", 5: None, 9: b""}
    for index, content in bad.items():
        record = records[index]
        assert isinstance(record, ImageRecord)
        record.path.unlink()
        if content is not None:
            record.path.write_bytes(content)
    cut = pictures(1, first=50)[0]
    cut.path.write_bytes(cut.path.read_bytes()[:100])
    records[6:6] = [cut, Skipped("row 7", "has no picture")]
    report = run(records)
    assert report.read == 14
    assert report.embedded == 8
    assert report.skipped == {"unreadable": 5, "source": 1}
    assert len(skipped(folder)) == 6
    assert {"uri": "row 7", "kind": "source", "reason": "has no picture"} in skipped(folder)
    (line,) = (line for line in skipped(folder) if line["uri"] == str(cut.path))
    assert str(cut.path) not in line["reason"]
    good = {f"{i:04d}.png" for i in range(12) if i not in bad}
    assert assert_true(folder, encoder).keys() == good


def test_the_skipped_file_is_of_the_last_run(
    run: Run, pictures: Pictures, folder: CollectionFolder
) -> None:
    run([Skipped("row 1", "is empty")])
    assert len(skipped(folder)) == 1
    run(pictures(1))
    assert skipped(folder) == []


def test_the_pixel_limit_is_kept(
    pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    report = embed(pictures(2), encoder, folder, EmbedOptions(limits=Limits(max_pixels=10)))
    assert report.skipped == {"unreadable": 2}
    assert "limit is 10" in report.examples[0].reason


def test_a_moved_file_keeps_its_vector(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(4, captions=2)
    run(records)
    encoder.pictures, encoder.texts = 0, []
    new = records[2].path.with_name("renamed.png")
    records[2].path.rename(new)
    records[2] = replace(records[2], image_id=new.name, uri=str(new), path=new)
    report = run(records)
    assert (report.reused, report.embedded, report.captions) == (1, 0, 0)
    assert encoder.pictures == 0
    assert encoder.texts == []
    found = assert_true(folder, encoder)
    assert found.keys() == {"0000.png", "0001.png", "renamed.png", "0003.png"}
    assert found["renamed.png"].uri == str(new)
    assert run(records).unchanged == 4


def test_a_moved_collection_of_files_keeps_all_vectors(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder, tmp_path: Path
) -> None:
    records = pictures(11, captions=1)
    run(records)
    encoder.pictures = 0
    (tmp_path / "pictures").rename(tmp_path / "elsewhere")
    moved = [
        replace(record, path=tmp_path / "elsewhere" / record.path.name, uri="new")
        for record in records
    ]
    assert run(moved).reused == 11
    assert encoder.pictures == 0
    assert {entry.uri for entry in assert_true(folder, encoder).values()} == {"new"}


def test_a_copy_is_skipped_and_names_the_other(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(2)
    copy = records[0].path.with_name("copy.png")
    shutil.copy(records[0].path, copy)
    records.append(replace(records[0], image_id="copy.png", uri=str(copy), path=copy))
    for _ in range(2):
        report = run(records)
        assert report.skipped == {"duplicate": 1}
        assert str(records[0].path) in report.examples[0].reason
        assert report.examples[0].uri == str(copy)
    assert assert_true(folder, encoder).keys() == {"0000.png", "0001.png"}
    records[0].path.unlink()
    assert run(records[1:]).reused == 1
    assert assert_true(folder, encoder).keys() == {"copy.png", "0001.png"}


def test_a_picture_overwritten_by_a_copy_of_another_goes(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(3, captions=1)
    with records[1].path.open("ab") as file:
        file.write(b"tail")  # so that the sizes differ
    run(records)
    shutil.copy(records[0].path, records[1].path)
    for removed in (1, 0):
        report = run(records)
        assert (report.removed, report.skipped) == (removed, {"duplicate": 1})
        assert assert_true(folder, encoder).keys() == {"0000.png", "0002.png"}


def test_a_run_that_fails_after_it_saw_a_copy_loses_nothing(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(2)
    with records[1].path.open("ab") as file:
        file.write(b"tail")  # so that the sizes differ
    run(records)
    shutil.copy(records[0].path, records[1].path)
    records += pictures(1, first=7)
    encoder.fails_at = encoder.pictures
    with pytest.raises(RuntimeError, match="out of memory"):
        run(records)
    encoder.fails_at = -1
    assert (run(records).removed, run(records).removed) == (1, 0)
    assert assert_true(folder, encoder).keys() == {"0000.png", "0007.png"}


def test_a_picture_that_moved_before_it_was_overwritten_stays(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(2, captions=1)
    run(records)
    moved = records[1].path.with_name("moved.png")
    records[1].path.rename(moved)
    shutil.copy(records[0].path, records[1].path)
    records.append(replace(records[1], image_id="moved.png", uri=str(moved), path=moved))
    encoder.pictures = 0
    assert run(records).skipped == {"duplicate": 1}
    assert encoder.pictures == 0
    assert assert_true(folder, encoder).keys() == {"0000.png", "moved.png"}


@pytest.fixture
def album(painted: Paint, tmp_path: Path) -> Path:
    """A folder with six pictures, two of them in a folder of their own."""
    album = tmp_path / "album"
    for seed, name in enumerate(("a.png", "b.png", "c.png", "d.png", "sub/e.png", "sub/f.png")):
        painted(album / name, seed)
    return album


def test_pictures_deleted_from_a_folder_go(
    run: Run, album: Path, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    run(open_source(album))
    (album / "b.png").unlink()
    (album / "sub" / "e.png").unlink()
    encoder.pictures = 0
    for removed in (2, 0):
        report = run(open_source(album))
        assert (report.read, report.removed, report.unchanged) == (4, removed, 4)
        assert not report.skipped
    assert encoder.pictures == 0
    assert assert_true(folder, encoder).keys() == {"a.png", "c.png", "d.png", "sub/f.png"}
    shutil.rmtree(album / "sub")
    assert run(open_source(album)).removed == 1
    (folder.embeddings / "ledger.sqlite").unlink()
    assert assert_true(folder, encoder).keys() == {"a.png", "c.png", "d.png"}


def test_a_deleted_picture_that_comes_back_is_taken_again(
    run: Run, album: Path, folder: CollectionFolder, encoder: PixelEncoder, painted: Paint
) -> None:
    run(open_source(album))
    (album / "b.png").unlink()
    run(open_source(album))
    painted(album / "b.png", 1)
    assert run(open_source(album)).embedded == 1
    assert len(assert_true(folder, encoder)) == 6


def test_a_copy_takes_over_from_a_deleted_picture(
    run: Run, album: Path, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    shutil.copy(album / "a.png", album / "copy.png")
    assert run(open_source(album)).skipped == {"duplicate": 1}
    (album / "a.png").unlink()
    encoder.pictures = 0
    report = run(open_source(album))
    assert (report.reused, report.removed, encoder.pictures) == (1, 0, 0)
    assert "copy.png" in assert_true(folder, encoder)


def empty(folder: Path) -> None:
    """Leave the folder as a disk leaves it that is taken away."""
    shutil.rmtree(folder)
    folder.mkdir()


def link_to_nowhere(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("gone"))


@pytest.mark.parametrize("take_away", [empty, link_to_nowhere])
@pytest.mark.parametrize("name", [".", "sub"])
def test_pictures_out_of_reach_stay(
    run: Run,
    album: Path,
    folder: CollectionFolder,
    take_away: Callable[[Path], None],
    name: str,
) -> None:
    run(open_source(album))
    take_away(album / name)
    assert run([WholeFolder(album)]).removed == 0
    with Ledger.open(folder) as ledger:
        assert ledger.pictures() == 6


def test_a_folder_that_is_gone_altogether_takes_nothing_along(
    run: Run, album: Path, folder: CollectionFolder
) -> None:
    run(open_source(album))
    shutil.rmtree(album)
    assert run([WholeFolder(album)]).removed == 0
    with Ledger.open(folder) as ledger:
        assert ledger.pictures() == 6


def test_only_a_whole_folder_says_what_is_gone(run: Run, album: Path, painted: Paint) -> None:
    run(open_source(album))
    (album / "b.png").unlink()
    painted(album.with_name("album2") / "z.png", 9)
    assert run(open_source(album, limit=2)).removed == 0
    assert run(open_source(album.with_name("album2"))).removed == 0
    assert run(open_source(album / "sub")).removed == 0
    assert run(open_source(album.parent)).removed == 1


def test_a_changed_picture_is_encoded_again(
    run: Run, pictures: Pictures, painted: Paint, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(3, captions=1)
    run(records)
    encoder.pictures = 0
    painted(records[1].path, 99)
    assert run(records).embedded == 1
    assert encoder.pictures == 1
    assert len(assert_true(folder, encoder)) == 3


def test_two_files_that_swap_names_are_both_right(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(3)
    with records[1].path.open("ab") as file:
        file.write(b"tail")  # so that the sizes differ
    run(records)
    aside = records[0].path.with_name("aside")
    records[0].path.rename(aside)
    records[1].path.rename(records[0].path)
    aside.rename(records[1].path)
    run(records)
    assert len(assert_true(folder, encoder)) == 3


def test_a_touched_file_is_not_encoded_again(
    run: Run, pictures: Pictures, encoder: PixelEncoder
) -> None:
    records = pictures(2)
    run(records)
    os.utime(records[0].path, ns=(1, 1))
    report = run(records)
    assert (report.reused, report.embedded) == (1, 0)
    assert run(records).unchanged == 2
    assert encoder.pictures == 2


def test_new_captions_cost_only_themselves(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(3, captions=1)
    run(records)
    encoder.pictures, encoder.texts = 0, []
    records[1] = replace(records[1], captions=("something else", "and more"))
    report = run(records)
    assert (report.reused, report.captions) == (1, 2)
    assert encoder.pictures == 0
    assert encoder.texts == ["something else", "and more"]
    found = assert_true(folder, encoder)
    assert found["0001.png"].captions == ("something else", "and more")


def test_a_picture_that_was_removed_and_put_back_is_known(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(3)
    run(records)
    content = records[0].path.read_bytes()
    records[0].path.unlink()
    assert run(records[1:]).unchanged == 2
    records[0].path.write_bytes(content)
    assert run(records).embedded == 0
    assert encoder.pictures == 3
    assert len(assert_true(folder, encoder)) == 3


def test_two_folders_may_use_the_same_name(
    run: Run, painted: Paint, folder: CollectionFolder, encoder: PixelEncoder, tmp_path: Path
) -> None:
    sources: list[list[Record]] = []
    for seed, name in enumerate(("camera", "phone")):
        path = tmp_path / name / "IMG_0001.png"
        painted(path, seed)
        sources.append([ImageRecord("IMG_0001.png", str(path), path)])
    for source in sources:
        assert run(source).embedded == 1
    for source in sources:
        assert run(source).unchanged == 1
    assert_true(folder, encoder)
    found = [entry for entry, _, _ in living(folder)]
    assert [entry.image_id for entry in found] == ["IMG_0001.png"] * 2
    assert sorted(Path(entry.path).parent.name for entry in found) == ["camera", "phone"]


def test_a_source_with_captions_takes_over_and_one_without_does_not(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    bare = pictures(2)
    run(bare)
    told = [replace(record, image_id=f"row {i}", captions=("a",)) for i, record in enumerate(bare)]
    assert run(told).reused == 2
    assert assert_true(folder, encoder).keys() == {"row 0", "row 1"}
    again = run(bare)
    assert (again.unchanged, again.skipped) == (2, {})  # no copies: they are the same files
    assert assert_true(folder, encoder).keys() == {"row 0", "row 1"}
    assert encoder.pictures - 2 * 2 == 2  # once for good; twice two by the checks above


def test_an_id_given_twice_is_used_once(run: Run, pictures: Pictures) -> None:
    records = pictures(2)
    records[1] = replace(records[1], image_id=records[0].image_id)
    report = run(records)
    assert report.embedded == 1
    assert report.skipped == {"repeated": 1}


def test_captions_alone_are_stored_once(
    run: Run, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records: list[Record] = [CaptionRecord(f"caption {i % 70}", split="train") for i in range(90)]
    report = run(records)
    assert (report.captions, report.unchanged) == (70, 20)
    assert run(records).captions == 0
    assert len(encoder.texts) == 70
    with Ledger.open(folder) as ledger:
        assert ledger.captions() == 70
        texts = []
        for file in ledger.shards():
            shard = Shard(file)
            assert shard.loose <= 4 * 8
            said = [caption.text for caption in shard.loose_captions()]
            np.testing.assert_allclose(unit(shard.captions), encoder.encode_texts(said), atol=2e-3)
            texts += said
    assert texts == [f"caption {i}" for i in range(70)]


def test_a_failing_encoder_loses_nothing_that_was_done(
    run: Run, pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    records = pictures(14)
    encoder.fails_at = 9
    with pytest.raises(RuntimeError, match="out of memory"):
        run(records, shard_size=4)
    encoder.fails_at = -1
    done = encoder.pictures
    assert done == 8
    report = run(records, shard_size=4)
    assert (report.unchanged, report.embedded) == (8, 6)
    assert encoder.pictures == 14
    assert len(assert_true(folder, encoder)) == 14


def test_numbers_that_are_not_finite_are_skipped(
    run: Run,
    pictures: Pictures,
    folder: CollectionFolder,
    encoder: PixelEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encode = encoder.encode_images

    def broken(images: list[Image.Image]) -> Vectors:
        vectors = encode(images)
        vectors[1] = np.nan
        return vectors

    monkeypatch.setattr(encoder, "encode_images", broken)
    report = run(pictures(3, captions=1))
    assert report.skipped == {"not finite": 1}
    monkeypatch.undo()
    assert assert_true(folder, encoder).keys() == {"0000.png", "0002.png"}


@pytest.mark.parametrize("raises", [True, False])
def test_a_caption_without_a_usable_vector_is_skipped(
    run: Run,
    folder: CollectionFolder,
    encoder: PixelEncoder,
    monkeypatch: pytest.MonkeyPatch,
    raises: bool,
) -> None:
    encode = encoder.encode_texts

    def broken(texts: list[str]) -> Vectors:
        if raises and "bad" in texts:
            raise InvalidInput("a vector is not finite")
        vectors = encode(texts)
        vectors[[text == "bad" for text in texts]] = np.inf
        return vectors

    monkeypatch.setattr(encoder, "encode_texts", broken)
    texts = [f"caption {i}" for i in range(5)]
    report = run([CaptionRecord(text) for text in [*texts[:3], "bad", *texts[3:]]])
    assert report.skipped == {"not finite": 1}
    assert [line["uri"] for line in skipped(folder)] == ["bad"]
    shard = Shard(shard_files(folder.embeddings)[0])
    assert [caption.text for caption in shard.loose_captions()] == texts
    np.testing.assert_allclose(unit(shard.captions), encode(texts), atol=2e-3)


def test_progress_ends_at_all_records(
    pictures: Pictures, folder: CollectionFolder, encoder: PixelEncoder
) -> None:
    told: list[Progress] = []
    embed(pictures(5), encoder, folder, on_progress=told.append)
    assert told[-1] == Progress("embed", 5, 5)
    embed((each for each in pictures(5)), encoder, folder, on_progress=told.append)
    assert told[-1] == Progress("embed", 5, None)


def test_a_big_picture_does_not_wait_for_a_full_batch(
    pictures: Pictures,
    folder: CollectionFolder,
    encoder: PixelEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.building.BATCH_BYTES", 4 * 8 * 8)
    monkeypatch.setattr("ingest.decoding.BUDGET_BYTES", 1)
    assert (
        embed(pictures(7), encoder, folder, EmbedOptions(batch_size=100, workers=3)).embedded == 7
    )
    assert len(assert_true(folder, encoder)) == 7


@pytest.mark.parametrize(("count", "each"), [(1, 6_000), (60, 100)])
def test_six_thousand_captions_of_20_kb_are_taken(
    run: Run, pictures: Pictures, folder: CollectionFolder, count: int, each: int
) -> None:
    long = ("a long caption " * 1400)[: 20 * 1024]
    records = [
        replace(record, captions=tuple(f"{number} {at} {long}" for at in range(each)))
        for number, record in enumerate(pictures(count))
    ]
    assert run(records, shard_size=1024).captions == 6_000
    with Ledger.open(folder) as ledger:
        assert (ledger.pictures(), ledger.captions()) == (count, 6_000)
    assert run(records).unchanged == count
    found = sorted((entry for entry, _, _ in living(folder)), key=lambda entry: entry.image_id)
    assert tuple(entry.captions for entry in found) == tuple(one.captions for one in records)


def test_a_file_whose_name_is_no_unicode_is_taken(
    run: Run, painted: Paint, folder: CollectionFolder, encoder: PixelEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "album" / os.fsdecode(b"caf\xe9.png")
    try:
        painted(path, 1)
    except OSError:
        pytest.skip("this file system takes only Unicode")
    for counts in ((1, 0), (0, 1)):
        report = run(open_source(path.parent))
        assert (report.embedded, report.unchanged) == counts
    (entry,) = assert_true(folder, encoder).values()
    assert entry.path == str(path)
    (folder.embeddings / "ledger.sqlite").unlink()
    assert run(open_source(path.parent)).unchanged == 1


def test_a_caption_that_is_no_unicode_costs_only_itself(
    run: Run, painted: Paint, folder: CollectionFolder, encoder: PixelEncoder, tmp_path: Path
) -> None:
    for seed in range(3):
        painted(tmp_path / f"{seed}.png", seed)
    rows = [{"image": f"{seed}.png", "caption": f"caption {seed}"} for seed in range(3)]
    rows[1]["caption"] = "half of a pair: \ud83d"
    source = tmp_path / "captions.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(open_source(source))
    found = assert_true(folder, encoder)
    assert found["0.png"].captions == ("caption 0",)
    assert found["2.png"].captions == ("caption 2",)
    for entry in found.values():
        for text in entry.captions:
            text.encode()  # or no shard could hold it
    run(open_source(source))
    assert assert_true(folder, encoder) == found
