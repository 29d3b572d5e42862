"""The values that travel between the rooms: plain, frozen, without behaviour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from engine.stages.trace import Trace

Vectors = NDArray[np.float32]
"""(n, dim) float32, one row per item; unit rows unless said otherwise."""

Vector = NDArray[np.float32]
"""(dim,) float32, unit length unless said otherwise."""

Space = Literal["raw", "mapped"]
"""`raw`: CLIP as it is. `mapped`: centred and carried across the gap by the alignment."""

DescribeSpace = Literal["raw", "mapped", "fused"]
"""Where captions are retrieved for a description: one space, or both fused by reciprocal rank."""

SearchSpace = Literal["raw", "mapped", "caption", "words", "fused"]
"""Where pictures are searched: the two spaces, the vector of their captions, the words of
their captions (BM25), or `mapped`, `caption` and `words` fused by reciprocal rank."""

SPACES: tuple[Space, ...] = ("raw", "mapped")

TRAINING_SPLITS = frozenset({"train", "restval", ""})
"""Splits that a map may be fitted on; "" is a source without splits."""

CaptionSource = Literal["human", "generated"]

DateOrder = Literal["newest", "oldest"]
"""Pictures by when they were taken; those that do not say it come last."""

Sort = Literal["relevance", "newest", "oldest"]
"""How pictures that were found are ordered."""

RerankMethod = Literal["off", "pointwise", "listwise", "picture"]
"""How what was found is put in a better order: by its captions one by one, by lists of them, or
by the pictures themselves."""


@dataclass(frozen=True)
class Decoding:
    """How text is drawn from a generator.

    `greedy` takes the likeliest token (more than one candidate then comes from beams),
    `beam` searches with `beams` beams, `nucleus` samples from the likeliest `top_p` share at
    `temperature`, repeatable by `seed`.
    """

    method: Literal["greedy", "beam", "nucleus"] = "greedy"
    beams: int = 4
    top_p: float = 0.9
    temperature: float = 0.7
    max_new_tokens: int = 40
    seed: int = 0


class Encoder(Protocol):
    """Embeds pictures and texts into one space."""

    @property
    def id(self) -> str:
        """Model, weights and preprocessing: equal ids give equal vectors."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def encode_images(self, images: list[Image]) -> Vectors:
        """Embed RGB pictures: (n, dim) float32 unit rows."""

    def encode_texts(self, texts: list[str]) -> Vectors:
        """Embed texts: (n, dim) float32 unit rows."""


class Generator(Protocol):
    """Writes text from prompts."""

    @property
    def id(self) -> str:
        """Model and weights."""

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt, as `count_tokens` counts."""

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        """Write up to `n` different candidates for each prompt, the likeliest first."""


class Chooser(Protocol):
    """Says which of given answers it would write to a prompt, without writing."""

    @property
    def id(self) -> str:
        """Model and weights."""

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt, as `count_tokens` counts."""

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""

    def likelihoods(self, prompts: list[str], choices: Sequence[str]) -> Vectors:
        """Log-probabilities of the choices after each prompt, one row a prompt, float32.

        Of a choice counts what it begins with, as far as that tells it from the others: mostly
        its first token. Each row's probabilities add up to 1.
        """


class Matcher(Protocol):
    """Says how well texts fit pictures, looking at both at once."""

    @property
    def id(self) -> str:
        """Model and weights."""

    def match(self, pairs: list[tuple[Image, str]]) -> Vector:
        """The log-odds that each text fits its RGB picture: (n,) float32, not of unit length.

        A picture that is in several pairs, as the same object, is looked at once.
        """


class TextStream(Protocol):
    """Writes one text piece by piece, so that it can be read while it is written."""

    @property
    def id(self) -> str:
        """Model and weights."""

    @property
    def max_images(self) -> int:
        """The most pictures that it is shown at once; 0: it reads text alone."""

    @property
    def max_input_tokens(self) -> int:
        """The longest prompt, as `count_tokens` counts, that fits beside `max_images` pictures."""

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""

    def stream(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Iterator[str]:
        """The pieces of the likeliest text, as they come: joined they are the whole of it.

        The pictures come before the prompt, in their order. Work begins with the first piece;
        it ends where the iterator is closed, and with `Cancelled` where the `Cancellation` that
        the reading thread watches is asked. Raises InvalidInput for more pictures than
        `max_images`, and for a prompt that does not fit beside them.
        """


@dataclass(frozen=True)
class CaptionPoint:
    """A caption as it is stored; `id` follows from picture, text and source.

    `picture` is the key of the picture that it is of (`engine.identity`), "" for none;
    `image_id` is the name by which that picture is shown. `hub` is how near its mapped vector is
    to all pictures (`engine.alignment.hubs`), None where that is not known.
    """

    id: str
    text: str
    raw: Vector
    mapped: Vector
    picture: str = ""
    image_id: str = ""
    uri: str = ""
    split: str = ""
    source: CaptionSource = "human"
    round: int = 0
    hub: float | None = None


@dataclass(frozen=True)
class Metadata:
    """What a picture's file says of itself, beside its pixels and when it was taken.

    `latitude` and `longitude` are degrees (WGS 84), both or neither; `rating` is 0 to 5, -1 for
    one that was rejected.
    """

    camera: str = ""
    lens: str = ""
    latitude: float | None = None
    longitude: float | None = None
    title: str = ""
    rating: int | None = None
    keywords: tuple[str, ...] = ()


NO_METADATA = Metadata()


@dataclass(frozen=True)
class ImagePoint:
    """A picture as it is stored; `id` follows from the sha256 of its file.

    `image_id` is the name by which it is shown, `names` are all that it goes by.
    `caption` is the mapped vector of its captions, None while it has none.
    `places` are the names of where it was taken, the nearest first: town, region, country.
    `hub` is how near its mapped vector is to all captions (`engine.alignment.hubs`), None where
    that is not known. `labels` are what taggings gave it (`engine.tags`), `tags` what people did.
    """

    id: str
    image_id: str
    uri: str
    sha256: str
    width: int
    height: int
    raw: Vector
    mapped: Vector
    caption: Vector | None = None
    captions: tuple[str, ...] = ()
    source: CaptionSource = "human"
    split: str = ""
    taken_at: datetime | None = None
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    metadata: Metadata = NO_METADATA
    places: tuple[str, ...] = ()
    hub: float | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Near:
    """A circle on the globe: its middle in degrees (WGS 84), and its radius."""

    latitude: float
    longitude: float
    kilometres: float


@dataclass(frozen=True)
class Filters:
    """What found points must satisfy; an empty filter is satisfied by all.

    Sets mean "any of these", those that begin with `not_` "none of these"; `not_pictures` are
    keys of pictures (`engine.identity`), whose captions are excluded, too.
    `proven` leaves out captions that neither people wrote nor a refinement round added.
    Names of tags, labels, cameras, lenses and places, and endings of files (without the dot), are
    compared without regard to case and to accents of Latin letters; a place is a town, a region or
    a country. Each of `phrases` must occur in a caption, word by word, accents included.
    `clock_from` and `clock_until` are times of any day, by the clock that a picture was taken by;
    where the first is the later one, they reach over midnight.
    """

    splits: frozenset[str] = frozenset()
    not_splits: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    not_pictures: frozenset[str] = frozenset()
    proven: bool = False
    taken_from: datetime | None = None
    taken_until: datetime | None = None
    cameras: frozenset[str] = frozenset()
    lenses: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    near: Near | None = None
    phrases: tuple[str, ...] = ()
    has_caption: bool | None = None
    extensions: frozenset[str] = frozenset()
    least_rating: int | None = None
    not_sources: frozenset[str] = frozenset()
    not_tags: frozenset[str] = frozenset()
    not_cameras: frozenset[str] = frozenset()
    not_lenses: frozenset[str] = frozenset()
    not_places: frozenset[str] = frozenset()
    not_extensions: frozenset[str] = frozenset()
    clock_from: time | None = None
    clock_until: time | None = None
    labels: frozenset[str] = frozenset()
    not_labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Facets:
    """What pictures can be filtered by.

    Values, the commonest first, with their numbers of pictures; and the first and the last
    moment a picture was taken at, None where no picture says it.
    """

    splits: Mapping[str, int]
    sources: Mapping[str, int]
    tags: Mapping[str, int]
    taken_from: datetime | None = None
    taken_until: datetime | None = None
    cameras: Mapping[str, int] = field(default_factory=dict)
    lenses: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)
    extensions: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptionHit:
    """A caption that was found; `score` is a cosine, in `mapped` less what is taken off for hubs.

    `vector` is its raw vector if asked for. `picture` is the key of the picture that it is of, ""
    for none; see `CaptionPoint`.
    """

    id: str
    text: str
    score: float
    picture: str = ""
    image_id: str = ""
    uri: str = ""
    source: CaptionSource = "human"
    vector: Vector | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class ImageHit:
    """A picture that was found; `score` is a cosine, a BM25 weight or a fused rank score.

    In `mapped` it is the cosine less what is taken off for hubs. `vector` is its raw vector if
    asked for. `chance` is the calibrated chance that it is what was asked for, None where that
    cannot be told; `copies` is how many more pictures of the same sight stand behind it.
    """

    id: str
    image_id: str
    uri: str
    score: float
    captions: tuple[str, ...] = ()
    payload: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    vector: Vector | None = field(default=None, compare=False, repr=False)
    chance: float | None = None
    copies: int = 0


@dataclass(frozen=True)
class Candidate:
    """A description that was written; `score` is its cosine with the picture."""

    text: str
    score: float


@dataclass(frozen=True)
class MadeWith:
    """What a description was made with; the same picture is described alike with equal ones.

    `generator`: the model, or `consensus`. `map`: its method, and a name of exactly this map.
    `memory`: the collection that lent captions, "" for none; `captions`: how many captions could
    be borrowed in all.
    """

    generator: str = ""
    map: str = ""
    memory: str = ""
    captions: int = 0


@dataclass(frozen=True)
class CaptionResult:
    """A picture described: the chosen caption, what it was chosen from, and what it cost.

    `reranked` says what of the captions was put in another order.
    """

    caption: str
    candidates: tuple[Candidate, ...]
    retrieved: tuple[CaptionHit, ...]
    prompt: str
    space: DescribeSpace
    timings_ms: Mapping[str, float]
    made_with: MadeWith = MadeWith()
    trace: Trace = field(default=Trace(), compare=False, repr=False)
    reranked: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """The pictures found for a query, best first.

    `likely` is how many of the whole ranking, from its first on, are likely what was asked for;
    None where that cannot be told. `reranked` says what of it was put in another order, and what
    there was no time for; empty where that was not asked for.
    """

    query: str
    space: SearchSpace
    hits: tuple[ImageHit, ...]
    timings_ms: Mapping[str, float]
    likely: int | None = None
    trace: Trace = field(default=Trace(), compare=False, repr=False)
    reranked: tuple[str, ...] = ()
