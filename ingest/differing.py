"""Which generated descriptions would be others now, and those described again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from corpus.ledger import Ledger
from engine.app import Collection
from engine.describe.captioner import each_described
from engine.errors import MragError
from engine.identity import identity_of
from engine.settings import Settings
from engine.store import picture_id
from engine.types import Filters, ImageHit, Vectors
from engine.vectors import unit
from ingest.describe import DescribeReport, describe
from ingest.push import push

AMONG, CHECKED = 500, 12
"""Of so many pictures those are described on trial that are most like the corrected ones."""

_LATEST = 20


@dataclass(frozen=True)
class Differing:
    """A picture whose generated description would be another one now."""

    sha256: str
    id: str
    uri: str
    now: str
    then: str


@dataclass(frozen=True)
class Looked:
    """Of `checked` pictures those whose description would differ."""

    checked: int
    differing: tuple[Differing, ...]


def look(collection: Collection) -> Looked:
    """Describe on trial the pictures with generated descriptions most like the corrected ones."""
    hits = _nearest(collection)
    if not hits:
        return Looked(0, ())
    captioner = collection.filling_captioner()
    vectors = np.stack([hit.vector for hit in hits if hit.vector is not None])
    own = [identity_of(hit) for hit in hits]
    answers = each_described(
        lambda part: captioner.describe_vectors(vectors[part], exclude=own[part]), len(hits)
    )
    differing = []
    for hit, answer in zip(hits, answers, strict=True):
        if isinstance(answer, MragError):
            continue
        now, then = next(iter(hit.captions), ""), " ".join(answer.caption.split())
        if then and then != now:
            differing.append(Differing(hit.payload["sha256"], hit.id, hit.uri, now, then))
    return Looked(len(answers), tuple(differing))


def describe_differing(
    collection: Collection, settings: Settings, again: Sequence[str]
) -> DescribeReport:
    """Describe pictures anew whose descriptions were generated, and bring the index level."""
    folder = collection.folder
    done = describe(folder, collection.encoder, collection.filling_captioner, again=again)
    push(folder, collection.card, settings)
    return done


def _nearest(collection: Collection) -> list[ImageHit]:
    images = collection.images
    ids = list(islice(images.ids(Filters(sources=frozenset({"generated"}))), AMONG))
    hits = [hit for hit in images.get(ids, with_vectors=True) if hit.vector is not None]
    corrected = _corrected(collection)
    if not hits or not len(corrected):
        return hits[:CHECKED]
    vectors = np.stack([hit.vector for hit in hits if hit.vector is not None])
    likeness = (vectors @ corrected.T).max(axis=1)
    return [hits[at] for at in np.argsort(-likeness, kind="stable")[:CHECKED]]


def _corrected(collection: Collection) -> Vectors:
    """The vectors of the pictures that were corrected last."""
    with Ledger.read(collection.folder) as ledger:
        latest = ledger.corrected.latest(_LATEST)
    found = collection.images.get([picture_id(one) for one in latest], with_vectors=True)
    vectors = [hit.vector for hit in found if hit.vector is not None]
    if not vectors:
        return np.empty((0, collection.card.dim), np.float32)
    return np.asarray(unit(np.stack(vectors)), np.float32)
