"""Two rankings of one query, raw beside mapped: how far they agree, and which is right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from engine.alignment.alignment import Alignment
from engine.describe.retriever import Retriever
from engine.errors import InvalidInput
from engine.images import Picture
from engine.store import CaptionStore, ImageStore, picture_id
from engine.timing import Stopwatch
from engine.types import (
    SPACES,
    TRAINING_SPLITS,
    CaptionHit,
    Encoder,
    Filters,
    ImageHit,
    Space,
    Vector,
    Vectors,
)
from engine.vectors import unit
from engine.words import content_words

DEPTH = 50
"""How far down a rank is looked for beyond the k that are shown."""

PERSISTENCE = 0.9
"""How likely a reader of a ranking goes on from one find to the next (p of RBO)."""

_TWINS = 50
"""Captions looked through for one that says exactly what is looked for."""

Found = TypeVar("Found", CaptionHit, ImageHit)
Said = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One find and its rank, from 1, on each side; None: beyond what was ranked.

    `kind`: how the rank changes from raw to mapped; `new` and `gone` are among the first k
    on one side only.
    """

    raw: int | None
    mapped: int | None
    kind: Literal["same", "up", "down", "new", "gone"]


@dataclass(frozen=True)
class Truth:
    """What is known to be right, and its ranks, from 1, among the first `depth` of each side.

    `what` is right: a caption of the picture that was asked about, or a picture with the
    caption that was asked for. `captions` says these captions. `fitted`: the map was fitted
    on it, which favours the map.
    """

    what: Literal["caption", "picture"]
    captions: tuple[str, ...]
    raw_ranks: tuple[int, ...]
    mapped_ranks: tuple[int, ...]
    depth: int
    fitted: bool

    @property
    def raw(self) -> int | None:
        """The best rank on the raw side; None: beyond the first `depth`."""
        return next(iter(self.raw_ranks), None)

    @property
    def mapped(self) -> int | None:
        """The best rank on the mapped side; None: beyond the first `depth`."""
        return next(iter(self.mapped_ranks), None)

    @property
    def winner(self) -> Space | None:
        """The side where it stands higher; None: on neither."""
        raw, mapped = (rank or self.depth + 1 for rank in (self.raw, self.mapped))
        if raw == mapped:
            return None
        return "raw" if raw < mapped else "mapped"


@dataclass(frozen=True)
class Comparison(Generic[Found]):
    """What is nearest to one query in both spaces, at the same k.

    `overlap` is the share of the k nearest that both sides have in common, `rbo` their
    rank-biased overlap, 0 to 1 both. Captions count as the same when they differ in case,
    punctuation or articles only. `truth` is None where nothing is known to be right. `depth`
    is how far down ranks were looked for. `query` holds the query's vector, (dim,) unit, in
    each space.
    """

    raw: tuple[Found, ...]
    mapped: tuple[Found, ...]
    overlap: float
    rbo: float
    changes: tuple[Change, ...]
    truth: Truth | None
    depth: int
    timings_ms: Mapping[str, float]
    query: Mapping[Space, Vector] = field(compare=False, repr=False)


def overlap_at_k(first: Sequence[Hashable], second: Sequence[Hashable], k: int) -> float:
    """The share of the first k that two rankings have in common, 0 to 1.

    Of rankings shorter than k the longer one counts; two empty ones share nothing.
    """
    a, b = set(first[:k]), set(second[:k])
    return len(a & b) / max(1, len(a), len(b))


def rank_biased_overlap(
    first: Sequence[Hashable], second: Sequence[Hashable], p: float = PERSISTENCE
) -> float:
    """How far two rankings agree, their tops counting most: 0 (disjoint) to 1 (the same).

    Extrapolated RBO for rankings of any lengths (Webber et al. 2010, equation 32): beyond
    what was seen they go on to agree as they did. Items of a ranking must differ. Raises
    InvalidInput for p outside (0, 1).
    """
    if not 0 < p < 1:
        raise InvalidInput(f"the persistence p is {p}; it must lie between 0 and 1")
    short, long = sorted((first, second), key=len)
    s, n = len(short), len(long)
    if not s:
        return float(s == n)
    shared, total, seen_short, seen_long = 0, 0.0, set[Hashable](), set[Hashable]()
    shared_short = 0
    for depth in range(1, n + 1):
        item = long[depth - 1]
        seen_long.add(item)
        shared += item in seen_short
        if depth <= s:
            seen_short.add(short[depth - 1])
            shared += short[depth - 1] in seen_long
            shared_short = shared
        total += p**depth * shared / depth
        if depth > s:  # the shorter one is taken to go on agreeing as before
            total += p**depth * shared_short * (depth - s) / (s * depth)
    beyond = (shared - shared_short) / n + shared_short / s
    return min(1.0, (1 - p) / p * total + beyond * p**n)


def rank_changes(raw: Sequence[Hashable], mapped: Sequence[Hashable], k: int) -> tuple[Change, ...]:
    """The ranks of all that is among the first k of either ranking, the mapped order first."""
    of_raw = {key: rank for rank, key in enumerate(raw, start=1)}
    of_mapped = {key: rank for rank, key in enumerate(mapped, start=1)}
    shown = dict.fromkeys((*mapped[:k], *raw[:k]))
    return tuple(_change(of_raw.get(key), of_mapped.get(key), k) for key in shown)


def _change(raw: int | None, mapped: int | None, k: int) -> Change:
    if raw is None or raw > k:
        return Change(raw, mapped, "new")
    if mapped is None or mapped > k:
        return Change(raw, mapped, "gone")
    if raw == mapped:
        return Change(raw, mapped, "same")
    return Change(raw, mapped, "up" if mapped < raw else "down")


def compare_captions(
    sought: Picture | ImageHit,
    k: int,
    *,
    encoder: Encoder | None,
    retriever: Retriever,
    images: ImageStore,
) -> Comparison[CaptionHit]:
    """The captions nearest to a picture in both spaces; one of the index asks no encoder.

    However many of them belong to one picture: a limit would make ranks of what it leaves out.
    Right are the captions that people gave this very picture, if it is in the collection.
    """
    depth, watch = max(k, DEPTH), Stopwatch()
    with watch.stage("encode"):
        raw = _picture_row(sought, encoder)
    found: dict[Space, list[CaptionHit]] = {}
    query: dict[Space, Vector] = {}
    for space in SPACES:
        with watch.stage(f"retrieve {space}"):
            rows = retriever.query_vectors(raw, space)
            (found[space],) = retriever.nearest(rows, space, depth, per_image=depth)
            query[space] = rows[0]
    itself = images.get([_id_of(sought)])
    truth = _own_captions(itself, found, depth)
    return _compared(found, lambda hit: content_words(hit.text), k, truth, depth, query, watch)


def _picture_row(sought: Picture | ImageHit, encoder: Encoder | None) -> Vectors:
    """The picture's raw vector, (1, dim): as it is stored, where it is."""
    if isinstance(sought, ImageHit) and sought.vector is not None:
        return unit(sought.vector[None])
    if isinstance(sought, Picture) and encoder is not None:
        return encoder.encode_images([sought.image])
    raise InvalidInput("give a picture with an encoder, or one of the index with its vector")


def _id_of(sought: Picture | ImageHit) -> str:
    return sought.id if isinstance(sought, ImageHit) else picture_id(sought.sha256)


def _own_captions(
    itself: Sequence[ImageHit], found: Mapping[Space, Sequence[CaptionHit]], depth: int
) -> Truth | None:
    if not itself or not itself[0].captions or itself[0].payload["source"] != "human":
        return None
    own = {content_words(caption) for caption in itself[0].captions}
    raw_ranks, mapped_ranks = (
        _ranks(found[space], lambda hit: content_words(hit.text) in own) for space in SPACES
    )
    fitted = itself[0].payload["split"] in TRAINING_SPLITS
    return Truth("caption", itself[0].captions, raw_ranks, mapped_ranks, depth, fitted)


def compare_pictures(
    sought: str | Picture | ImageHit,
    k: int,
    *,
    encoder: Encoder | None,
    alignment: Alignment,
    images: ImageStore,
    captions: CaptionStore,
) -> Comparison[ImageHit]:
    """The pictures nearest to words or to a picture, itself left out, in both spaces.

    A picture of the index asks no encoder.
    Right are, for words, the pictures of which someone wrote exactly that.
    """
    if isinstance(sought, str) and not sought.strip():
        raise InvalidInput("the query is empty; give words or a picture")
    depth, watch = max(k, DEPTH), Stopwatch()
    with watch.stage("encode"):
        if not isinstance(sought, str):
            raw = _picture_row(sought, encoder)
            mapped = alignment.map_images(raw)
        elif encoder is not None:
            raw = encoder.encode_texts([sought])
            mapped = alignment.map_texts(raw)
        else:
            raise InvalidInput("give an encoder for words")
    query: dict[Space, Vector] = {"raw": raw[0], "mapped": mapped[0]}
    found: dict[Space, list[ImageHit]] = {}
    itself = "" if isinstance(sought, str) else _id_of(sought)
    # As in a search: pictures that are compared with a picture are not corrected.
    taken_off = alignment.hub_strength if isinstance(sought, str) else 0.0
    for space in SPACES:
        with watch.stage(f"search {space}"):
            hits = images.search(
                space, depth + 1, raw=raw[0], mapped=mapped[0], hub_strength=taken_off
            )
            found[space] = [hit for hit in hits if hit.id != itself][:depth]
    truth = None
    if isinstance(sought, str):
        truth = _pictures_so_described(sought, raw[0], found, captions, depth)
    return _compared(found, lambda hit: hit.id, k, truth, depth, query, watch)


def _pictures_so_described(
    words: str,
    raw: Vector,
    found: Mapping[Space, Sequence[ImageHit]],
    captions: CaptionStore,
    depth: int,
) -> Truth | None:
    said = content_words(words)
    # A caption of the same words has nearly the same vector, so it is among the nearest.
    (near,) = captions.search(raw[None], "raw", _TWINS, Filters(sources=frozenset(("human",))))
    if not any(hit.picture and content_words(hit.text) == said for hit in near):
        return None

    def right(hit: ImageHit) -> bool:
        human = hit.payload["source"] == "human"
        return human and any(content_words(caption) == said for caption in hit.captions)

    raw_ranks, mapped_ranks = (_ranks(found[space], right) for space in SPACES)
    fitted = any(
        right(hit) and hit.payload["split"] in TRAINING_SPLITS
        for space in SPACES
        for hit in found[space]
    )
    return Truth("picture", (words.strip(),), raw_ranks, mapped_ranks, depth, fitted)


def _ranks(hits: Iterable[Found], right: Callable[[Found], bool]) -> tuple[int, ...]:
    """The ranks, from 1, of the hits that are right."""
    return tuple(rank for rank, hit in enumerate(hits, start=1) if right(hit))


def _compared(
    found: Mapping[Space, Sequence[Found]],
    key: Callable[[Found], Hashable],
    k: int,
    truth: Truth | None,
    depth: int,
    query: Mapping[Space, Vector],
    watch: Stopwatch,
) -> Comparison[Found]:
    raw, mapped = ([key(hit) for hit in found[space]] for space in SPACES)
    return Comparison(
        raw=tuple(found["raw"][:k]),
        mapped=tuple(found["mapped"][:k]),
        overlap=overlap_at_k(raw, mapped, k),
        rbo=rank_biased_overlap(raw[:k], mapped[:k]),
        changes=rank_changes(raw, mapped, k),
        truth=truth,
        depth=depth,
        timings_ms=watch.timings_ms,
        query=query,
    )
