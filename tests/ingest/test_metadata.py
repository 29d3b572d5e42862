"""What files and sidecars say of pictures: kept with them, searched by, and followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from corpus.compaction import compact
from corpus.entry import Entry
from corpus.ledger import Ledger, forget_ledger
from corpus.records import ImageRecord
from corpus.shards import Shard, shard_files
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from engine.store import open_image_store
from engine.types import Facets, Filters, Metadata, Near
from ingest.embed import EmbedReport, embed
from ingest.fit import fit
from ingest.places import place_names
from ingest.push import push
from tests.corpus.older import without_metadata
from tests.worlds import PixelEncoder, paint, record
from tests.xmp import packet

Ingest = Callable[[list[ImageRecord]], EmbedReport]


@pytest.fixture
def ingest(folder: CollectionFolder, encoder: PixelEncoder) -> Ingest:
    return lambda records: embed(records, encoder, folder)


@pytest.fixture
def photo(tmp_path: Path) -> ImageRecord:
    """A picture that says its camera, when and where it was taken."""
    path = tmp_path / "pictures" / "photo.png"
    paint(path, 1)
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS R6"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:05:01 12:30:00"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {1: "N", 2: (38.0, 42.0, 40.32), 3: "W", 4: (9.0, 7.0, 39.72)}
    )
    with Image.open(path) as image:
        image.save(path, exif=exif)
    return record(path, ["a tram", "a street"])


SAID = Metadata("Canon EOS R6", latitude=38.7112, longitude=-9.1277)


def entries(folder: CollectionFolder) -> list[Entry]:
    with Ledger.read(folder) as ledger:
        return [
            entry
            for file in ledger.shards()
            for entry in Shard(file).entries(ledger.live(file.number).pictures)
        ]


def sidecar(photo: ImageRecord, suffix: str = ".xmp", **said: Any) -> Path:
    path = photo.path.with_name(photo.path.name + suffix)
    path.write_bytes(packet(**said))
    return path


def facets(folder: CollectionFolder, card: CollectionCard, settings: Settings) -> Facets:
    if not folder.alignment.exists():
        fit(folder, card)
    push(folder, card, settings)
    with open_image_store(folder, card, settings) as images:
        return images.facets()


def test_what_a_file_says_is_kept_and_searched_by(
    ingest: Ingest,
    photo: ImageRecord,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
) -> None:
    ingest([photo])
    [entry] = entries(folder)
    assert (entry.metadata, entry.taken_at) == (SAID, "2021-05-01T12:30:00")
    found = facets(folder, card, settings)
    assert found.cameras == {"Canon EOS R6": 1}
    assert {"Lisbon", "Portugal"} <= set(found.places)
    assert found.taken_from == datetime(2021, 5, 1, 12, 30, tzinfo=UTC)
    with open_image_store(folder, card, settings) as images:
        assert images.count(Filters(near=Near(38.71, -9.13, 1), phrases=("a tram",))) == 1
        assert images.count(Filters(near=Near(38.71, -9.13, 1), phrases=("tram a",))) == 0


def test_a_sidecar_is_read_first_and_its_keywords_are_tags(
    ingest: Ingest, photo: ImageRecord, folder: CollectionFolder
) -> None:
    tagged = replace(photo, tags=("Sea", "own"))
    sidecar(photo, subject=["sea", "Lisbon"], title="Trams", Model="Other", Rating="3")
    ingest([tagged])
    [entry] = entries(folder)
    assert entry.tags == ("Sea", "own", "Lisbon")
    assert (entry.metadata.camera, entry.metadata.title) == ("Other", "Trams")
    assert (entry.metadata.rating, entry.metadata.latitude) == (3, SAID.latitude)
    assert entry.captions == photo.captions  # nothing of it is a caption


def test_a_changed_sidecar_is_followed_without_encoding(
    ingest: Ingest,
    photo: ImageRecord,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
) -> None:
    ingest([photo])
    assert facets(folder, card, settings).tags == {}
    encoded = encoder.pictures, len(encoder.texts)
    path = sidecar(photo, subject=["sea"], DateTimeOriginal="1999-01-02T03:04:05")
    assert ingest([photo]).reused == 1
    found = facets(folder, card, settings)
    assert found.tags == {"sea": 1}
    assert found.taken_from == datetime(1999, 1, 2, 3, 4, 5, tzinfo=UTC)
    again = ingest([photo])
    assert (again.unchanged, again.reused) == (1, 0)
    path.unlink()
    assert ingest([photo]).reused == 1
    found = facets(folder, card, settings)
    assert found.tags == {}
    assert found.taken_from == datetime(2021, 5, 1, 12, 30, tzinfo=UTC)
    assert (encoder.pictures, len(encoder.texts)) == encoded


def test_a_damaged_sidecar_is_named_and_the_picture_taken(
    ingest: Ingest, photo: ImageRecord, folder: CollectionFolder
) -> None:
    path = sidecar(photo)
    path.write_bytes(b"<x:xmpmeta")
    report = ingest([photo])
    assert (report.embedded, report.skipped) == (1, {"source": 1})
    assert report.examples[0].uri == str(path)
    assert entries(folder)[0].metadata == SAID
    assert ingest([photo]).skipped == {}  # as it is, it has been looked at


def test_pictures_of_an_earlier_version_are_read_again_and_not_encoded(
    ingest: Ingest,
    photo: ImageRecord,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    encoder: PixelEncoder,
    pictures: Callable[..., list[ImageRecord]],
) -> None:
    records = [photo, *pictures(5, captions=1)]
    ingest(records)
    without_metadata(folder.embeddings)
    forget_ledger(folder)
    assert {one.metadata for one in entries(folder)} == {Metadata()}
    assert facets(folder, card, settings).cameras == {}
    encoded = encoder.pictures, len(encoder.texts)
    assert ingest(records).reused == 6
    assert (encoder.pictures, len(encoder.texts)) == encoded
    with Ledger.read(folder) as ledger:
        told = [len(live.pictures) for _, live in ledger.changed(1)]
    assert told == [1]  # of pictures whose files say nothing an index need not hear
    assert facets(folder, card, settings).cameras == {"Canon EOS R6": 1}
    assert ingest(records).unchanged == 6


def test_shards_of_an_earlier_version_are_compacted_with_new_ones(
    ingest: Ingest,
    photo: ImageRecord,
    folder: CollectionFolder,
    pictures: Callable[..., list[ImageRecord]],
) -> None:
    older, newer = pictures(3, captions=1), pictures(2, captions=1, first=3)
    ingest(older)
    without_metadata(folder.embeddings)
    forget_ledger(folder)
    ingest([photo, *newer])
    compact(folder, pushed=0)
    assert len(shard_files(folder.embeddings)) == 1
    said = {entry.image_id: entry.names[0].sidecar for entry in entries(folder)}
    assert said == {
        **{one.image_id: None for one in older},
        **{one.image_id: "" for one in [photo, *newer]},
    }
    assert SAID in {entry.metadata for entry in entries(folder)}
    assert ingest([photo, *newer]).unchanged == 3


def test_a_part_leaves_pictures_of_an_earlier_version_where_they_are(
    ingest: Ingest,
    folder: CollectionFolder,
    settings: Settings,
    card: CollectionCard,
    encoder: PixelEncoder,
    pictures: Callable[..., list[ImageRecord]],
) -> None:
    records = pictures(2)
    ingest(records)
    without_metadata(folder.embeddings)
    forget_ledger(folder)
    part = CollectionFolder(settings.home, "part")
    part.write_card(card)
    report = embed(records, encoder, part, beside=folder)
    assert (report.unchanged, report.embedded) == (2, 0)


def test_copies_say_together_what_each_file_says(
    ingest: Ingest, photo: ImageRecord, folder: CollectionFolder, tmp_path: Path
) -> None:
    copied = tmp_path / "other" / "copy.png"
    copied.parent.mkdir()
    copied.write_bytes(photo.path.read_bytes())
    copy = record(copied)
    sidecar(photo, subject=["sea"])
    sidecar(copy, subject=["sun"], Rating="4")
    ingest([photo, copy])
    [entry] = entries(folder)
    assert (entry.tags, entry.metadata.rating) == (("sea", "sun"), 4)
    assert ingest([photo, copy]).unchanged == 2


def test_places_are_named_from_near_to_far_and_not_at_sea() -> None:
    at = [
        Metadata(latitude=-33.9, longitude=151.2),
        Metadata(),
        Metadata(latitude=0.0, longitude=-30.0),
        Metadata(latitude=37.7749, longitude=-122.4194),
    ]
    sydney, nowhere, sea, francisco = place_names(at)
    assert sydney == ("Alexandria", "Sydney", "City of Sydney", "New South Wales", "Australia")
    assert nowhere == sea == ()
    assert (francisco[0], francisco[-1]) == ("San Francisco", "United States")
    assert len(francisco) == len(set(francisco))
