"""Makes collections in the first layout on disk, and what the program of that time read in them.

    git worktree add --detach /tmp/old 90c598e
    cd /tmp/old && python -m tests.corpus.make_layout1 OUT    (with this file copied there)

It ran once, on the last program that wrote that layout (commit 90c598e), and cannot run on any
later one: what it made lies beside it in `layout1.tar.xz` (the collections, as they were on disk,
but for their indexes) and `layout1.json` (what they hold, by that program's own
reading). Whoever brings collections over must arrive at exactly this. Pictures were painted
under a folder that is there no longer; their paths, sizes and times are in the records.

The collections: `albums` has every case of pictures and captions, `refined` can still be undone
exactly, `texts` is a memory, `borrower` describes from it, and `broken` has a caption with a lone
surrogate, with which that program could not open a collection again.
"""
# mypy: ignore-errors

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus.ledger import Ledger
from corpus.lock import writing
from corpus.records import CaptionRecord, ImageRecord, Record, WholeFolder
from corpus.refined import RefinedReader
from corpus.shards import (
    Contents,
    Entry,
    Shard,
    read_described,
    read_round,
    read_shard,
    round_rows,
    shard_path,
    shard_sizes,
    write_shard,
)
from engine.alignment.alignment import Alignment, PairMoments
from engine.collection import CollectionCard, CollectionFolder
from engine.settings import Settings
from ingest import describe
from ingest.pipeline import ingest
from refine.loop import RefineOptions, refine
from refine.rounds import read_rounds
from tests.refine.refining import ScriptedWriter, TwoTongues, WorthScore
from tests.worlds import PixelEncoder, PlainDescriber, paint

ROOT = Path("/tmp/mrag-layout1")
PICTURES = ROOT / "pictures"
TIME = 1_700_000_000
"""When every picture was last changed, in seconds; its number is added."""


def settings() -> Settings:
    return Settings(home=ROOT, batch_size=4, workers=2, qdrant_url="")


def picture(
    name: str | bytes,
    seed: int,
    captions: Sequence[str] = (),
    split: str = "",
    *,
    image_id: str = "",
    tags: tuple[str, ...] = (),
) -> ImageRecord:
    """Paint a picture and give its record; the same seed paints the same content."""
    path = PICTURES / os.fsdecode(name)
    paint(path, seed)
    os.utime(path, (TIME + seed, TIME + seed))
    shown = os.fsencode(name).decode("utf-8", "replace")
    return ImageRecord(image_id or shown, f"pictures/{shown}", path, tuple(captions), split, tags)


def told(name: str, seed: int, count: int, split: str, **more: Any) -> ImageRecord:
    """A picture with so many captions."""
    texts = [f"caption {number} of {name}, bläulich 青い" for number in range(count)]
    return picture(name, seed, texts, split, **more)


def bring(name: str, records: Sequence[Record], **more: Any) -> None:
    """Ingest with the little encoder."""
    report = ingest(
        records,
        name=name,
        encoder=TwoTongues(PixelEncoder()),
        encoder_spec="spec",
        generator_spec="consensus",
        settings=settings(),
        **more,
    )
    print(report.text)


def improve(name: str, validation: Sequence[float]) -> None:
    """Refine with a writer that says itself what its captions are worth: every other is good."""
    folder = CollectionFolder(ROOT, name)

    def worth(image_id: str, take: int) -> float:
        return 2.0 if sum(image_id.encode()) % 2 == take % 2 else 0.5

    writer = ScriptedWriter(folder, validation, worth)
    score = WorthScore()
    model = TwoTongues(PixelEncoder())
    options = RefineOptions(max_rounds=2)
    refine(
        folder,
        folder.read_card(),
        settings(),
        model,
        writer.make,
        options,
        writer_id="script",
        score=score,
    )


def albums() -> None:
    """Every case, in several ingests."""
    describe.SHARD_SIZE = 4
    train = [told(f"a/train{n:02d}.png", n, 2, "train") for n in range(8)]
    five = [told(f"a/five{n}.png", 20 + n, 5, "train", tags=("harbour", "été")) for n in range(2)]
    plain = [told(f"a/plain{n}.png", 30 + n, 1, "") for n in range(3)]
    silent = [told(f"a/silent{n}.png", 40 + n, 0, "") for n in range(6)]
    held = [told(f"a/v{n}.png", 50 + n, 2, "val", image_id=f"val {n}") for n in range(3)]
    tested = [told(f"a/t{n}.png", 60 + n, 1, "test") for n in range(2)]
    odd = picture(b"a/caf\xe9.png", 70, ["a name that is no UTF-8"], "train", image_id="odd name")
    loose = [
        CaptionRecord("a caption of nothing"),
        CaptionRecord("a caption of nothing, to train on", split="train"),
        CaptionRecord("a caption with a picture's key", "COCO_000000000042", "train"),
        CaptionRecord("another caption with that key", "COCO_000000000042", "train"),
        CaptionRecord("a caption that is held out", "COCO_000000000043", "val"),
        CaptionRecord("a caption of a picture that is here", train[0].image_id, "train"),
    ]
    first = [*train, *five, *plain, *silent, *held, *tested, odd]
    bring("albums", [*first, *loose], method="ridge", captioner_factory=PlainDescriber)

    # A picture captioned anew, one captioned at last, one withdrawn, one moved under another
    # id, one that changed its content, a copy; a caption that comes again.
    anew = replace(train[1], captions=("train01 told anew", train[1].captions[0]))
    at_last = replace(silent[0], captions=("no longer silent",))
    (PICTURES / "a/train02.png").unlink()
    (PICTURES / "a/silent5.png").unlink()
    (PICTURES / "b").mkdir()
    (PICTURES / "a/plain0.png").rename(PICTURES / "b/moved.png")
    moved = replace(
        plain[0], image_id="b/moved.png", uri="pictures/b/moved.png", path=PICTURES / "b/moved.png"
    )
    changed = told("a/plain1.png", 131, 1, "")
    copy = told("b/copy.png", 3, 1, "train")
    gone = {train[2], silent[5], plain[0], train[1], silent[0], plain[1]}
    second = [one for one in first if one not in gone]
    second += [anew, at_last, moved, changed, copy]
    whole = WholeFolder(PICTURES)
    bring("albums", [*second, *loose[:2], whole], captioner_factory=PlainDescriber)

    improve("albums", (1.0, 1.2, 1.1))

    # What a round added to a picture stands no longer once the picture is captioned anew.
    standing = standing_captions(CollectionFolder(ROOT, "albums"))
    again = next(one for one in second if one.image_id == standing[0]["image_id"])
    third = replace(again, captions=(*again.captions, "one more after the round"))
    bring("albums", [third, CaptionRecord("a caption that came last", "late key", "train")])


def refined() -> None:
    """Two rounds, the second withdrawn by the run itself; the first can be undone exactly."""
    train = [told(f"r/{n:02d}.png", 200 + n, 2, "train") for n in range(12)]
    held = [told(f"r/v{n}.png", 230 + n, 2, "val", image_id=f"val {n}") for n in range(4)]
    bring("refined", [*train, *held], method="ridge")
    improve("refined", (1.0, 1.2, 1.1))


def memory() -> None:
    """Captions for others, and one that borrows them."""
    pairs = [told(f"m/{n:02d}.png", 300 + n, 1, "train") for n in range(26)]
    loose = [CaptionRecord(f"loose caption {n}", split="train") for n in range(30)]
    bring("texts", [*pairs, *loose])
    silent = [told(f"n/{n}.png", 340 + n, 0, "") for n in range(5)]
    bring("borrower", silent, memory="texts", captioner_factory=PlainDescriber)


def broken() -> None:
    """A shard with a lone surrogate in a caption: whoever opened the ledger fell over it."""
    folder = CollectionFolder(ROOT, "broken")
    folder.write_card(CollectionCard("broken", "spec", "pixels", 16, "consensus"))
    entries = tuple(
        Entry(
            image_id=f"{n}.png",
            uri=f"pictures/x/{n}.png",
            path=str(PICTURES / f"x/{n}.png"),
            size=100 + n,
            mtime_ns=(TIME + n) * 10**9,
            sha256=f"{n:064x}",
            width=8,
            height=8,
            taken_at=None,
            captions=("half of a \ud83d smile" if n == 1 else f"caption of {n}",),
            split="train",
            tags=(),
        )
        for n in range(3)
    )
    vectors = PixelEncoder().encode_texts([f"{n}" for n in range(7)]).astype(np.float16)
    loose = (CaptionRecord("loose half \udc00", "key", "train"),)
    shard = Shard(Contents(entries, loose), vectors[:3], vectors[3:7])
    write_shard(shard_path(folder.embeddings, 0), shard, "pixels")


# What they hold


def read(name: str) -> dict[str, Any]:
    """All that the program of that time read in a collection."""
    folder = CollectionFolder(ROOT, name)
    with writing(folder), Ledger.open(folder) as ledger:
        pictures = list(living(folder, ledger))
        return {
            "card": asdict(folder.read_card()),
            "pictures": pictures,
            "loose": list(alone(folder, ledger.shards())),
            "descriptions": sum("description" in one for one in pictures),
            "duplicates": [
                {"path": os.fsdecode(path), "size": size, "mtime_ns": time, "sha256": sha256}
                for path, size, time, sha256 in ledger._db.execute(
                    "select path, size, mtime_ns, sha256 from duplicate order by path"
                )
            ],
            "counts": {
                "pictures": ledger.pictures(),
                "captions": ledger.captions(),
                "undescribed": ledger.undescribed(),
            },
            "census": ledger.census()._asdict(),
            "fit": ledger.fact("fit"),
            "map": the_map(folder),
            "rounds": [asdict(one) for one in read_rounds(folder)],
            "round_captions": list(added(folder)),
            "standing_by_round": ledger.refined.counts(),
        }


def living(folder: CollectionFolder, ledger: Ledger) -> Iterator[dict[str, Any]]:
    reader = RefinedReader(folder.rounds)
    for number in ledger.shards():
        shard = read_shard(shard_path(folder.embeddings, number))
        generated = {found.row: found for found in ledger.generated_in(number)}
        standing = reader.by_picture(ledger.refined.standing_in(number))
        for row in ledger.live_rows(number):
            entry = shard.contents.entries[row]
            one = asdict(entry) | {
                "vector": bits(shard.images[row]),
                "caption_vectors": [bits(v) for v in shard.captions[shard.contents.spans[row]]],
            }
            if row in generated:
                found = generated[row]
                described = read_described(shard_path(folder.generated, found.shard))
                vector = described.captions[found.described_row]
                one["description"] = {"text": found.text, "vector": bits(vector)}
            if row in standing:
                one["refined"] = [
                    {"text": said.text, "round": said.round, "vector": bits(vector)}
                    for said, vector in standing[row]
                ]
            yield one


def alone(folder: CollectionFolder, shards: Sequence[int]) -> Iterator[dict[str, Any]]:
    for number in shards:
        shard = read_shard(shard_path(folder.embeddings, number))
        vectors = shard.captions[shard.contents.loose_span]
        for caption, vector in zip(shard.contents.loose, vectors, strict=True):
            yield asdict(caption) | {"vector": bits(vector)}


def added(folder: CollectionFolder) -> Iterator[dict[str, Any]]:
    """The captions of the rounds that are on disk, standing or not."""
    for number in shard_sizes(folder.rounds):
        path = shard_path(folder.rounds, number)
        vectors = round_rows(path)[:]
        for one, vector in zip(read_round(path).refined, vectors, strict=True):
            yield asdict(one) | {"round": number, "vector": bits(vector)}


def standing_captions(folder: CollectionFolder) -> list[dict[str, Any]]:
    with writing(folder), Ledger.open(folder) as ledger:
        return [one for one in living(folder, ledger) if "refined" in one]


def the_map(folder: CollectionFolder) -> dict[str, Any]:
    alignment = Alignment.load(folder.alignment)
    arrays = ("mean_image", "mean_text", "matrix")
    return {
        "method": alignment.method,
        "strength": alignment.strength,
        "n": alignment.n,
        "source": alignment.source,
        "reason": alignment.reason,
        "fingerprint": alignment.fingerprint,
        "moments_n": PairMoments.load(folder.moments).n,
    } | {
        name: None if getattr(alignment, name) is None else bits(getattr(alignment, name))
        for name in arrays
    }


def bits(array: np.ndarray) -> str:
    """An array bit for bit, as hex, little endian; float16 for vectors, float64 for maps."""
    return np.ascontiguousarray(array).tobytes().hex()


def read_broken() -> dict[str, Any]:
    folder = CollectionFolder(ROOT, "broken")
    shard = read_shard(shard_path(folder.embeddings, 0))
    pictures = [
        asdict(entry)
        | {
            "vector": bits(shard.images[row]),
            "caption_vectors": [bits(v) for v in shard.captions[shard.contents.spans[row]]],
        }
        for row, entry in enumerate(shard.contents.entries)
    ]
    loose = list(alone(folder, [0]))
    return {"card": asdict(folder.read_card()), "pictures": pictures, "loose": loose}


def main() -> None:
    out = Path(sys.argv[1])
    shutil.rmtree(ROOT, ignore_errors=True)
    albums()
    refined()
    memory()
    broken()
    names = ("albums", "refined", "texts", "borrower")
    expected = {name: read(name) for name in names} | {"broken": read_broken()}
    (out / "layout1.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="ascii")
    with tarfile.open(out / "layout1.tar.xz", "w:xz") as archive:
        for path in sorted((ROOT / "collections").rglob("*")):
            inside = path.relative_to(ROOT / "collections")
            # An index has hundreds of megabytes of zeros, and is written anew from the rest.
            if path.is_file() and "index" not in inside.parts:
                archive.add(path, str(inside), filter=anonymous)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = TIME
    return member


if __name__ == "__main__":
    main()
