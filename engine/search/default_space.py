"""In which space a collection's pictures are looked for where nobody names one: by measurement.

Pictures that people described at least twice are split: every second caption of each is a judge,
the others are what the search knows of it. Queries of one word, of several words and of a whole
caption are made of judges, so none of them finds itself. What a judge says is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import log
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.alignment.alignment import Alignment
from engine.identity import content_number, identity_of
from engine.sampling import Hashes, name_hash
from engine.search.short_queries import encode_queries
from engine.store import CaptionStore, ImageStore, caption_id
from engine.store.paging import reciprocal_ranks
from engine.types import TRAINING_SPLITS, Encoder, Filters, ImageHit, SearchSpace, Vector, Vectors
from engine.words import content_words, words

if TYPE_CHECKING:
    from engine.store.bm25 import WordEncoder

QueryKind = Literal["word", "words", "caption"]
KINDS: tuple[QueryKind, ...] = ("word", "words", "caption")
"""Queries of one word, of two or three, and of a whole caption; each kind counts the same."""

SAMPLE = 500
"""Pictures that are searched at most: few enough to be ranked in a moment, in memory."""

SCANNED = 5_000
"""Pictures that are looked through for some with two captions."""

QUERIES = 40
"""Queries of each kind, at most: 80 texts to embed, as captions have their vectors."""

ENOUGH = 20
"""With fewer pictures nothing is told from them."""

FEWEST = 10
"""Nor with fewer queries of a kind."""

TOP = 5
"""How many of the first finds count."""

CANDIDATES: tuple[SearchSpace, ...] = ("mapped", "raw", "fused")
"""What may be chosen; of those that answer alike the first, whose scores are likenesses.

They find every picture, whatever is asked. `caption` and `words`, which are measured beside them,
find none that has no captions; `words` none by a picture, nor by a word that no caption has.
"""

MEASURED: tuple[SearchSpace, ...] = (*CANDIDATES, "caption", "words")

_HUMAN = frozenset(("human",))
_TYPICAL_WORDS = 24.0
_READ = 500

Item = TypeVar("Item")
Values = NDArray[np.float64]
Measured = Mapping[SearchSpace, Mapping[QueryKind, tuple[Values, Values]]]
"""For every space and kind of query the nDCG of each query, and whether its first find is right."""


@dataclass(frozen=True)
class Score:
    """How well one space answers one kind of query, 0 to 1.

    `ndcg` is that of the first `TOP`, `first` the share of queries whose first find is right.
    """

    ndcg: float
    first: float


@dataclass(frozen=True)
class SpaceChoice:
    """The space to search by words where none is named, why, and what was measured.

    `scores` are those of every space by kind of query, empty where nothing could be measured;
    then `pictures` and `queries` are 0. `fitted`: the map was fitted on these pictures, which
    favours what goes by it. `as_captions`: short queries answer better in the form of captions
    (`engine.search.short_queries`).
    """

    space: SearchSpace
    reason: str
    scores: Mapping[SearchSpace, Mapping[QueryKind, Score]] = field(default_factory=dict)
    pictures: int = 0
    queries: Mapping[QueryKind, int] = field(default_factory=dict)
    fitted: bool = False
    as_captions: bool = False

    def mean(self, space: SearchSpace) -> float:
        """The mean nDCG of a space over the kinds of queries."""
        return sum(score.ndcg for score in self.scores[space].values()) / len(KINDS)


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures, what the search knows of each, and the captions that are kept from it.

    `images` (n, dim) are raw unit rows; `known` and `judges` are n lists of captions;
    `vectors` has the raw vector of every caption, by its row and text; `ids` and `numbers` (n,)
    are those of pictures.
    """

    images: Vectors
    known: Sequence[Sequence[str]]
    judges: Sequence[Sequence[str]]
    vectors: Mapping[tuple[int, str], Vector] = field(repr=False)
    ids: Sequence[str] = field(repr=False)
    numbers: Hashes = field(repr=False)
    fitted: bool = False


@dataclass(frozen=True)
class GradedQuery:
    """What is looked for, and how right each picture is, (n,) from 0 to 1.

    `source`: the picture that a whole caption is of, whose vector is stored.
    """

    kind: QueryKind
    text: str
    gains: Values = field(repr=False)
    source: int = -1


def choose_space(
    images: ImageStore, captions: CaptionStore, alignment: Alignment, encoder: Encoder
) -> SpaceChoice:
    """The space that answers best here, or the stated default where that cannot be measured."""
    judged = _judged(images, captions)
    if judged is None:
        return _stated(images)
    queries = graded_queries(judged)
    measured = measure(queries, judged, alignment, encoder)
    choice = choose(queries, measured, judged)
    if choice is None:
        return _stated(images)
    in_captions = measure(queries, judged, alignment, encoder, as_captions=True)
    if not _clearly_better(in_captions[choice.space], measured[choice.space]):
        return choice
    again = choose(queries, in_captions, judged) or choice
    said = f"{again.reason}; of one word or two it answers better in the form of captions"
    return replace(again, reason=said, as_captions=True)


def _clearly_better(
    one: Mapping[QueryKind, tuple[Values, Values]], other: Mapping[QueryKind, tuple[Values, Values]]
) -> bool:
    """Whether the mean over kinds is higher by more than one standard error."""
    gain = sum(float((one[kind][0] - other[kind][0]).mean()) for kind in KINDS) / len(KINDS)
    return gain > _standard_error(one, other)


def _stated(images: ImageStore) -> SpaceChoice:
    """Where too few pictures have two captions by people; RESULTS.md has what it is taken from."""
    if any(hit.captions for hit in images.get(list(islice(images.ids(), ENOUGH)))):
        return SpaceChoice(
            "fused",
            "too few pictures have two captions by people to measure it here; on the samples this "
            "answers best with one caption each, whether people or the program wrote it",
        )
    return SpaceChoice("mapped", "no picture has a caption that it could be found by")


def _judged(images: ImageStore, captions: CaptionStore) -> Judged | None:
    """Held-out pictures if there are enough, else any; None without enough of them."""
    unseen = judged_pictures(images, captions, Filters(sources=_HUMAN, not_splits=TRAINING_SPLITS))
    if unseen is not None:
        return unseen
    return judged_pictures(images, captions, Filters(sources=_HUMAN), fitted=True)


def judged_pictures(
    images: ImageStore, captions: CaptionStore, filters: Filters, *, fitted: bool = False
) -> Judged | None:
    """Pictures with two captions by people, at most `SAMPLE`; None for fewer than `ENOUGH`."""
    ids = islice(images.ids(filters), SCANNED)  # hashes, so the first are a random sample
    taken: list[ImageHit] = []
    while len(taken) < SAMPLE and (batch := list(islice(ids, _READ))):
        found = images.get(batch, with_vectors=True)
        taken += [hit for hit in found if len(_different(hit)) > 1 and hit.vector is not None]
    taken = taken[:SAMPLE]
    if len(taken) < ENOUGH:
        return None
    said = [_different(hit) for hit in taken]
    keys = {
        caption_id(identity_of(hit).key, text, "human"): (row, text)
        for row, (hit, texts) in enumerate(zip(taken, said, strict=True))
        for text in texts
    }
    stored = captions.get(list(keys), with_vectors=True)
    vectors = {keys[one.id]: one.vector for one in stored if one.vector is not None}
    if len(vectors) < len(keys):  # an index that is being written
        return None
    return Judged(
        np.stack([hit.vector for hit in taken if hit.vector is not None]),
        [texts[::2] for texts in said],
        [texts[1::2] for texts in said],
        vectors,
        [hit.id for hit in taken],
        np.array([content_number(hit.payload["sha256"]) for hit in taken], np.uint64),
        fitted,
    )


def _different(hit: ImageHit) -> tuple[str, ...]:
    """Its captions without those that say just what an earlier one does: each would find it."""
    return tuple({content_words(text): text for text in reversed(hit.captions)}.values())[::-1]


def graded_queries(judged: Judged) -> list[GradedQuery]:
    """Queries of every kind, made of judges; the same ones for the same pictures."""
    terms = _Terms(judged.judges)
    found = [
        GradedQuery("word", word, terms.gains([key]))
        for key, word in _by_hash(terms.common.items(), lambda one: one[1])[:QUERIES]
    ]
    sources = list(enumerate(captions[0] for captions in judged.judges))
    for _, caption in _by_hash(sources, lambda one: f"{one[0]} {one[1]}")[:QUERIES]:
        chosen = terms.some_of(caption)
        if len(chosen) > 1:
            text = " ".join(terms.common[key] for key in chosen)
            found.append(GradedQuery("words", text, terms.gains(chosen)))
    says = [{content_words(caption) for caption in captions} for captions in judged.judges]
    for row, caption in _by_hash(sources, lambda one: f"{one[1]} {one[0]}")[:QUERIES]:
        same = np.array([content_words(caption) in said for said in says], np.float64)
        found.append(GradedQuery("caption", caption, same, row))
    return found


def measure(
    queries: Sequence[GradedQuery],
    judged: Judged,
    alignment: Alignment,
    encoder: Encoder,
    *,
    as_captions: bool = False,
) -> Measured:
    """Search for every query in every space; for short ones in the form of captions, if asked."""
    searched = _Searched(judged, alignment)
    typed = [query.text for query in queries if query.source < 0]
    vectors = iter(encode_queries(encoder, typed, as_captions=as_captions) if typed else ())
    found: dict[SearchSpace, dict[QueryKind, list[tuple[float, float]]]] = {
        space: defaultdict(list) for space in MEASURED
    }
    for query in queries:
        own = judged.vectors.get((query.source, query.text))
        rankings = searched.rankings(query.text, next(vectors) if own is None else own)
        for space, ranking in rankings.items():
            found[space][query.kind].append(_scored(ranking, query.gains))
    return {
        space: {kind: _columns(rows) for kind, rows in kinds.items()}
        for space, kinds in found.items()
    }


def choose(
    queries: Sequence[GradedQuery],
    measured: Measured,
    judged: Judged,
) -> SpaceChoice | None:
    """The first of `CANDIDATES` that is not worse than the best by more than one standard error.

    None where there are too few queries of a kind.
    """
    counts = Counter(query.kind for query in queries)
    if any(counts[kind] < FEWEST for kind in KINDS):
        return None
    means = {
        space: sum(float(kinds[kind][0].mean()) for kind in KINDS) / len(KINDS)
        for space, kinds in measured.items()
    }
    best = max(CANDIDATES, key=means.__getitem__)
    space = next(
        one
        for one in CANDIDATES
        if means[best] - means[one] <= _standard_error(measured[best], measured[one])
    )
    level = "" if space == best else f", level with {best} ({means[best]:.2f})"
    scores = {
        one: {kind: Score(*(float(values.mean()) for values in kinds[kind])) for kind in KINDS}
        for one, kinds in measured.items()
    }
    return SpaceChoice(
        space,
        f"it answers best here: nDCG@{TOP} {means[space]:.2f}{level}, over queries of one word, "
        "several words and whole captions",
        scores,
        len(judged.images),
        {kind: counts[kind] for kind in KINDS},
        judged.fitted,
    )


def _standard_error(
    best: Mapping[QueryKind, tuple[Values, Values]],
    other: Mapping[QueryKind, tuple[Values, Values]],
) -> float:
    """Of the difference of their means over kinds, query by query."""
    variances = [
        float(np.var(best[kind][0] - other[kind][0], ddof=1)) / len(best[kind][0]) for kind in KINDS
    ]
    return float(np.sqrt(sum(variances))) / len(KINDS)


def _columns(rows: Sequence[tuple[float, float]]) -> tuple[Values, Values]:
    ndcg, first = np.array(rows, np.float64).reshape(-1, 2).T
    return ndcg, first


def _scored(ranking: Sequence[int], gains: Values) -> tuple[float, float]:
    """nDCG of the first `TOP`, and 1 where the first find is right at all."""
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    got = gains[list(ranking[:TOP])]
    ideal = np.sort(gains)[::-1][:TOP]
    ndcg = float(got @ discounts[: len(got)] / (ideal @ discounts[: len(ideal)]))
    return ndcg, float(len(got) > 0 and got[0] > 0)


def _by_hash(items: Iterable[Item], name: Callable[[Item], str]) -> list[Item]:
    """In an order that has nothing to do with what they are, and is always the same."""
    return sorted(items, key=lambda one: name_hash(name(one)))


class _Terms:
    """The words of judges as the search for words knows them: without stop words, by their stem.

    `common` has those that several pictures share, though not most, each in one spelling.
    """

    def __init__(self, judges: Sequence[Sequence[str]]) -> None:
        self._encoder = _word_encoder()
        self._known: dict[str, tuple[int, ...]] = {}
        self.said = [[frozenset(self._keys(caption)) for caption in one] for one in judges]
        pictures = Counter(key for one in self.said for key in frozenset().union(*one))
        spelled = {
            self._key(word): word
            for one in judges
            for caption in one
            for word in sorted(set(words(caption)), reverse=True)
        }
        most = len(judges) / 2
        self.common = {
            key: word
            for key, word in spelled.items()
            if key is not None and 2 <= pictures[key] <= most
        }

    def some_of(self, caption: str) -> list[int]:
        """Up to three of the common words of a caption, in its order."""
        keys = [key for key in dict.fromkeys(self._keys(caption)) if key in self.common]
        return sorted(_by_hash(keys, lambda key: f"{caption} {key}")[:3], key=keys.index)

    def gains(self, wanted: Sequence[int]) -> Values:
        """Which share of the words a judge of each picture has, in the mean of its judges."""
        return np.array(
            [
                sum(key in said for said in one for key in wanted) / (len(one) * len(wanted))
                for one in self.said
            ],
            np.float64,
        )

    def _keys(self, caption: str) -> list[int]:
        return [key for word in words(caption) if (key := self._key(word)) is not None]

    def _key(self, word: str) -> int | None:
        """What all forms of the word share; None for a stop word and for a run of many."""
        if word not in self._known:
            self._known[word] = tuple(self._encoder.query(word).indices)
        found = self._known[word]
        return found[0] if len(found) == 1 else None


class _Searched:
    """A few pictures in memory, searched as an index searches all of them."""

    def __init__(self, judged: Judged, alignment: Alignment) -> None:
        self._alignment = alignment
        self._encoder = _word_encoder()
        self._raw = judged.images
        self._mapped = alignment.map_images(judged.images)
        hubs = alignment.hubs
        near = hubs.of_pictures(self._mapped, judged.numbers) if hubs else None
        self._taken_off = 0.0 if near is None else alignment.hub_strength * near
        self._caption = np.stack(
            [
                _mean(alignment.map_texts(np.stack([judged.vectors[row, text] for text in known])))
                for row, known in enumerate(judged.known)
            ]
        )
        self._weights: dict[int, dict[int, float]] = defaultdict(dict)
        for row, known in enumerate(judged.known):
            document = self._encoder.document("\n".join(known))
            for key, weight in zip(document.indices, document.values, strict=True):
                self._weights[key][row] = weight

    def rankings(self, text: str, vector: Vector) -> dict[SearchSpace, list[int]]:
        """The rows of pictures in every space, best first, for a query and its raw vector."""
        mapped = self._alignment.map_texts(vector[None])[0]
        found: dict[SearchSpace, list[int]] = {
            "raw": _best_first(self._raw @ vector),
            "mapped": _best_first(self._mapped @ mapped - self._taken_off),
            "caption": _best_first(self._caption @ mapped),
            "words": self._by_words(text),
        }
        fused = reciprocal_ranks(
            [f"{row:06}" for row in found[space]] for space in ("mapped", "caption", "words")
        )
        found["fused"] = [int(row) for row in sorted(fused, key=lambda one: (-fused[one], one))]
        return found

    def _by_words(self, text: str) -> list[int]:
        scores: dict[int, float] = defaultdict(float)
        for key in self._encoder.query(text).indices:
            holding = self._weights.get(key, {})
            rarity = log(1 + (len(self._raw) - len(holding) + 0.5) / (len(holding) + 0.5))
            for row, weight in holding.items():
                scores[row] += weight * rarity
        return sorted(scores, key=lambda row: (-scores[row], row))


def _best_first(scores: NDArray[np.float32]) -> list[int]:
    found: list[int] = np.argsort(-scores, kind="stable").tolist()
    return found


def _mean(rows: Vectors) -> Vectors:
    total = rows.sum(axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-6), np.float32)


def _word_encoder() -> WordEncoder:
    from engine.store.bm25 import WordEncoder  # imports an engine that most searches do without

    return WordEncoder(_TYPICAL_WORDS)
