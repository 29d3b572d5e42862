from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from corpus.parquet import shard_files
from corpus.records import CaptionRecord, ImageRecord, Record, Skipped
from engine.collection import CollectionFolder
from engine.errors import CollectionMissing, IncompatibleIndex, InvalidInput, SourceError
from engine.progress import Progress
from engine.settings import Settings
from engine.store import open_caption_store, open_image_store
from ingest.pipeline import IngestReport, ingest
from ingest.readers import open_source

if TYPE_CHECKING:
    from tests.worlds import PixelEncoder, PlainDescriber

Pictures = Callable[..., list[ImageRecord]]


class Ingest:
    """Ingests with the fakes."""

    def __init__(
        self, settings: Settings, encoder: PixelEncoder, describer: PlainDescriber
    ) -> None:
        self.settings, self.encoder, self.describer = settings, encoder, describer
        self.told: list[Progress] = []
        self.made = 0

    def __call__(
        self,
        records: Iterable[Record],
        *,
        name: str = "album",
        encoder: PixelEncoder | None = None,
        memory: str = "",
        alignment: str = "",
    ) -> IngestReport:
        return ingest(
            records,
            name=name,
            encoder=encoder or self.encoder,
            encoder_spec="spec",
            generator_spec="consensus",
            settings=self.settings,
            memory=memory,
            alignment=alignment,
            captioner_factory=self._make,
            on_progress=self.told.append,
        )

    def _make(self) -> PlainDescriber:
        self.made += 1
        return self.describer

    def counts(self, name: str = "album") -> tuple[int, int]:
        folder = self.folder(name)
        card = folder.read_card()
        with (
            open_image_store(folder, card, self.settings) as images,
            open_caption_store(folder, card, self.settings) as captions,
        ):
            return images.count(), captions.count()

    def folder(self, name: str = "album") -> CollectionFolder:
        return CollectionFolder(self.settings.home, name)


@pytest.fixture
def run(settings: Settings, encoder: PixelEncoder, describer: PlainDescriber) -> Ingest:
    return Ingest(settings, encoder, describer)


def test_a_source_becomes_a_collection(run: Ingest, pictures: Pictures) -> None:
    report = run([*pictures(30, captions=2), *pictures(3, first=40), Skipped("row 1", "is empty")])
    assert run.counts() == (33, 63)
    assert (report.pictures, report.captions, report.undescribed) == (33, 60, 0)
    assert report.fitted
    assert report.described is not None
    assert report.described.described == 3
    assert "read 34: 33 pictures and 60 captions embedded" in report.text
    assert "row 1: is empty" in report.text
    assert "described 3 pictures" in report.text
    card = run.folder().read_card()
    assert (card.encoder_id, card.dim, card.generator) == ("pixels", 16, "consensus")
    assert {step.stage for step in run.told} == {
        "embed",
        "fit",
        "push",
        "compare pictures",
        "describe",
        "load what describes",
    }


def test_again_with_nothing_new_does_nothing(run: Ingest, pictures: Pictures) -> None:
    records: list[Record] = [*pictures(30, captions=1), *pictures(3, first=40)]
    run(records)
    encoded = run.encoder.pictures, len(run.encoder.texts)
    report = run(records)
    assert (run.encoder.pictures, len(run.encoder.texts)) == encoded
    assert not report.fitted
    assert report.push is not None
    assert report.push.points == 0
    assert run.made == 1
    assert "33 unchanged" in report.text


def test_a_folder_that_lost_pictures_loses_them_in_the_index(
    run: Ingest, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    album = tmp_path / "album"
    for seed in range(3):
        painted(album / f"{seed}.png", seed)
    run([*open_source(album)])
    (album / "1.png").unlink()
    assert "removed 1" in run([*open_source(album)]).text
    assert run.counts() == (2, 0)
    (album / "notes.txt").write_text("the pictures have moved")
    (album / "0.png").unlink()
    (album / "2.png").unlink()
    assert run([*open_source(album)]).embed.removed == 2
    assert run.counts() == (0, 0)


def test_half_a_character_in_a_table_is_skipped_and_the_collection_lives(
    run: Ingest, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    rows = []
    for seed in range(4):
        painted(tmp_path / f"{seed}.png", seed)
        rows.append({"image": f"{seed}.png", "caption": f"picture {seed}", "id": str(seed)})
    rows[1]["id"], rows[2]["caption"] = "\ud83d", "half \ud83d"
    table = tmp_path / "rows.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    report = run(open_source(table))
    assert report.embed.skipped == {"source": 2}
    assert run.counts() == (3, 3)
    assert run(open_source(table)).embed.unchanged == 3


def test_the_number_of_pictures_to_come_is_told(
    run: Ingest, tmp_path: Path, painted: Callable[[Path, int], None]
) -> None:
    for seed in range(3):
        painted(tmp_path / "album" / f"{seed}.png", seed)
    for _ in range(2):
        run.told.clear()
        run(open_source(tmp_path / "album"))
        assert Progress("embed", 3, 3) in run.told
    run.told.clear()
    run((each for each in [CaptionRecord("a"), CaptionRecord("b")]), name="words")
    assert {step.total for step in run.told if step.stage == "embed"} == {None}


def test_an_empty_folder_makes_no_collection(run: Ingest, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither pictures nor captions"):
        run([*open_source(tmp_path)])
    assert not run.folder().exists()


def test_pictures_alone_say_what_is_missing(run: Ingest, pictures: Pictures) -> None:
    report = run([*pictures(4)])
    assert run.made == 0
    assert report.undescribed == 4
    assert "4 pictures have no captions" in report.text
    assert "--memory" in report.text


def test_a_memory_describes_pictures(run: Ingest, pictures: Pictures) -> None:
    run([CaptionRecord(f"text {i}") for i in range(40)], name="memory")
    report = run([*pictures(30)], memory="memory")
    assert report.alignment is not None
    assert report.alignment.method == "centred"
    assert "centred by the means of 30 pictures and 40 captions" in report.text
    assert run.counts() == (30, 30)
    assert run.folder().read_card().memory == "memory"
    run([*pictures(31)])
    assert run.folder().read_card().memory == "memory"
    assert run.counts() == (31, 31)


def test_a_memory_that_comes_later_describes_what_is_there(run: Ingest, pictures: Pictures) -> None:
    run([*pictures(30)])
    run([CaptionRecord(f"text {i}") for i in range(40)], name="memory")
    report = run([], memory="memory")
    assert report.described is not None
    assert report.described.described == 30
    assert run.counts() == (30, 30)


def test_another_encoder_is_refused(
    run: Ingest, pictures: Pictures, other_encoder: PixelEncoder
) -> None:
    run([*pictures(2, captions=1)])
    with pytest.raises(IncompatibleIndex, match=r"other pixels.*--encoder spec.*another name"):
        run([*pictures(3)], encoder=other_encoder)
    assert run.counts() == (2, 2)


def test_a_memory_that_does_not_fit_is_refused(
    run: Ingest, pictures: Pictures, other_encoder: PixelEncoder
) -> None:
    run([CaptionRecord("text")], name="memory", encoder=other_encoder)
    with pytest.raises(IncompatibleIndex, match="made with encoder other pixels"):
        run([*pictures(3)], memory="memory")
    with pytest.raises(CollectionMissing, match="nowhere"):
        run([*pictures(3)], memory="nowhere")
    with pytest.raises(InvalidInput, match="its own memory"):
        run([*pictures(3)], memory="album")
    assert not run.folder().exists()


def test_a_source_that_cannot_be_read_makes_nothing(run: Ingest) -> None:
    def broken() -> list[Record]:
        raise SourceError("cannot be read")

    with pytest.raises(SourceError, match="neither pictures nor captions"):
        run([])
    with pytest.raises(SourceError, match="cannot be read"):
        run(broken())
    assert not run.folder().exists()


def test_a_source_of_bad_files_only_is_refused_and_makes_nothing(
    run: Ingest, pictures: Pictures, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    records = [ImageRecord("bad.png", str(bad), bad)]
    with pytest.raises(SourceError, match=r"(?s)nothing .*1 unreadable.*is empty \(0 bytes\)"):
        run([*records])
    assert not run.folder().path.exists()
    run([*pictures(2)])
    assert run([*records]).embed.skipped == {"unreadable": 1}
    assert run.counts() == (2, 0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_ingest_that_fails_at_once_makes_nothing_and_one_that_fails_later_keeps_what_it_has(
    run: Ingest, pictures: Pictures, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(after: int) -> Iterator[Record]:
        yield from pictures(after)
        raise error

    with pytest.raises(error):
        run(failing(3))
    assert not run.folder().path.exists()
    monkeypatch.setattr("ingest.building.SHARD_SECONDS", 0)
    with pytest.raises(error):
        run(failing(30))
    assert run.folder().exists()
    assert run([*pictures(30)]).embed.unchanged > 0


def test_another_collections_map(run: Ingest, pictures: Pictures) -> None:
    run([*pictures(40, captions=2)], name="fitted")
    report = run([*pictures(30, first=60, captions=1)], alignment="fitted")
    assert report.alignment is not None
    assert report.alignment.source == "collection fitted"


def test_captions_that_change_are_searched_as_they_are_now(run: Ingest, pictures: Pictures) -> None:
    records = pictures(30, captions=1)
    run([*records])
    records[5] = replace(records[5], captions=("zebra crossing",))
    run([*records])
    folder = run.folder()
    with open_image_store(folder, folder.read_card(), run.settings) as images:
        (hit,) = images.search("words", 5, words="zebra")
    assert hit.image_id == records[5].image_id
    assert run.counts() == (30, 30)


def test_a_lost_card_lets_no_other_encoder_in(
    run: Ingest, pictures: Pictures, other_encoder: PixelEncoder, settings: Settings
) -> None:
    """What was embedded is kept for its own encoder, which finds everything unchanged."""
    records = pictures(3)
    run(records)
    folder = CollectionFolder(settings.home, "album")
    (folder.path / "collection.json").unlink()
    with pytest.raises(IncompatibleIndex, match="pixels, not with other pixels"):
        run(records, encoder=other_encoder)
    assert not folder.exists()
    assert run(records).embed.unchanged == 3


def test_another_memory_is_named_once_its_map_is_taken(
    run: Ingest, pictures: Pictures, settings: Settings
) -> None:
    """Who describes meanwhile would else borrow from a memory that no map of theirs fits."""
    run([*pictures(40, captions=2)], name="fitted")
    run([*pictures(30, first=60)], memory="fitted")
    run([*pictures(40, first=100, captions=2)], name="other")
    named: list[str] = []
    folder = CollectionFolder(settings.home, "album")

    def look() -> Iterator[Record]:
        named.append(folder.read_card().memory)
        yield from pictures(1, first=99)
        named.append(folder.read_card().memory)

    run(look(), memory="other")
    assert named == ["fitted", "fitted"]
    assert folder.read_card().memory == "other"
    with pytest.raises(CollectionMissing, match="'none'"):
        run(look(), memory="none")


def test_what_was_superseded_goes_by_itself(run: Ingest, pictures: Pictures) -> None:
    records: list[Record] = [*pictures(30, captions=2)]
    run(records)
    places = run.folder().embeddings
    once = sum(file.path.stat().st_size for file in shard_files(places).values())
    compacted = []
    for turn in range(1, 11):
        for one in pictures(30):
            os.utime(one.path, ns=(turn * 10**9, turn * 10**9))
        report = run(records)
        compacted.append(report.compacted is not None)
        assert report.push is not None
        assert (report.push.points, report.push.deleted) == (0, 0)
        assert not report.fitted
    size = sum(file.path.stat().st_size for file in shard_files(places).values())
    assert all(compacted)
    assert "let go of what was superseded" in report.text
    assert size <= 1.05 * once
    assert run.encoder.pictures == 30
    assert run.counts() == (30, 60)
