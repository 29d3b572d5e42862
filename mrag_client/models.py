"""What is asked and answered, as JSON: one form for terminal, HTTP API, client and exports.

Scores are cosines unless said otherwise, in the space `mapped` less what is taken off for being
near to everything; times are in milliseconds by stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_HITS = 10_000
"""What is found at once at most: all of it is held, shown and, for captions, put in a prompt."""

MANY = 1_000_000_000
"""More pictures, points or bytes of them than one machine holds: no count is larger."""

SEARCH_LANGUAGE = (
    'Words, looked for together; +word and -word (or -"several words") draw nearer and move away, '
    '2:word weighs; "words in quotes" must occur in a caption; like:ID and -like:ID name pictures. '
    "Filters, of which all must hold and any value of one is enough: after:2024-05 "
    "before:2025-01-31 (both ends belong to it), or times of any day, as after:08:00 before:17:00; "
    'camera:"Canon EOS R6" lens: place:Lisbon '
    "near:38.7,-9.1,20km tag: split: by:human|generated has:caption ext:jpg rating:3 (or more) "
    "label: (given by mrag tag); "
    "-camera: -lens: -place: -tag: -split: -by: -has: -ext: -label: leave out."
)
"""How searches are written, in short."""

MAX_WORDS = 500
"""Characters of one text of a query."""

MOST_TERMS = 16
"""Texts, or pictures, to draw nearer to or to move away from: each text is embedded."""

MOST_RERANKED, MOST_RERANK_SECONDS = 200, 60
"""How many, and for how long, are reranked at most: a visitor waits for it."""

MOST_GROUPS = 1000
"""Groups of duplicates that are told at once at most."""

DescribeSpace = Literal["raw", "mapped", "fused"]
SearchSpace = Literal["raw", "mapped", "caption", "words", "fused"]
AskedSpace = Literal["best", "raw", "mapped", "caption", "words", "fused"]
"""`best`: where the collection was measured to answer words best, which the answer then names."""

Decoding = Literal["greedy", "beam", "nucleus"]
Order = Literal["nearest-first", "nearest-last"]
Refinement = Literal["near-copies", "contradictions", "compression"]
Sort = Literal["relevance", "newest", "oldest"]
MapMethod = Literal["auto", "raw", "centred", "shrink", "ridge", "procrustes", "ols"]
Rerank = Literal["off", "pointwise", "listwise", "picture"]
DuplicateKind = Literal["all", "exact", "near"]
JobState = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]

SINGULAR = {
    "spaces": "space",
    "splits": "split",
    "tags": "tag",
    "likes": "like",
    "unlikes": "unlike",
    "searches": "search",
}
"""Fields that are repeated for each of their values, by the name that they then have."""

Words = Annotated[str, Field(max_length=MAX_WORDS)]
Terms = Annotated[tuple[Words, ...], Field(max_length=MOST_TERMS)]
Ids = Annotated[tuple[Annotated[str, Field(max_length=64)], ...], Field(max_length=MOST_TERMS)]
Share = Annotated[float, Field(ge=0, le=1)]
RERANKING = (
    "pointwise: the text model judges captions one by one; listwise: lists of them; picture: a "
    "model that looks at the pictures."
)
RerankTop = Annotated[
    int, Field(ge=1, le=MOST_RERANKED, description="The first so many are put in a better order.")
]
RerankSeconds = Annotated[
    float,
    Field(
        ge=0,
        le=MOST_RERANK_SECONDS,
        description="For so long; what there is no time for keeps its place.",
    ),
]
Timings = Mapping[str, float]
Explain = Annotated[bool, Field(description="Tell how the answer was made, stage by stage.")]


class _Asked(BaseModel):
    """What is asked: a field that nobody knows is an error, not an option that does nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _Answer(BaseModel):
    """What is answered: a client of an earlier version passes over fields that are new."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class CaptionOptions(_Asked):
    """How pictures are described; the defaults are the program's."""

    space: DescribeSpace = "mapped"
    k: Annotated[int, Field(ge=1, le=MOST_HITS, description="Captions retrieved.")] = 4
    per_image: Annotated[
        int, Field(ge=1, le=MOST_HITS, description="At most so many captions of one picture.")
    ] = 2
    prompt: Annotated[
        str,
        Field(
            max_length=4000,
            description="paper, smallcap, summarise, or a text with {captions} in it.",
        ),
    ] = "paper"
    order: Order = "nearest-first"
    candidates: Annotated[int, Field(ge=1, le=100, description="Descriptions written.")] = 4
    decoding: Decoding = "greedy"
    diversity: Annotated[Share, Field(description="Above 0: captions unlike each other.")] = 0.0
    consensus: Annotated[
        Share, Field(description="Chosen by likeness to the picture (0) or to what was found (1).")
    ] = 0.0
    borrow: Annotated[bool, Field(description="A retrieved caption may be chosen, too.")] = False
    own: Annotated[
        bool, Field(description="Borrow the collection's captions of the very picture.")
    ] = False
    explain: Explain = False
    refine: Annotated[
        tuple[Refinement, ...],
        Field(
            max_length=3,
            description="What is done to captions before a prompt is made of them. near-copies: "
            "what says the same is said once; contradictions: in counts and colours most and the "
            "nearest decide; compression: clauses that no other caption says go before whole "
            "captions do.",
        ),
    ] = ()
    prompt_tokens: Annotated[
        int | None,
        Field(ge=1, le=MANY, description="The longest prompt; null: as long as the model reads."),
    ] = None
    rerank: Annotated[Rerank, Field(description=f"Order of the captions. {RERANKING}")] = "off"
    rerank_top: RerankTop = 20
    rerank_seconds: RerankSeconds = 2.0


MOST_SHOTS = 1000
"""Shots of a video that are described at once at most."""


class OutlineOptions(CaptionOptions):
    """How the shots of a video are described, and which of them."""

    start: Annotated[
        float, Field(ge=0, le=MANY, description="Seconds from the beginning, where a shot begins.")
    ] = 0.0
    shots: Annotated[int, Field(ge=1, le=MOST_SHOTS, description="Shots described.")] = 100


class SearchOptions(_Asked):
    """What is looked for, beside a picture, and how.

    A search of filters alone finds the pictures that satisfy them, by date.
    """

    text: Annotated[Words, Field(description=SEARCH_LANGUAGE)] = ""
    plus: Terms = ()
    minus: Terms = ()
    likes: Annotated[Ids, Field(description="Like these pictures of the collection, by id.")] = ()
    unlikes: Annotated[Ids, Field(description="And not like these, by id.")] = ()
    spaces: Annotated[
        tuple[AskedSpace, ...],
        Field(
            min_length=1,
            max_length=6,
            description="Where to search. best: where this collection was measured to answer words "
            "best; for a picture alone, or with a least score that this space has not, mapped.",
        ),
    ] = ("best",)
    k: Annotated[int, Field(ge=1, le=MOST_HITS, description="Pictures found.")] = 10
    offset: Annotated[int, Field(ge=0, le=MANY, description="Best pictures to leave out.")] = 0
    diversity: Annotated[Share, Field(description="0: most alike; to 1: unlike each other.")] = 0.0
    min_score: Annotated[
        float | None, Field(ge=-1, le=1, description="Only pictures with this cosine or more.")
    ] = None
    splits: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sort: Annotated[
        Sort,
        Field(
            description="relevance: best first, or newest first where filters alone are given; "
            "newest, oldest: what is found, by when it was taken."
        ),
    ] = "relevance"
    copies: Annotated[
        bool, Field(description="Find each copy of a picture, and not the best of them alone.")
    ] = False
    likely: Annotated[
        bool, Field(description="Only pictures that are likely what was asked for.")
    ] = False
    explain: Explain = False
    rerank: Annotated[
        Rerank, Field(description=f"A better order of the best, for the words. {RERANKING}")
    ] = "off"
    rerank_top: RerankTop = 50
    rerank_seconds: RerankSeconds = 2.0


class DuplicateOptions(_Asked):
    """Which groups of duplicates are told, the biggest first."""

    kind: Annotated[
        DuplicateKind,
        Field(
            description="exact: files of the same bytes; near: pictures that look the same though "
            "they were saved anew, scaled, turned or cropped a little; all: both."
        ),
    ] = "all"
    k: Annotated[int, Field(ge=1, le=MOST_GROUPS, description="Groups told.")] = 100
    offset: Annotated[int, Field(ge=0, le=MANY, description="Biggest groups to leave out.")] = 0


MOST_SAID = 1000
"""Characters of a description that somebody writes."""


class CorrectionOptions(_Asked):
    """What somebody says of a picture in place of what is said of it."""

    text: Annotated[
        str, Field(max_length=4 * MOST_SAID, description="What the picture shows, in a sentence.")
    ] = ""
    accept: Annotated[
        bool,
        Field(description="The text was generated, and is right; without one, what is shown now."),
    ] = False


class Move(_Answer):
    """What became of one item in a stage; ranks count from 1.

    `before` is null for one that the stage found, `after` for one that it dropped; `became` is
    what it is called now, where the stage changed that.
    """

    item: str
    before: int | None
    after: int | None
    became: str = ""

    @property
    def way(self) -> str:
        """From which rank to which: "3 → 1", "2 → out", "→ 4"."""
        if self.before == self.after:
            return f"{self.before}"
        came = "" if self.before is None else f"{self.before} "
        return f"{came}→ {'out' if self.after is None else self.after}"


class Step(_Answer):
    """What one stage did, in words, how long it took, and how many items came in and went out.

    `moves` are those nearest to the first rank, `others` the number of those left out; `parts_ms`
    are times within the stage.
    """

    stage: str
    did: str
    ms: float
    came: int
    went: int
    moves: tuple[Move, ...] = ()
    others: int = 0
    notes: tuple[str, ...] = ()
    parts_ms: Timings = {}


class Trace(_Answer):
    """How an answer was made: its stages, in the order in which they ran."""

    steps: tuple[Step, ...]


MOST_LABELLED = 10_000
"""Pictures that an answer names with their labels at most, or that are looked at for it."""


class _Labels(_Asked):
    """A list of labels, and which of them pictures get."""

    name: Annotated[str, Field(max_length=63)] = "labels"
    labels: Annotated[
        str,
        Field(
            max_length=900_000,
            description="One a line; # begins a comment; other words for a label stand behind it: "
            "dog = dog, puppy. Without any, those of the examples.",
        ),
    ] = ""
    examples: Annotated[
        str,
        Field(
            max_length=900_000,
            description="One a line: a picture of the collection (its id, path or name), a tab, a "
            "label that it has.",
        ),
    ] = ""
    single: Annotated[
        bool, Field(description="Of each picture the likeliest label alone, or none.")
    ] = False
    least: Annotated[
        float, Field(gt=0, lt=1, description="The chance from which on a picture gets a label.")
    ] = 0.3


class TagOptions(_Labels):
    """Which labels pictures are to get, and which of them.

    `name` is that of the tagging: one of the same name is replaced, and it is taken back by it.
    """

    dry_run: Annotated[bool, Field(description="Only say what pictures would get.")] = False
    k: Annotated[
        int, Field(ge=0, le=MOST_LABELLED, description="Pictures that are named in the answer.")
    ] = 12


class LabelledOptions(_Labels):
    """Whose labels are told, picture by picture.

    Those of the tagging `name` that stands; with labels or examples those that it would give.
    """

    after: Annotated[
        str, Field(max_length=40, description="The `next` of the page before; empty: the first.")
    ] = ""
    k: Annotated[
        int, Field(ge=1, le=MOST_LABELLED, description="Pictures that are looked at for a page.")
    ] = 1_000


class Candidate(_Answer):
    """A description that was written; `score` is its cosine with the picture."""

    text: str
    score: float


class RetrievedCaption(_Answer):
    """A caption that was found, and the picture that it is of."""

    text: str
    score: float
    image_id: str


class MadeWith(_Answer):
    """What a description was made with; the same picture is described alike with equal ones.

    `map` is the method and a name of exactly this map, `captions` how many could be borrowed.
    """

    generator: str = ""
    map: str = ""
    memory: str = ""
    captions: int = 0


class Description(_Answer):
    """A picture described: the caption, what it was chosen from and what it was made of.

    `reranked` says what of the retrieved captions was put in another order, and what was not.
    """

    image: str
    caption: str
    candidates: tuple[Candidate, ...]
    retrieved: tuple[RetrievedCaption, ...]
    space: DescribeSpace
    timings_ms: Timings
    made_with: MadeWith = MadeWith()
    trace: Trace | None = None
    reranked: tuple[str, ...] = ()


class Failure(_Answer):
    """A picture that nothing came of, and why; the others are answered.

    `unreadable`: it could not be opened, before anything was asked of the models.
    """

    image: str
    error: str
    unreadable: bool = False


class OutlineShot(_Answer):
    """A part of a video, in seconds from its beginning, and what is seen there.

    `taken_at`: by the video's own clock. `error`: why nothing could be written of it.
    """

    start: float
    end: float
    caption: str
    taken_at: datetime | None = None
    error: str = ""


class OutlineAnswer(_Answer):
    """What is seen in a video, shot by shot.

    `seconds` is how long it says that it is. `next`: where to go on, null where that was all.
    `trouble`: what of it could not be read.
    """

    video: str
    seconds: float | None
    shots: tuple[OutlineShot, ...]
    next: float | None = None
    trouble: str = ""


class _Told(_Answer):
    """What a picture's file and the sidecars beside it say of it.

    `places` are the names of where it was taken, the nearest first: town, region, country.
    `rating` is 1 to 5, -1 for one that was rejected. Their keywords are among its tags.
    """

    camera: str = ""
    lens: str = ""
    places: tuple[str, ...] = ()
    title: str = ""
    rating: int | None = None


class ImageHit(_Told):
    """A picture that was found; `caption` is the first of its captions.

    `uri` is where its file lies, to those who may know; to others the file's name. `copies`: how
    many more pictures show the same and satisfy the filters; they are not among what is found.
    `chance`: how likely it is what was asked for, 0 to 1; null where that cannot be told.
    Of a shot of a `video`, which is as `uri`, `start` and `end` are seconds from its beginning.
    `labels` are what taggings gave it.
    """

    id: str
    uri: str
    score: float
    caption: str
    taken_at: datetime | None = None
    copies: int = 0
    chance: float | None = None
    video: str = ""
    start: float | None = None
    end: float | None = None
    labels: tuple[str, ...] = ()


class PictureAnswer(_Told):
    """What is known of a picture of a collection; `uri` as in ImageHit.

    `source`: whether people wrote its captions, or they were generated. `latitude` and `longitude`
    are told to those alone who may know where files lie: they may be those of somebody's home.
    """

    id: str
    uri: str
    captions: tuple[str, ...]
    source: Literal["human", "generated"]
    split: str
    tags: tuple[str, ...]
    width: int
    height: int
    taken_at: datetime | None
    latitude: float | None = None
    longitude: float | None = None
    video: str = ""
    start: float | None = None
    end: float | None = None
    labels: tuple[str, ...] = ()


class SearchAnswer(_Answer):
    """The pictures found in one space, in the order that was asked for.

    `query` is the search in its own language; `space` is `date` where nothing is looked for, so
    that filters alone say what is found. `hints` tell what may have been meant for a filter and
    was looked for as words, and which filter nothing here can satisfy.
    `likely` is how many of the whole ranking, from its first on, are likely what was asked for, 0
    where nothing is; null where that cannot be told.
    `reranked` says how many of the first were put in a better order, within each of the two parts,
    and what there was no time for; scores stay those of the search.
    """

    query: str
    space: SearchSpace | Literal["date"]
    hits: tuple[ImageHit, ...]
    timings_ms: Timings
    hints: tuple[str, ...] = ()
    likely: int | None = None
    trace: Trace | None = None
    reranked: tuple[str, ...] = ()


class FacetsAnswer(_Answer):
    """What pictures can be filtered by: of each filter its values, the commonest first.

    `pictures` satisfy the filters of the search, and are counted; those of each value are numbers
    of them. `taken_from` and `taken_until` are when the first and the last of them were taken.
    """

    query: str
    pictures: int
    values: Mapping[str, Mapping[str, int]]
    taken_from: datetime | None = None
    taken_until: datetime | None = None


class Ranks(_Answer):
    """The best rank, from 1, of what is known to be right on either side; null: beyond.

    `fitted`: the map was fitted on it, which favours the map.
    """

    raw: int | None
    mapped: int | None
    fitted: bool


class ComparisonAnswer(_Answer):
    """The captions nearest to a picture, raw beside mapped.

    `overlap` is the share of the k nearest that both sides have, `rbo` their rank-biased overlap.
    `truth` is null where nothing is known to be right.
    """

    image: str
    raw: tuple[RetrievedCaption, ...]
    mapped: tuple[RetrievedCaption, ...]
    overlap: float
    rbo: float
    truth: Ranks | None
    timings_ms: Timings


class Round(_Answer):
    """A refinement round that stands."""

    round: int
    added: int
    metric: str
    after: float


class SourceAnswer(_Answer):
    """A source of a collection; `path` and `images` are empty for those who may not know them.

    `can_sync`: it is a place of the server's machine, which may change and can be read again.
    """

    name: str
    can_sync: bool
    path: str = ""
    images: str = ""
    splits: tuple[str, ...] = ()
    limit: int | None = None


class CollectionAnswer(_Answer):
    """A collection at a glance; counts are null where there is no index yet.

    `trouble` says so with the remedy; `waiting` what waits to be pushed, and how.
    `path` is empty for those who may not know it. `sources`: where it came from, as far as known.
    """

    collection: str
    images: int | None
    captions: int | None
    method: str
    encoder: str
    dim: int
    generator: str
    memory: str
    path: str
    rounds: tuple[Round, ...] = ()
    trouble: str = ""
    waiting: str = ""
    sources: tuple[SourceAnswer, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether its card cannot be read, so that `trouble` is all there is to tell."""
        return not self.encoder


class IngestOptions(_Asked):
    """What of a source is taken, and how a collection is filled with it."""

    memory: Annotated[
        str, Field(max_length=63, description="Collection whose captions describe the pictures.")
    ] = ""
    alignment: Annotated[str, Field(max_length=63, description="Collection whose map is used.")] = (
        ""
    )
    method: MapMethod = "auto"
    images: Annotated[str, Field(max_length=4096, description="Folder of a file's pictures.")] = ""
    splits: tuple[str, ...] = ()
    limit: Annotated[int | None, Field(ge=1, le=MANY)] = None
    image_column: Annotated[str, Field(max_length=200)] = ""
    caption_column: Annotated[str, Field(max_length=200)] = ""
    started: Annotated[
        str,
        Field(max_length=40, description="When a video began, as 2024-05-01T09:00; else it says."),
    ] = ""


class SyncOptions(_Asked):
    """How a collection is brought level with its sources."""

    allowed: Annotated[
        Literal["little", "rest", "all"],
        Field(
            description="What may leave. little: where more than a tenth would, nothing is done; "
            "rest: all is done but that; all: whatever is in no source any more."
        ),
    ] = "little"
    dry_run: Annotated[bool, Field(description="Only say what would be done.")] = False


class JobProgress(_Answer):
    """Where a job stands; `total` is null where it is not known."""

    stage: str
    done: int
    total: int | None = None
    share: float = 0.0
    amount: str = ""


class JobAnswer(_Answer):
    """A background ingest; `source` is its name, or its place to those who may know it.

    `message`: what it did, or why it failed; `error`: the name of the error that ended it, as in
    `Problem.type`. `skipped`: inputs that could not be read.
    `result`: once it is done, the counts that `mrag ingest --json` prints, or `mrag sync --json`
    where its `kind` is that.
    """

    id: str
    collection: str
    source: str
    state: JobState
    started: datetime
    ended: datetime | None = None
    progress: JobProgress | None = None
    stopping: bool = False
    message: str = ""
    error: str = ""
    skipped: int = 0
    result: Mapping[str, object] | None = None
    kind: Literal["ingest", "sync", "description"] = "ingest"


class VersionAnswer(_Answer):
    """The program that answers; `api` grows when an answer changes its meaning."""

    version: str
    api: int


class ReadyAnswer(_Answer):
    """Whether models are loaded and collections open; `waiting_for` names what is not yet."""

    ready: bool
    waiting_for: tuple[str, ...] = ()


class Place(_Answer):
    """A place in what was typed: from the character `start`, counted from 0, up to `end`."""

    text: str
    start: int
    end: int


class Problem(_Answer):
    """Why a request was not answered, as RFC 9457 has it: `detail` names the remedy.

    `type` ends in the name of the error, such as `StoreLocked`, that the same call would raise
    without a server. `place` is where in a search it is, if that cannot be read.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    place: Place | None = None


class DuplicateFile(_Answer):
    """A file of a picture, as it was when it was embedded; `there`: it still is.

    `path` is where it lies, to those who may know; to others its name.
    """

    path: str
    bytes: int
    modified: datetime
    there: bool


class DuplicatePicture(_Answer):
    """A picture of a group: its files, all of the same bytes, and what tells it from the others.

    `keep`: the program would keep it, and of it the first of its files. It deletes nothing.
    """

    id: str
    files: tuple[DuplicateFile, ...]
    width: int
    height: int
    taken_at: datetime | None
    places: tuple[str, ...]
    caption: str
    keep: bool = False


class DuplicateGroup(_Answer):
    """Pictures that show the same, the one to keep first; `spare` bytes are those of the others."""

    pictures: tuple[DuplicatePicture, ...]
    files: int
    spare: int


class DuplicatesAnswer(_Answer):
    """Groups of duplicates: those asked for, and of all of them the numbers and bytes to spare.

    `waiting`: pictures that are not compared yet. Asking again goes on with them, so until it is
    0 there may be more. `missing`: pictures whose file was not there to be looked at.
    """

    groups: tuple[DuplicateGroup, ...]
    total: int
    files: int
    spare: int
    waiting: int = 0
    missing: int = 0


class NamedAnswer(_Answer):
    """The picture that is meant by an id, a path or a source's name, and its collection."""

    id: str
    collection: str


class CorrectionAnswer(_Answer):
    """What somebody said of a picture; `replaced` was shown before.

    `undone` in `kind`: a correction was taken back. `waiting`: it is safe, and found once what
    else is written to the collection is done.
    """

    id: str
    kind: Literal["edited", "accepted", "undone"]
    text: str
    replaced: str
    who: str
    when: datetime
    stands: bool = False
    undone: bool = False
    waiting: bool = False


class CorrectionsAnswer(_Answer):
    """All that was said of a picture, the latest first, and what is shown of it now."""

    picture: str
    caption: str
    corrections: tuple[CorrectionAnswer, ...]


class LearnedStep(_Answer):
    """A collection's map after so many corrections.

    `score` is the mean reciprocal rank of the right caption and picture on `held_out` pairs that
    the map was not fitted on, `without` that of the best map that nothing was learned for, on the
    same pairs; null where there were too few to measure.
    """

    when: datetime
    corrections: int
    method: str
    reason: str
    score: float | None = None
    held_out: int = 0
    without: float | None = None


class DifferingPicture(_Answer):
    """A picture whose generated description is `now`, and would be `then` if it were made anew."""

    id: str
    uri: str
    now: str
    then: str


class LearnedAnswer(_Answer):
    """What a collection has learned from corrections, and what it does about them.

    `state` is empty where nothing is left to do; `waiting` corrections are safe and not taken in.
    Of `checked` pictures with generated descriptions, those most like the corrected ones,
    `differing` would be described otherwise now; `checked` is null before anybody looked.
    """

    collection: str
    state: str = ""
    trouble: str = ""
    waiting: int = 0
    first: LearnedStep | None = None
    before: LearnedStep | None = None
    now: LearnedStep | None = None
    checked: int | None = None
    differing: tuple[DifferingPicture, ...] = ()


MOST_ASKED = 500
"""Characters of a question."""

MOST_SEARCHED = 1000
"""Characters of a search that a question is given: filters take more than the words for them."""

QuestionKind = Literal[
    "pictures", "things", "existence", "listing", "place", "time", "comparison", "open"
]
"""`pictures`: how many pictures; `things`: how many of a thing; `comparison`: more of which;
`time`: when pictures were taken."""


class AskOptions(_Asked):
    """A question, and how it is answered.

    Without `searches` rules read a search from the question, which the answer shows; with them
    these are searched instead. Of a comparison there are two.
    """

    question: Annotated[
        str, Field(max_length=MOST_ASKED, description="A question, as to a person.")
    ] = ""
    searches: Annotated[
        tuple[Annotated[str, Field(max_length=MOST_SEARCHED)], ...],
        Field(
            max_length=2,
            description="In place of what is read from the question; two where two are compared. "
            + SEARCH_LANGUAGE,
        ),
    ] = ()
    k: Annotated[
        int, Field(ge=1, le=100, description="Captions that a question is answered from.")
    ] = 8
    shown: Annotated[
        int, Field(ge=1, le=MOST_HITS, description="Pictures of a list that are told.")
    ] = 24
    today: Annotated[
        date | None, Field(description="The day that `yesterday` comes before; null: now.")
    ] = None
    explain: Explain = False
    rerank: Annotated[
        Rerank,
        Field(description=f"A better order of what is found, before it is answered. {RERANKING}"),
    ] = "off"
    rerank_top: RerankTop = 50
    rerank_seconds: RerankSeconds = 2.0


class AskedRule(_Answer):
    """A rule that took `said` out of a question: what for, and what it gave, as in a search."""

    rule: str
    said: str
    told: str
    gave: str = ""


class AskedPicture(_Answer):
    """A picture that an answer rests on, or that was looked at, by the number it is cited by.

    `id` is empty for one that is not of the collection; `uri` as in ImageHit. `captions` are those
    that speak to the question. `why`: its captions say it, it looks likely, or it is the nearest.
    `given`: which of the given pictures it speaks of, from 1.
    """

    number: int
    id: str
    uri: str
    captions: tuple[str, ...]
    cited: bool
    why: Literal["said", "likely", "near"] = "near"
    given: int | None = None


class AskedCount(_Answer):
    """How many pictures there are of what a search asks for.

    `said` have it in their captions, exactly; so many more look `likely`, null where that cannot
    be told; what people wrote of `doubted` of these does not say it. `among` satisfy the filters.
    `by_filters`: these alone were asked for. `at_least`: more may look likely than were ranked.
    Of `undescribed` no caption says anything.
    """

    search: str
    said: int
    likely: int | None
    among: int
    by_filters: bool = False
    doubted: int = 0
    at_least: bool = False
    undescribed: int = 0


class AskAnswer(_Answer):
    """A question answered: in words, with numbers in brackets for the pictures it rests on.

    `said` is false where what was found does not answer it. `searches` are what was searched, in
    the language of searches, and `rules` how they were read from the question. `by` is what wrote
    the answer: the index, rules over captions, or a model. `reranked` says how much of what was
    found was put in a better order, and what was not; empty where that was not asked for.
    """

    question: str
    kind: QuestionKind
    answer: str
    said: bool
    by: str
    searches: tuple[str, ...]
    rules: tuple[AskedRule, ...]
    pictures: tuple[AskedPicture, ...]
    counts: tuple[AskedCount, ...]
    timings_ms: Timings
    hints: tuple[str, ...] = ()
    trace: Trace | None = None
    reranked: tuple[str, ...] = ()

    @property
    def cited(self) -> tuple[AskedPicture, ...]:
        """The pictures that the answer rests on."""
        return tuple(one for one in self.pictures if one.cited)


class AskEvent(_Answer):
    """A step towards an answer: what is searched, what was found, a piece of text, the answer.

    Pieces of text are what a model writes before it is held against the captions: the `answer`,
    which comes last, is what counts.
    """

    event: Literal["searched", "found", "text", "answer"]
    searches: tuple[str, ...] = ()
    rules: tuple[AskedRule, ...] = ()
    found: int = 0
    text: str = ""
    answer: AskAnswer | None = None


class LabelChance(_Answer):
    """A label that a picture has, and the chance that it is right."""

    label: str
    chance: float


class LabelledPicture(_Answer):
    """A picture and the labels it gets, the likeliest first; `uri` as in ImageHit."""

    id: str
    uri: str
    caption: str
    labels: tuple[LabelChance, ...]


class LabelCount(_Answer):
    """How many pictures get a label."""

    label: str
    pictures: int


class TagsAnswer(_Answer):
    """What a tagging gives the pictures of a collection, the commonest labels first.

    `labelled` of `pictures` get any. `shown` are some of them, drawn at random. `examples` were
    learned from, `skipped` are those that could not be, and why. `troubles`: of other taggings
    of the collection, which give nothing, as they cannot be read. `pending`: why searches do not
    show the labels yet, which are safe on disk; empty where they do.
    """

    collection: str
    name: str
    dry_run: bool
    pictures: int
    labelled: int
    labels: tuple[LabelCount, ...]
    shown: tuple[LabelledPicture, ...]
    examples: int = 0
    skipped: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    pending: str = ""


class LabelledAnswer(_Answer):
    """A page of the pictures that get labels, as the collection has them, and those labels.

    `next`: where the next page begins, empty where this was the last. Pages that are looked at
    while the collection is compacted may tell of a picture twice.
    """

    collection: str
    pictures: tuple[LabelledPicture, ...]
    next: str = ""


class TaggingAnswer(_Answer):
    """A tagging that stands; `labels` is its list as it may be given again.

    `trouble`: it cannot be read, and what mends that.
    """

    name: str
    labels: str = ""
    single: bool = False
    least: float = 0.0
    examples: int = 0
    who: str = ""
    when: datetime | None = None
    trouble: str = ""


class TaggingsAnswer(_Answer):
    """The taggings of a collection, by name; `pending` as in TagsAnswer, of one taken back."""

    collection: str
    taggings: tuple[TaggingAnswer, ...]
    pending: str = ""
