"""What may be killed. A new kind of work is tested once it stands in `SCENARIOS`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tarfile
import time
import traceback
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
from PIL import Image

from corpus.compaction import compact
from corpus.ledger import Ledger
from corpus.migration import migrate, needs_migration
from corpus.parquet import shard_files
from corpus.records import CaptionRecord, ImageRecord, Record
from corpus.shards import Shard
from engine.alignment.alignment import Alignment, PairMoments
from engine.app import Engine
from engine.collection import CollectionFolder
from engine.errors import InvalidInput
from engine.identity import PictureIdentity
from engine.search.gallery import Query
from engine.settings import Settings
from engine.store.generations import current
from engine.types import CaptionResult, Encoder, Vectors
from ingest import building, describe, push
from ingest.filling import fill
from ingest.fit import fit
from ingest.parts import Part
from ingest.pipeline import embed_only, ingest, pushed_commit
from ingest.readers import open_source
from ingest.sample_filling import SampleFiller
from ingest.samples import SAMPLES, waiting, want
from ingest.sources import Source, Sources
from ingest.sync import sync
from refine import drafts
from refine.loop import RefineOptions, refine
from refine.undo import undo
from tests.kills.corrections import CORRECTIONS
from tests.kills.harness import Scenario
from tests.kills.tagging import TAGGING
from tests.kills.takeaway import TAKEAWAY
from tests.refine.refining import ScriptedWriter, TwoTongues, WorthScore, outcome, points
from tests.worlds import OneEncoder, PixelEncoder, PlainDescriber, paint, record

NAME = "killed"
PICTURES = 40
LOOSE = 50


def collection(home: Path) -> CollectionFolder:
    return CollectionFolder(home, NAME)


def source(home: Path) -> Path:
    """Where the pictures lie: beside the homes, so that all name the same files."""
    return home.parent / "source"


def settings(home: Path) -> Settings:
    return Settings(home=home, batch_size=4, workers=2, qdrant_url="")


def small_steps() -> None:
    """Many small shards, flushes and batches: many moments at which something can go wrong."""
    building.SHARD_SECONDS = 0.05
    push.FLUSH_POINTS = 30
    describe.SHARD_SIZE = 5
    drafts.BATCH = 4


class SlowEncoder:
    """Takes its time, so that a kill can come anywhere."""

    def __init__(self, plain: Encoder, seconds: float = 0.02) -> None:
        self._plain = plain
        self._seconds = seconds
        self.id, self.dim = plain.id, plain.dim

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        time.sleep(self._seconds)
        return self._plain.encode_images(images)

    def encode_texts(self, texts: list[str]) -> Vectors:
        return self._plain.encode_texts(texts)


def bring(home: Path, records: Sequence[Record], encoder: Encoder) -> None:
    ingest(
        records,
        name=NAME,
        encoder=encoder,
        encoder_spec="spec",
        generator_spec="consensus",
        settings=settings(home),
        captioner_factory=PlainDescriber,
    )


# What must hold


def pictures(home: Path) -> set[tuple[str, tuple[str, ...]]]:
    """The pictures that are there, and what people wrote of them."""
    with Ledger.open(collection(home)) as ledger:
        return {
            (entry.sha256, entry.captions)
            for file in ledger.shards()
            for entry in Shard(file).entries(ledger.live(file.number).pictures)
        }


def nothing_is_lost(home: Path, begun: Path) -> None:
    """Every picture that was there is there, with its captions, and what answered answers."""
    if collection(begun).exists():
        assert pictures(home) >= pictures(begun)
    elif collection(home).embeddings.is_dir():
        assert len(pictures(home)) <= PICTURES
    if current(collection(begun)) is not None:
        assert points(collection(home)).keys() >= people(begun)
    if current(collection(home)) is not None:
        answers_are_of_one_map(home)


def people(home: Path) -> set[tuple[str, str]]:
    """The points of what no undo takes away: pictures, and what people wrote."""
    found = points(collection(home))
    return {key for key, (payload, *_) in found.items() if not payload.get("round")}


def answers_are_of_one_map(home: Path) -> None:
    """Every point that answers lies where the map puts it that its generation holds, and what is
    found is what that map finds: never half by one map and half by another."""
    answers = current(collection(home))
    assert answers is not None
    alignment = Alignment.load(answers.alignment)
    for (store, _), (_, dense, *_) in points(collection(home)).items():
        raw, mapped = (np.frombuffer(dense[name], np.float32)[None] for name in ("raw", "mapped"))
        mapping = alignment.map_images if store == "images" else alignment.map_texts
        np.testing.assert_allclose(mapping(raw), mapped, atol=4e-3)
    finds_what_is_nearest(home, alignment)


def finds_what_is_nearest(home: Path, alignment: Alignment) -> None:
    """A search gives the nearest pictures under that map, with their scores under it."""
    encoder, folder = PixelEncoder(), collection(home)
    engine = Engine(settings(home))
    engine.models = OneEncoder(engine.settings, encoder)
    there = {
        payload["image_id"]: np.frombuffer(dense["raw"], np.float32)
        for (store, _), (payload, dense, *_) in points(folder).items()
        if store == "images"
    }
    mapped = alignment.map_images(np.stack(list(there.values())))
    with Image.open(min(source(home).glob("*2.png"))) as picture:
        query = picture.convert("RGB")
    scores = mapped @ alignment.map_images(encoder.encode_images([query]))[0]
    nearest = dict(zip(there, scores.tolist(), strict=True))
    with closing(engine):
        hits = engine.open(NAME).gallery.search(Query(image=query), "mapped", 10).hits
    assert len(hits) == min(10, len(there))
    best = sorted(nearest.values(), reverse=True)[: len(hits)]
    for hit, score in zip(hits, best, strict=True):
        assert abs(hit.score - score) < 5e-3
        assert abs(hit.score - nearest[hit.image_id]) < 5e-3


def same_index(home: Path, undisturbed: Path) -> None:
    """Every point of both indexes is the same, but for the rounding of vectors."""
    found, expected = points(collection(home)), points(collection(undisturbed))
    assert found.keys() == expected.keys()
    for key, (payload, dense, *words) in expected.items():
        same_payload, same_dense, *same_words = found[key]
        assert (payload, words) == (same_payload, same_words)
        assert dense.keys() == same_dense.keys()
        for name, vector in dense.items():
            left = np.frombuffer(vector, np.float32)
            right = np.frombuffer(same_dense[name], np.float32)
            np.testing.assert_allclose(left, right, atol=4e-3)


def no_leftovers(home: Path) -> None:
    assert not list(collection(home).path.rglob("*.partial"))


# Ingest: embed, fit, push, describe, push


def paint_source(home: Path) -> None:
    """Pictures, every other with captions beside it, a copy, and two that cannot be read."""
    home.mkdir()
    folder = source(home)
    for seed in range(PICTURES):
        paint(folder / f"{seed:02d}.png", seed)
        if seed % 2:
            sidecar = folder / f"{seed:02d}.txt"
            sidecar.write_text(f"caption a of {seed}\ncaption b of {seed}\n", encoding="utf-8")
    shutil.copy(folder / "03.png", folder / "copy.png")
    (folder / "10a.png").write_bytes(b"")
    (folder / "20a.png").write_bytes((folder / "20.png").read_bytes()[:60])


def ingest_all(home: Path, seconds: float = 0.02) -> None:
    small_steps()
    records: list[Record] = [*open_source(source(home))]
    records += [CaptionRecord(f"loose {i}", split="train") for i in range(LOOSE)]
    bring(home, records, SlowEncoder(PixelEncoder(), seconds))


def rows(home: Path) -> tuple[int, int]:
    """Living rows of shards, and all: what was done twice is in more rows than live."""
    with Ledger.open(collection(home)) as ledger:
        return ledger.rows()


def same_ingest(home: Path, undisturbed: Path) -> None:
    """Nothing is lost, nothing is there twice, and nothing was done twice."""
    same_index(home, undisturbed)
    no_leftovers(home)
    assert pictures(home) == pictures(undisturbed)
    assert rows(home) == rows(undisturbed)
    with Ledger.open(collection(home)) as ledger:
        assert (ledger.pictures(), ledger.undescribed()) == (PICTURES, 0)
        assert ledger.captions() == PICTURES + LOOSE


# The same, embedded in two parts by two processes at once


def paint_for_parts(home: Path) -> None:
    """The same source, and what one process makes of it, beside the homes."""
    paint_source(home)
    ingest_all(alone(home), seconds=0)


def alone(home: Path) -> Path:
    return home.parent / "alone"


def ingest_in_parts(home: Path) -> None:
    """Part 2 in a process that ends with this one, part 1 in this one; then their owner ingests."""
    small_steps()
    mine, theirs = os.pipe()
    other = os.fork()
    if not other:
        os.close(theirs)
        Thread(target=_end_with, args=(mine,), daemon=True).start()
        _embed_part(home, 2)
        os._exit(0)
    _embed_part(home, 1)
    _, status = os.waitpid(other, 0)
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.SIGKILL)
    assert status == 0
    os.close(theirs)
    ingest_all(home)


def _end_with(pipe: int) -> None:
    """Die when whoever holds the other end of a pipe does."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _embed_part(home: Path, number: int) -> None:
    try:
        embed_only(
            [*open_source(source(home))],
            name=NAME,
            encoder=SlowEncoder(PixelEncoder()),
            encoder_spec="spec",
            generator_spec="consensus",
            settings=settings(home),
            part=Part(number, 2),
        )
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def embedded(home: Path) -> tuple[dict[str, object], dict[CaptionRecord, bytes]]:
    """Every picture with its names, words and vectors, and every caption that stands alone."""
    told: dict[str, object] = {}
    loose: dict[CaptionRecord, bytes] = {}
    with Ledger.open(collection(home)) as ledger:
        for file in ledger.shards():
            shard, live = Shard(file), ledger.live(file.number)
            for row, entry in zip(live.pictures, shard.entries(live.pictures), strict=True):
                words = dict(
                    zip(entry.captions, shard.captions[shard.span(row)].tolist(), strict=True)
                )
                told[entry.sha256] = set(entry.names), words, shard.images[row].tobytes()
            for row, one in zip(live.loose, shard.loose_captions(live.loose), strict=True):
                loose[one] = shard.captions[shard.offsets[row]].tobytes()
    return told, loose


def same_parts(home: Path, undisturbed: Path) -> None:
    """All is as one process made it that nobody disturbed."""
    del undisturbed
    same_index(home, alone(home))
    no_leftovers(home)
    assert embedded(home) == embedded(alone(home))
    assert not (collection(home).path / "parts").exists()
    with Ledger.open(collection(home)) as ledger:
        assert (ledger.pictures(), ledger.undescribed()) == (PICTURES, 0)


# A new map: fit, and push it


def filled(home: Path) -> None:
    """A collection to refine, with a map that every new caption changes.

    Noise is worth none, so that auto would take raw.
    """
    told = [_told(home, seed, "train") for seed in range(30)]
    held_out = [_told(home, seed, "val") for seed in range(100, 106)]
    held_out = [replace(one, image_id=f"val {one.image_id}") for one in held_out]
    bring(home, [*told, *held_out], TwoTongues(PixelEncoder()))
    new_map(home)


def _told(home: Path, seed: int, split: str) -> ImageRecord:
    path = source(home) / f"{seed:04d}.png"
    paint(path, seed)
    return record(path, [f"caption {i} of picture {seed}" for i in range(2)], split)


def fitted(home: Path) -> None:
    """A collection with a map of another method than the one that is to come."""
    filled(home)
    folder = collection(home)
    fit(folder, folder.read_card(), method="centred")
    push.push(folder, folder.read_card(), settings(home))


def new_map(home: Path) -> None:
    small_steps()
    folder = collection(home)
    fit(folder, folder.read_card(), method="ridge")
    push.push(folder, folder.read_card(), settings(home))


def same_map(home: Path, undisturbed: Path) -> None:
    found, expected = collection(home), collection(undisturbed)
    same_index(home, undisturbed)
    no_leftovers(home)
    left, right = Alignment.load(found.alignment), Alignment.load(expected.alignment)
    assert (left.method, left.strength) == (right.method, right.strength)
    assert left.matrix is not None
    assert right.matrix is not None
    np.testing.assert_allclose(left.matrix, right.matrix, atol=1e-6)
    moments = PairMoments.load(found.moments), PairMoments.load(expected.moments)
    np.testing.assert_allclose(moments[0].image_text, moments[1].image_text, atol=1e-6)


# Refinement, and the way back


def worth(image_id: str, take: int) -> float:
    """A third of the training pictures is described well, each time another third."""
    return 2.0 if int(image_id[:4]) % 3 == take % 3 else 0.5


class SlowWriter:
    """Takes its time, so that a kill can come anywhere."""

    def __init__(self, folder: CollectionFolder) -> None:
        self._plain = ScriptedWriter(folder, (1.0, 1.1, 1.2, 1.1), worth)

    def describe_vectors(
        self, raw: Vectors, *, exclude: Sequence[PictureIdentity] | None = None
    ) -> list[CaptionResult]:
        time.sleep(0.01)
        return self._plain.describe_vectors(raw, exclude=exclude)


def refine_all(home: Path) -> None:
    small_steps()
    folder = collection(home)
    refine(
        folder,
        folder.read_card(),
        settings(home),
        TwoTongues(PixelEncoder()),
        lambda: SlowWriter(folder),
        RefineOptions(),
        writer_id="script",
        score=WorthScore(),
    )


def same_rounds(home: Path, undisturbed: Path) -> None:
    found, expected = outcome(collection(home)), outcome(collection(undisturbed))
    assert [one["state"] for one in expected] == ["kept", "kept", "withdrawn"]
    assert found[:3] == expected
    if len(found) > 3:  # it had ended when it was killed, and has begun another refinement
        return
    same_map(home, undisturbed)


def refined(home: Path) -> None:
    filled(home)
    refine_all(home)


def undo_all(home: Path) -> None:
    """Withdraw the first round, and with it the second; done already, there is none."""
    small_steps()
    folder = collection(home)
    try:
        undo(folder, folder.read_card(), settings(home), 1)
    except InvalidInput:
        assert {one["state"] for one in outcome(folder)} == {"withdrawn"}


def same_undone(home: Path, undisturbed: Path) -> None:
    assert {one["state"] for one in outcome(collection(home))} == {"withdrawn"}
    assert not shard_files(collection(home).rounds)
    same_map(home, undisturbed)


# Compaction


def touched(home: Path) -> None:
    """A collection of which many pictures were told anew, three times; an ingest would compact."""
    filled(home)
    folder = collection(home)
    for turn in range(1, 4):
        told = [_told(home, seed, "train") for seed in range(10 * turn)]
        embed_only(
            [replace(one, captions=(*one.captions, f"told {turn} times")) for one in told],
            name=NAME,
            encoder=TwoTongues(PixelEncoder()),
            encoder_spec="spec",
            generator_spec="consensus",
            settings=settings(home),
        )
    push.push(folder, folder.read_card(), settings(home))
    living, all_rows = rows(home)
    assert living < all_rows


def compact_all(home: Path) -> None:
    compact(collection(home), pushed=pushed_commit(collection(home)))


def same_compacted(home: Path, undisturbed: Path) -> None:
    """All is as it was, in no more rows than live, and nothing is pushed again for it."""
    assert pictures(home) == pictures(undisturbed)
    same_index(home, undisturbed)
    no_leftovers(home)
    assert rows(home) == rows(undisturbed)
    pushed = push.push(collection(home), collection(home).read_card(), settings(home))
    assert (pushed.points, pushed.deleted) == (0, 0)


# Migration of a collection that the first layout's own program made

_OLD = Path(__file__).parents[1] / "corpus" / "layout1.tar.xz"


def old(home: Path) -> None:
    with tarfile.open(_OLD) as archive:
        archive.extractall(home / "collections", filter="data")
    (home / "collections" / "albums").rename(collection(home).path)


def migrate_all(home: Path) -> None:
    migrate(collection(home))


def still_old_or_whole(home: Path, begun: Path) -> None:
    folder = collection(home)
    if needs_migration(folder):
        before = {path.name for path in collection(begun).embeddings.glob("shard-*.safetensors")}
        left = {path.name for path in folder.embeddings.glob("shard-*.safetensors")}
        assert left == before
    else:
        assert len(pictures(home)) == 23


def same_migrated(home: Path, undisturbed: Path) -> None:
    assert not needs_migration(collection(home))
    assert pictures(home) == pictures(undisturbed)
    assert len(pictures(home)) == 23
    assert not list(collection(home).path.rglob("*.safetensors.partial"))
    assert not list(collection(home).path.rglob("shard-*.safetensors"))
    with Ledger.open(collection(home)) as left, Ledger.open(collection(undisturbed)) as right:
        assert left.differs_from(right) == ""


# A first start: the sample collections, one after the other


def paint_pack(home: Path) -> None:
    """Beside the home a pack as the program carries one: two looks of scenes, and captions."""
    folder = source(home)
    for seed, name in enumerate(SAMPLES):
        lines = []
        for number in range(12):
            paint(folder / name / "images" / f"{number:03}.png", 100 * seed + number)
            captions = [f"caption {i} of {name} {number}" for i in range(2)]
            split = ("train", "val", "test")[number % 3]
            row = {"image": f"images/{number:03}.png", "captions": captions, "split": split}
            lines.append(json.dumps(row))
        (folder / name / "captions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    loose = "".join(f"loose {i}\n" for i in range(LOOSE))
    (folder / "memory.txt").write_text(loose, encoding="utf-8")


def new_home(home: Path) -> None:
    home.mkdir()
    paint_pack(home)


def fill_samples(home: Path, encoder: Encoder | None = None) -> None:
    """What a start does before it serves."""
    engine = Engine(settings(home))
    engine.models = OneEncoder(engine.settings, encoder or PixelEncoder())
    with closing(engine):
        filler = SampleFiller(engine, source(home))
        names = waiting(home)
        want(home, names)
        for name in names:
            filler.fill(name)


def fill_slowly(home: Path) -> None:
    small_steps()
    fill_samples(home, SlowEncoder(PixelEncoder(), 0.05))


def unfinished_is_waited_for(home: Path, begun: Path) -> None:
    """What is not waited for any more is whole."""
    del begun
    for name in set(SAMPLES) - set(waiting(home)):
        sample_is_whole(home, name)


def samples_are_whole(home: Path) -> None:
    for name in SAMPLES:
        sample_is_whole(home, name)
    assert waiting(home) == []
    no_leftovers(home)


def sample_is_whole(home: Path, name: str) -> None:
    """All of the pack but what is held out is in the collection, in its index and found."""
    folder = CollectionFolder(home, name)
    with Ledger.open(folder) as ledger:
        assert (ledger.pictures(), ledger.captions()) == (8, 16 + LOOSE)
    stores = [store for store, _ in points(folder)]
    assert (stores.count("images"), stores.count("captions")) == (8, 16 + LOOSE)
    assert Alignment.load(folder.alignment).method


def same_samples(home: Path, undisturbed: Path) -> None:
    samples_are_whole(home)
    for name in SAMPLES:
        folders = CollectionFolder(home, name), CollectionFolder(undisturbed, name)
        found, expected = map(points, folders)
        assert found.keys() == expected.keys()


# Sync: what is new, changed, moved and gone in a folder, a table and lines of text


def lists(home: Path) -> Path:
    """Where the table and the lines lie: beside the homes, too."""
    return home.parent / "lists"


def syncing(home: Path, seconds: float = 0) -> Engine:
    engine = Engine(settings(home).model_copy(update={"generator": "consensus"}))
    engine.models = OneEncoder(engine.settings, SlowEncoder(PixelEncoder(), seconds))
    return engine


def changed_sources(home: Path) -> None:
    """A collection of three sources, in each of which something has changed since."""
    paint_source(home)
    for seed in range(60, 72):
        paint(lists(home) / f"{seed}.png", seed)
    _write_lists(home, range(60, 72), range(12))
    places = source(home), lists(home) / "table.csv", lists(home) / "said.txt"
    with closing(syncing(home)) as engine:
        for place in map(str, places):
            known = Source(place)
            specs = ("spec", "consensus")
            fill(engine, known.records(), NAME, models=specs, source=known)
    for seed in range(80, 90):
        paint(source(home) / f"{seed}.png", seed)
    (source(home) / "deep").mkdir()
    for seed in range(20, 26):
        (source(home) / f"{seed}.png").rename(source(home) / "deep" / f"{seed}.png")
    for seed in (30, 31, 33):
        (source(home) / f"{seed}.png").unlink()
    paint(source(home) / "34.png", 134)
    (source(home) / "35.txt").unlink()
    _write_lists(home, range(63, 72), range(3, 20))


def _write_lists(home: Path, rows: range, lines: range) -> None:
    table = "".join(f"{seed}.png,row {seed} of {len(rows)}\n" for seed in rows)
    (lists(home) / "table.csv").write_text(f"image,caption\n{table}")
    (lists(home) / "said.txt").write_text("".join(f"line {number}\n" for number in lines))


def sync_all(home: Path) -> None:
    small_steps()
    with closing(syncing(home, 0.02)) as engine:
        sync(engine, NAME, allowed="all")


def what_is_given_stays(home: Path, begun: Path) -> None:
    """No picture is lost that lies in a source still, and what answers is of one map."""
    files = [*source(home).rglob("*.png"), *(lists(home).glob("6[3-9].png"))]
    given = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    there = {sha256 for sha256, _ in pictures(home)}
    assert there >= given & {sha256 for sha256, _ in pictures(begun)}
    answers_are_of_one_map(home)


def same_sync(home: Path, undisturbed: Path) -> None:
    """All is as if nobody had disturbed it, and there is nothing left to sync."""
    assert pictures(home) == pictures(undisturbed)
    same_index(home, undisturbed)
    no_leftovers(home)
    found, expected = Sources(collection(home)), Sources(collection(undisturbed))
    assert found.known() == expected.known()
    for one in found.known():
        assert found.given(one).tolist() == expected.given(one).tolist()
    with closing(syncing(home)) as engine:
        report = sync(engine, NAME)
    assert report.done is None, report.text


INGEST = Scenario("ingest", paint_source, ingest_all, nothing_is_lost, same_ingest)
SCENARIOS = (
    INGEST,
    Scenario("parts", paint_for_parts, ingest_in_parts, nothing_is_lost, same_parts),
    Scenario("new map", fitted, new_map, nothing_is_lost, same_map),
    Scenario("refine", filled, refine_all, nothing_is_lost, same_rounds),
    Scenario("undo", refined, undo_all, nothing_is_lost, same_undone),
    Scenario("compaction", touched, compact_all, nothing_is_lost, same_compacted),
    Scenario("migration", old, migrate_all, still_old_or_whole, same_migrated),
    Scenario("sync", changed_sources, sync_all, what_is_given_stays, same_sync),
    TAKEAWAY,
    CORRECTIONS,
    TAGGING,
    Scenario("first start", new_home, fill_slowly, unfinished_is_waited_for, same_samples),
)
