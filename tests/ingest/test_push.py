from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import CaptionRecord, ImageRecord, Record, WholeFolder
from engine.alignment.alignment import Alignment
from engine.app import Engine
from engine.collection import CollectionCard, CollectionFolder
from engine.errors import CollectionMissing, StoreUnavailable
from engine.identity import content_key, content_number
from engine.progress import OnProgress, Progress, silent
from engine.settings import Settings
from engine.store import (
    CaptionStore,
    ImageStore,
    caption_id,
    open_caption_store,
    open_image_store,
    picture_id,
)
from engine.store.generations import generations
from engine.types import CaptionPoint, Filters, Space, Vectors
from ingest.embed import EmbedOptions, embed
from ingest.fit import fit
from ingest.push import PushReport, push
from tests.engine.store.conftest import QdrantService
from tests.worlds import PixelEncoder, key_of

Pictures = Callable[..., list[ImageRecord]]
Fill = Callable[..., PushReport]


@pytest.fixture
def fill(
    folder: CollectionFolder, card: CollectionCard, settings: Settings, encoder: PixelEncoder
) -> Fill:
    """Embed, and push with the map as it is (fitted the first time)."""

    def fill(
        records: list[Record],
        on_progress: OnProgress = silent,
        place: Settings = settings,
        rebuild: bool = False,
    ) -> PushReport:
        embed(records, encoder, folder, EmbedOptions(batch_size=4, shard_size=8))
        if not folder.alignment.exists():
            fit(folder, card)
        return push(folder, card, place, rebuild=rebuild, on_progress=on_progress)

    return fill


@pytest.fixture
def images(
    folder: CollectionFolder, card: CollectionCard, settings: Settings
) -> Callable[[], ImageStore]:
    return lambda: open_image_store(folder, card, settings)


@pytest.fixture
def captions(
    folder: CollectionFolder, card: CollectionCard, settings: Settings
) -> Callable[[], CaptionStore]:
    return lambda: open_caption_store(folder, card, settings)


Images = Callable[[], ImageStore]
Captions = Callable[[], CaptionStore]


def sha256(folder: CollectionFolder, record: ImageRecord) -> str:
    with Ledger.open(folder) as ledger:
        known = ledger.file_at(record.path)
    assert known is not None
    return known.picture.sha256


def test_points_say_what_the_records_say(
    fill: Fill, pictures: Pictures, folder: CollectionFolder, images: Images, captions: Captions
) -> None:
    records = pictures(30, captions=2, split="train")
    records[3] = replace(records[3], tags=("red", "dog"))
    report = fill([*records, CaptionRecord("alone", "elsewhere", "val")])
    assert (report.images, report.captions, report.points) == (30, 61, 91)
    with images() as store:
        point = picture_id(sha256(folder, records[3]))
        (hit,) = store.get([point])
        assert store.count() == 30
    assert (hit.image_id, hit.uri) == (records[3].image_id, records[3].uri)
    assert hit.captions == records[3].captions
    assert hit.payload["tags"] == ["red", "dog"]
    assert hit.payload["split"] == "train"
    assert (hit.payload["width"], hit.payload["height"]) == (8, 8)
    with captions() as words:
        assert words.count() == 61
        (found,) = (hit for hit in words.get(list(words.ids())) if hit.text == "alone")
    assert (found.text, found.image_id, found.source) == ("alone", "elsewhere", "human")


def test_vectors_are_found_by_what_they_were_made_from(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    images: Images,
    captions: Captions,
    encoder: PixelEncoder,
) -> None:
    from PIL import Image

    records = pictures(30, captions=2)
    fill([*records])
    alignment = Alignment.load(folder.alignment)
    texts = encoder.encode_texts(list(records[7].captions))
    mapped = alignment.map_texts(texts)
    with Image.open(records[7].path) as picture:
        raw = encoder.encode_images([picture])
    mean = mapped.mean(axis=0)
    searches: dict[Space, Vectors] = {"raw": texts, "mapped": mapped}
    with images() as store:
        by_raw = store.search("raw", 1, raw=raw[0])[0]
        by_mapped = store.search("mapped", 1, mapped=alignment.map_images(raw)[0])[0]
        by_caption = store.search("caption", 1, mapped=mean / np.linalg.norm(mean))[0]
    for hit in (by_raw, by_mapped, by_caption):
        assert hit.image_id == records[7].image_id
        assert hit.score == pytest.approx(1, abs=2e-3)
    with captions() as words:
        for space, queries in searches.items():
            hits = words.search(queries, space, 1)
            assert [hit[0].text for hit in hits] == list(records[7].captions)


def test_only_what_is_new_is_written(fill: Fill, pictures: Pictures) -> None:
    fill([*pictures(30, captions=1)])
    again = fill([*pictures(30, captions=1)])
    assert (again.points, again.deleted, again.everything) == (0, 0, False)
    more = fill([*pictures(33, captions=1)])
    assert (more.images, more.captions, more.everything) == (3, 3, False)


def taken_off(store: ImageStore | CaptionStore, ids: Sequence[str]) -> dict[str, float]:
    """What is taken off each point at strength 1."""
    query = np.full((1, 16), 0.25, np.float32)
    if isinstance(store, ImageStore):
        plain, corrected = (
            store.search("mapped", 99, mapped=query[0], hub_strength=strength)
            for strength in (0.0, 1.0)
        )
        scores = ({hit.id: hit.score for hit in hits} for hits in (plain, corrected))
    else:
        found = (store.search(query, "mapped", 99, hub_strength=s)[0] for s in (0.0, 1.0))
        scores = ({hit.id: hit.score for hit in hits} for hits in found)
    before, after = scores
    return {key: before[key] - after[key] for key in ids}


def test_points_know_how_near_they_are_to_everything_by_the_bank_of_their_index(
    fill: Fill, pictures: Pictures, folder: CollectionFolder, images: Images, captions: Captions
) -> None:
    fill([*pictures(30, captions=1)])
    alignment = Alignment.load(folder.alignment)
    assert alignment.bank is not None
    one_less = {name: getattr(alignment.bank, name)[1:] for name in ("captions", "caption_owners")}
    replace(alignment, bank=replace(alignment.bank, **one_less)).save(folder.alignment)
    more = fill([*pictures(33, captions=1)])
    assert (more.images, more.everything) == (3, False)
    assert alignment.hubs is not None
    assert alignment.bank is not None
    assert len(alignment.bank.pictures) == len(alignment.bank.captions) == 30
    with images() as store, captions() as words:
        ids = list(store.ids())
        hits = store.get(ids)
        numbers = [content_number(hit.payload["sha256"]) for hit in hits]
        assert sum(number in alignment.bank.picture_owners for number in numbers) == 30
        vectors = store.vectors(ids, "mapped")
        rows = np.stack([vectors[key] for key in ids])
        expected = alignment.hubs.of_pictures(rows, np.array(numbers, np.uint64))
        assert expected is not None
        found = taken_off(store, ids)
        assert [found[key] for key in ids] == pytest.approx(expected.tolist(), abs=4e-3)
        of_them = [
            caption_id(content_key(hit.payload["sha256"]), hit.captions[0], "human") for hit in hits
        ]
        said = words.get(of_them, with_vectors=True)
        texts = alignment.map_texts(
            np.stack([one.vector for one in said if one.vector is not None])
        )
        expected = alignment.hubs.of_captions(texts, np.array(numbers, np.uint64))
        assert expected is not None
        found = taken_off(words, of_them)
        assert [found[key] for key in of_them] == pytest.approx(expected.tolist(), abs=4e-3)


def test_another_bank_writes_everything_again(
    fill: Fill, pictures: Pictures, folder: CollectionFolder
) -> None:
    fill([*pictures(30, captions=1)])
    known = Alignment.load(folder.alignment)
    assert known.bank is not None
    half = {name: getattr(known.bank, name)[:15] for name in ("pictures", "picture_owners")}
    replace(known, bank=replace(known.bank, **half)).save(folder.alignment)
    assert fill([*pictures(30, captions=1)]).everything
    replace(Alignment.load(folder.alignment), hub_strength=0.25).save(folder.alignment)
    assert fill([*pictures(30, captions=1)]).everything
    assert not fill([*pictures(30, captions=1)]).everything


def test_an_index_of_an_earlier_version_answers_as_it_did(
    fill: Fill, pictures: Pictures, folder: CollectionFolder, card: CollectionCard, images: Images
) -> None:
    fill([*pictures(30, captions=1)])
    replace(Alignment.load(folder.alignment), bank=None, hub_strength=0.0).save(folder.alignment)
    assert fill([*pictures(30, captions=1)]).everything
    with images() as store:
        assert set(taken_off(store, list(store.ids())).values()) == {0.0}
    fit(folder, card)
    assert fill([*pictures(30, captions=1)]).everything
    with images() as store:
        assert min(taken_off(store, list(store.ids())).values()) != 0


def test_a_new_map_writes_everything_again(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    card: CollectionCard,
    images: Images,
    captions: Captions,
) -> None:
    fill([*pictures(30, captions=1)])
    fit(folder, card, method="procrustes")
    report = fill([*pictures(30, captions=1)])
    assert (report.images, report.captions, report.everything) == (30, 30, True)
    with images() as store, captions() as words:
        assert (store.count(), words.count()) == (30, 30)


def test_superseded_points_go(
    fill: Fill, pictures: Pictures, folder: CollectionFolder, images: Images, captions: Captions
) -> None:
    records = pictures(30, captions=2)
    fill([*records])
    old = sha256(folder, records[1])
    pictures(1, first=77)[0].path.replace(records[1].path)
    records[2] = replace(records[2], captions=("told anew",))
    report = fill([*records])
    # A picture and what was said of it, and what is said of the other no longer.
    assert report.deleted == (1 + 2) + 2
    gone = [caption_id(key_of(records[2]), f"caption {i} of picture 2", "human") for i in (0, 1)]
    with images() as store, captions() as words:
        assert not store.get([picture_id(old)])
        assert store.get([picture_id(sha256(folder, records[1]))])
        assert set(words.ids()).isdisjoint(gone)
        assert (store.count(), words.count()) == (30, 59)
    assert fill([*records]).deleted == 0


def test_points_of_deleted_pictures_go(
    fill: Fill,
    pictures: Pictures,
    images: Images,
    captions: Captions,
) -> None:
    records = pictures(30, captions=2)
    whole = WholeFolder(records[0].path.parent)
    fill([*records, whole])
    records[3].path.unlink()
    assert fill([*records[:3], *records[4:], whole]).deleted == 3
    with images() as store, captions() as words:
        assert (store.count(), words.count()) == (29, 58)
        assert records[3].uri not in {hit.uri for hit in store.get(list(store.ids()))}


def test_a_moved_picture_is_still_one_point(
    fill: Fill, pictures: Pictures, images: Images, captions: Captions
) -> None:
    records = pictures(30, captions=1)
    fill([*records])
    new = records[0].path.with_name("new.png")
    records[0].path.rename(new)
    records[0] = replace(records[0], image_id="new.png", uri=str(new), path=new)
    fill([*records])
    with images() as store, captions() as words:
        assert (store.count(), words.count()) == (30, 30)
        hits = words.get(list(words.ids()))
    assert "new.png" in {hit.image_id for hit in hits}
    assert records[0].path.name in {hit.image_id for hit in hits}


@pytest.mark.parametrize("lost", ["folder", "points"])
def test_lost_points_are_written_again(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    images: Images,
    captions: Captions,
    lost: str,
) -> None:
    records = pictures(30, captions=1)
    fill([*records])
    if lost == "folder":
        shutil.rmtree(folder.index)
    else:
        with captions() as words:
            words.delete([next(words.ids())])
    assert fill([*records]).everything
    with images() as store, captions() as words:
        assert (store.count(), words.count()) == (30, 30)


def test_a_push_that_was_cut_goes_on_where_it_was(
    fill: Fill, pictures: Pictures, monkeypatch: pytest.MonkeyPatch, images: Images
) -> None:
    fill([*pictures(1, captions=1)])
    monkeypatch.setattr("ingest.push.FLUSH_POINTS", 10)
    upsert = CaptionStore.upsert
    calls = 0

    def cut(store: CaptionStore, points: Sequence[CaptionPoint]) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoreUnavailable("cut")
        upsert(store, points)

    monkeypatch.setattr(CaptionStore, "upsert", cut)
    records = pictures(31, captions=1)
    with pytest.raises(StoreUnavailable, match="cut"):
        fill([*records])
    report = fill([*records])
    assert (report.images, report.everything) == (30, False)
    with images() as store:
        assert store.count() == 31


def test_a_new_generation_that_was_cut_is_cleared_away(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill([*pictures(30, captions=1)])
    fit(folder, card, method="procrustes")

    def cut(*_: object) -> None:
        raise StoreUnavailable("cut")

    with monkeypatch.context() as patched:
        patched.setattr(CaptionStore, "upsert", cut)
        with pytest.raises(StoreUnavailable, match="cut"):
            push(folder, card, settings)
    with images() as store:
        assert store.count() == 30
    assert [one.number for one in generations(folder)] == [1]
    assert push(folder, card, settings).everything


def test_a_map_is_needed_first(
    folder: CollectionFolder, card: CollectionCard, settings: Settings
) -> None:
    with pytest.raises(CollectionMissing, match="mrag fit noise"):
        push(folder, card, settings)


def test_an_index_behind_its_map_is_told_of(
    fill: Fill,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    pictures: Pictures,
) -> None:
    engine = Engine(settings)
    fill([*pictures(40, captions=2)])
    assert engine.open(folder.name).summary().waiting == ""
    fit(folder, card, method="centred")
    summary = engine.open(folder.name).summary()
    assert "mrag push noise" in summary.waiting
    assert (summary.images, summary.trouble) == (40, "")
    push(folder, card, settings)
    assert engine.open(folder.name).summary().waiting == ""
    engine.close()


def test_the_graph_of_a_large_index_is_built_once_by_a_child(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.push.OPTIMIZE_FROM", 40)
    told: list[Progress] = []
    assert not fill([*pictures(30, captions=1)], told.append).optimized
    assert {step.stage for step in told} == {"push", "compare pictures"}
    grown = fill([*pictures(40, captions=1)], told.append)
    assert (grown.optimized, grown.everything, grown.images) == (True, False, 10)
    assert "build the graph (seconds)" in {step.stage for step in told}
    assert [one.number for one in generations(folder)] == [2]
    assert not fill([*pictures(45, captions=1)]).optimized
    with images() as store:
        assert store.count() == 45
    monkeypatch.setattr("ingest.push.OPTIMIZE_FROM", 10)
    assert push_rebuilt(fill, pictures).optimized


def test_a_graph_that_cannot_be_built_is_told_of_and_costs_speed_alone(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    images: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.push.OPTIMIZE_FROM", 20)
    with monkeypatch.context() as without_python:
        without_python.setattr("sys.executable", "/bin/false")
        first = fill([*pictures(30, captions=1)])
        assert (first.images, first.optimized) == (30, False)
        assert "status 1" in first.graph_trouble
        again = fill([*pictures(31, captions=1)])
        assert (again.images, again.everything, again.optimized) == (1, False, False)
        without_python.setattr("sys.executable", "/nowhere")
        assert "could be started" in fill([*pictures(31, captions=1)]).graph_trouble
    assert [one.number for one in generations(folder)] == [1]
    with images() as store:
        assert store.count() == 31
    made_up = fill([*pictures(31, captions=1)])  # a later push makes up for it
    assert (made_up.optimized, made_up.graph_trouble) == (True, "")


def push_rebuilt(fill: Fill, pictures: Pictures) -> PushReport:
    return fill([*pictures(45, captions=1)], rebuild=True)


def test_another_writer_is_kept_out(
    folder: CollectionFolder, card: CollectionCard, settings: Settings, encoder: PixelEncoder
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with writing(folder), writing(folder), ThreadPoolExecutor(1) as pool:
        for step in (
            lambda: embed([], encoder, folder),
            lambda: fit(folder, card),
        ):
            with pytest.raises(StoreUnavailable, match="another mrag process"):
                pool.submit(step).result()
    embed([], encoder, folder)
    del settings


def test_filters_find_splits(fill: Fill, pictures: Pictures, images: Images) -> None:
    fill([*pictures(20, split="train"), *pictures(10, first=20, split="val")])
    with images() as store:
        assert store.count(Filters(splits=frozenset({"val"}))) == 10


@pytest.fixture
def service() -> Iterator[QdrantService]:
    running = QdrantService()
    yield running
    running.stop()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_a_server_holds_what_the_embedded_store_would(
    fill: Fill,
    pictures: Pictures,
    folder: CollectionFolder,
    card: CollectionCard,
    settings: Settings,
    service: QdrantService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.push.OPTIMIZE_FROM", 40)  # a server sees to that itself
    server = service.settings()
    records = pictures(40, captions=2)
    whole = WholeFolder(records[0].path.parent)
    first = fill([*records, CaptionRecord("alone")], place=server)
    assert (first.images, first.captions, first.optimized) == (40, 81, False)
    assert not list(folder.index.glob("*/*/"))
    assert fill([*records], place=server).points == 0
    records[0].path.unlink()
    records[1] = replace(records[1], captions=("told anew",))
    changed = fill([*records[1:], whole], place=server)
    assert (changed.deleted, changed.images, changed.captions) == (3 + 2, 1, 1)
    with (
        open_image_store(folder, card, server) as served,
        open_caption_store(folder, card, server) as served_captions,
    ):
        assert push(folder, card, settings).everything
        with pytest.raises(CollectionMissing, match="MRAG_QDRANT_URL"):
            open_image_store(folder, card, server)
        with (
            open_image_store(folder, card, settings) as own,
            open_caption_store(folder, card, settings) as own_captions,
        ):
            ids = list(own.ids())
            assert len(ids) == 39
            assert served.get(ids) == own.get(list(served.ids()))
            told = [hit.captions for hit in served.get(ids)]
            assert told == [hit.captions for hit in own.get(ids)]
            assert list(served_captions.ids()) == list(own_captions.ids())


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant:UserWarning")
def test_a_server_that_lost_its_points_gets_them_again(
    fill: Fill, pictures: Pictures, service: QdrantService
) -> None:
    records = pictures(30, captions=1)
    fill([*records], place=service.settings())
    emptied = QdrantService()
    try:
        report = fill([*records], place=emptied.settings())
    finally:
        emptied.stop()
    assert (report.points, report.everything) == (60, True)


def test_a_server_that_is_down_is_named_and_nothing_counts_as_pushed(
    fill: Fill, pictures: Pictures, service: QdrantService, images: Images
) -> None:
    service.stop()
    with pytest.raises(StoreUnavailable, match="MRAG_QDRANT_URL"):
        fill([*pictures(30)], place=service.settings())
    assert fill([*pictures(30)]).images == 30
    with images() as store:
        assert store.count() == 30
