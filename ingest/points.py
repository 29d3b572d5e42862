"""Makes the points of the stores from shards, a map and generated captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from corpus.corrections import joined
from corpus.entry import Entry
from corpus.ledger import Live
from corpus.records import CaptionRecord
from corpus.shards import Halves, Shard
from engine.alignment.alignment import Alignment
from engine.identity import content_number, picture_number
from engine.store.ids import caption_id, picture_id
from engine.types import CaptionPoint, CaptionSource, ImagePoint, Vector, Vectors
from engine.vectors import unit
from ingest.places import place_names


@dataclass(frozen=True)
class Caption:
    """A generated caption, its vector as stored, and the refinement round that added it, if any."""

    text: str
    vector: Halves
    round: int = 0


def points_of(
    shard: Shard,
    live: Live,
    generated: Mapping[int, Caption],
    alignment: Alignment,
    refined: Mapping[int, Sequence[Caption]] | None = None,
    corrections: Mapping[int, tuple[str, Halves]] | None = None,
) -> tuple[list[ImagePoint], list[CaptionPoint]]:
    """The points of living rows of a shard.

    By picture row `generated` has the captions of pictures that have none of their own, and
    `refined` those that refinement rounds added; these are no part of the picture's point, which
    shows what people wrote: first of all what `corrections` has of it.
    """
    pictures, captions = _points(
        shard, live, generated, alignment, refined or {}, corrections or {}
    )
    hubs = alignment.hubs
    if hubs is None:
        return pictures, captions
    seen = np.array([content_number(one.sha256) for one in pictures], np.uint64)
    said = np.array([picture_number(one.picture) for one in captions], np.uint64)
    near = hubs.of_pictures(_mapped(pictures, alignment.dim), seen)
    if near is not None:
        pictures = [replace(p, hub=h) for p, h in zip(pictures, near.tolist(), strict=True)]
    near = hubs.of_captions(_mapped(captions, alignment.dim), said)
    if near is not None:
        captions = [replace(c, hub=h) for c, h in zip(captions, near.tolist(), strict=True)]
    return pictures, captions


def _mapped(points: Sequence[ImagePoint] | Sequence[CaptionPoint], dim: int) -> Vectors:
    return np.array([point.mapped for point in points], np.float32).reshape(-1, dim)


def _points(
    shard: Shard,
    live: Live,
    generated: Mapping[int, Caption],
    alignment: Alignment,
    refined: Mapping[int, Sequence[Caption]],
    corrections: Mapping[int, tuple[str, Halves]],
) -> tuple[list[ImagePoint], list[CaptionPoint]]:
    raw_images = unit(shard.images[live.pictures])
    images = alignment.map_images(raw_images) if live.pictures else raw_images
    raw_texts, texts, spans = _texts(shard, [*live.pictures, *live.loose], alignment)
    pictures: list[ImagePoint] = []
    captions: list[CaptionPoint] = []
    entries = shard.entries(live.pictures)
    places = place_names([entry.metadata for entry in entries])
    each = zip(entries, live.pictures, raw_images, images, places, strict=True)
    for entry, row, raw, mapped, names in each:
        source: CaptionSource = "human"
        span = spans[row]
        said, raw_said, mapped_said = entry.captions, raw_texts[span], texts[span]
        if row in corrections:
            said, told = joined(said, shard.captions[shard.span(row)], corrections[row])
            raw_said = unit(told)
            mapped_said = alignment.map_texts(raw_said)
        elif row in generated:
            source, said = "generated", (generated[row].text,)
            raw_said = unit(generated[row].vector[None])
            mapped_said = alignment.map_texts(raw_said)
        picture = _picture(entry, raw, mapped, said, mapped_said, source)
        pictures.append(replace(picture, places=names))
        pairs = zip(said, raw_said, mapped_said, strict=True)
        captions += [_of_picture(entry, *caption, source) for caption in pairs]
        captions += [_refined(entry, one, alignment) for one in refined.get(row, ())]
    for caption, row in zip(shard.loose_captions(live.loose), live.loose, strict=True):
        at = spans[row].start
        captions.append(_loose(caption, raw_texts[at], texts[at]))
    return pictures, captions


def _texts(
    shard: Shard, rows: Sequence[int], alignment: Alignment
) -> tuple[Vectors, Vectors, dict[int, slice]]:
    """The captions of these rows, raw and mapped, and where those of each row lie among them."""
    starts = shard.offsets[list(rows)]
    counts = shard.offsets[[row + 1 for row in rows]] - starts
    ends = np.cumsum([0, *counts])
    taken = np.arange(ends[-1]) + np.repeat(starts - ends[:-1], counts)
    spans = {row: slice(ends[at], ends[at + 1]) for at, row in enumerate(rows)}
    raw = unit(shard.captions[taken])
    return raw, alignment.map_texts(raw) if len(raw) else raw, spans


def _picture(
    entry: Entry,
    raw: Vector,
    mapped: Vector,
    captions: tuple[str, ...],
    vectors: Vectors,
    source: CaptionSource,
) -> ImagePoint:
    return ImagePoint(
        id=picture_id(entry.sha256),
        image_id=entry.image_id,
        uri=entry.uri,
        sha256=entry.sha256,
        width=entry.width,
        height=entry.height,
        raw=raw,
        mapped=mapped,
        caption=_mean(vectors),
        captions=captions,
        source=source,
        split=entry.split,
        taken_at=None if entry.taken_at is None else datetime.fromisoformat(entry.taken_at),
        tags=entry.tags,
        names=tuple(dict.fromkeys(name.image_id for name in entry.names)),
        metadata=entry.metadata,
    )


def _mean(vectors: Vectors) -> Vector | None:
    """The unit mean of mapped captions; None without captions, or where they cancel out."""
    if not len(vectors):
        return None
    mean = vectors.mean(axis=0)
    norm = float(np.linalg.norm(mean))
    return np.asarray(mean / norm, dtype=np.float32) if norm else None


def _refined(entry: Entry, caption: Caption, alignment: Alignment) -> CaptionPoint:
    raw = unit(caption.vector[None])
    (mapped,) = alignment.map_texts(raw)
    return _of_picture(entry, caption.text, raw[0], mapped, "generated", caption.round)


def _of_picture(
    entry: Entry,
    text: str,
    raw: Vector,
    mapped: Vector,
    source: CaptionSource,
    refinement: int = 0,
) -> CaptionPoint:
    return CaptionPoint(
        id=caption_id(entry.identity.key, text, source),
        text=text,
        raw=raw,
        mapped=mapped,
        picture=entry.identity.key,
        image_id=entry.image_id,
        uri=entry.uri,
        split=entry.split,
        source=source,
        round=refinement,
    )


def _loose(caption: CaptionRecord, raw: Vector, mapped: Vector) -> CaptionPoint:
    return CaptionPoint(
        id=caption_id(caption.picture, caption.text, "human"),
        text=caption.text,
        raw=raw,
        mapped=mapped,
        picture=caption.picture,
        image_id=caption.image_id,
        split=caption.split,
    )
