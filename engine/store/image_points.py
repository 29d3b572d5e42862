"""Pictures as points of an index, and what is found there as pictures again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np

from engine.identity import content_key
from engine.store.image_filters import CLOCK, FOLDED, extension, folded_field, second_of_day
from engine.store.interface import HUB, Hit, Point, moment
from engine.store.phrases import phrase_text
from engine.types import CaptionSource, DateOrder, ImageHit, ImagePoint, Metadata
from engine.video.address import file_at
from engine.words import folded

CAPTIONED_BY = get_args(CaptionSource)
"""Who wrote the captions of a picture, if it has any."""

_SHOWN = (
    *("sha256", "names", "width", "height", "taken_at", "tags", "split", "source"),
    *("camera", "lens", "places", "location", "title", "rating", "labels"),
)


def point_of(point: ImagePoint, vectors: dict[str, list[float]]) -> Point:
    """A picture as it is written, with its named vectors."""
    about = point.metadata
    has = {
        "caption": point.captions,
        point.source: point.captions,  # one of CAPTIONED_BY
        "date": point.taken_at is not None,
    }
    payload: dict[str, Any] = {
        "picture": content_key(point.sha256),
        "image_id": point.image_id,
        "names": list(point.names or (point.image_id,)),
        "uri": point.uri,
        "sha256": point.sha256,
        "width": point.width,
        "height": point.height,
        "captions": list(point.captions),
        "source": point.source,
        "split": point.split,
        "taken_at": None if point.taken_at is None else point.taken_at.isoformat(),
        CLOCK: None if point.taken_at is None else second_of_day(point.taken_at),
        "tags": _each_once(point.tags),
        "camera": about.camera,
        "lens": about.lens,
        "places": _each_once(point.places),
        "location": _location(about),
        "title": about.title,
        "rating": about.rating,
        "extension": extension(file_at(point.uri).suffix),
        "has": [name for name, there in has.items() if there],
        "said": phrase_text(point.captions),
        "labels": _each_once(point.labels),
    }
    for field in FOLDED:
        payload[folded_field(field)] = list(map(folded, _listed(payload[field])))
    if point.hub is not None:
        payload[HUB] = point.hub
    return Point(point.id, vectors, payload, "\n".join(point.captions))


def label_fields(labels: Sequence[str]) -> dict[str, list[str]]:
    """The fields of a picture that say which labels it has."""
    told = _each_once(labels)
    return {"labels": told, folded_field("labels"): list(map(folded, told))}


def hit_of(hit: Hit) -> ImageHit:
    """A picture as it is found."""
    payload = hit.payload
    return ImageHit(
        id=hit.id,
        image_id=payload["image_id"],
        uri=payload["uri"],
        score=hit.score,
        captions=tuple(payload["captions"]),
        payload={field: payload[field] for field in _SHOWN},
        vector=None if hit.vector is None else np.asarray(hit.vector, dtype=np.float32),
    )


def by_date(hits: Sequence[ImageHit], order: DateOrder) -> list[ImageHit]:
    """Hits by when their pictures were taken, equal ones as they are, those without a date last."""
    newest = order == "newest"
    dated = [hit for hit in hits if hit.payload["taken_at"]]
    dated.sort(key=lambda hit: moment(hit.payload["taken_at"]), reverse=newest)
    return dated + [hit for hit in hits if not hit.payload["taken_at"]]


def by_spelling(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of names that are compared alike, in one, by its commonest spelling."""
    shown: dict[str, str] = {}
    added: dict[str, int] = {}
    for name, count in counts.items():
        spelling = shown.setdefault(folded(name), name)
        added[spelling] = added.get(spelling, 0) + count
    return dict(sorted(added.items(), key=lambda one: (-one[1], one[0])))


def _each_once(names: Sequence[str]) -> list[str]:
    """Names in their first spelling: so a picture is counted once for each."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(folded(name), name)
    return list(found.values())


def _listed(names: list[str] | str) -> list[str]:
    return names if isinstance(names, list) else [names] if names else []


def _location(about: Metadata) -> dict[str, float] | None:
    if about.latitude is None or about.longitude is None:
        return None
    return {"lat": about.latitude, "lon": about.longitude}
