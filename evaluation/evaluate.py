"""Measures a collection: its captions and its rankings, under one map beside another."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corpus.captions import CaptionTable
from corpus.examples import Examples
from engine.alignment.alignment import Alignment
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.retriever import Retriever
from engine.errors import InvalidInput, MragError
from engine.models.loaded import CONSENSUS
from engine.types import Encoder, Generator, Vectors
from evaluation.corrected import both_ways, less
from evaluation.maps import MAPS, OWN, RAW, MapSource, checked_maps, make_maps
from evaluation.matrix_captions import MatrixCaptions
from evaluation.metrics.caption_metrics import (
    CAPTION_METRICS,
    CaptionScores,
    Scores,
    score_captions,
)
from evaluation.metrics.clipscore import clip_scores, ref_clip_scores
from evaluation.metrics.intervals import Values, bootstrap
from evaluation.metrics.ranking import picture_to_caption, rank, text_to_picture
from evaluation.metrics.tokens import words_of
from evaluation.reports.figures import Figure, caption_figures, query_figures
from evaluation.written import OnStep, forget, kept_path, write_captions

CAPTIONS = "captions"
TO_CAPTION, TO_PICTURE, TO_WORD = "picture to caption", "text to picture", "picture to word"
TASKS = (CAPTIONS, TO_CAPTION, TO_PICTURE, TO_WORD)

Ranked = Mapping[str, Mapping[str, Values]]
"""For each map the per-query values of each metric."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is evaluated: pictures with references, captions to borrow (`memory`), maps and models.

    `generator` is called only where captions have to be written; it gives None where the
    consensus of the retrieved captions is taken. `conditions` are what decides the outcome beside
    all this (`evaluation.conditions`): captions that were kept under others are written anew.
    """

    collection: str
    examples: Examples = field(repr=False)
    memory: CaptionTable = field(repr=False)
    source: MapSource
    encoder: Encoder
    generator: Callable[[], Generator | None]
    conditions: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class EvaluateOptions:
    """What is measured, and how; `seed` draws the bootstrap and what `describe` samples.

    `metrics`: of captions, beside CLIPScore; `captions` False: none are written at all. Raises
    InvalidInput for an unknown map or metric.
    """

    maps: tuple[str, ...] = MAPS
    captions: bool = True
    metrics: tuple[str, ...] = CAPTION_METRICS
    describe: DescribeOptions = field(default_factory=DescribeOptions)
    punctuation: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        checked_maps(self.maps)
        unknown = sorted(set(self.metrics) - set(CAPTION_METRICS))
        if unknown:
            raise InvalidInput(
                f"unknown caption metric {unknown[0]!r}; choose from {', '.join(CAPTION_METRICS)}"
            )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out: figures, the captions of each map, and each picture's scores by them.

    `scores` has, for each map, the values (n,) of each caption metric, one a picture;
    `ranks` the rank of each picture's nearest own caption. `generator` is the id of what wrote,
    `words` how many words were ranked, `missing` what could not be computed, and why.
    """

    maps: Mapping[str, Alignment]
    figures: tuple[Figure, ...]
    captions: Mapping[str, tuple[str, ...]]
    scores: Mapping[str, Mapping[str, Scores]]
    ranks: Mapping[str, Values]
    generator: str
    words: int
    missing: Mapping[str, str]


def evaluate(subject: Subject, options: EvaluateOptions, kept: Path, on_step: OnStep) -> Evaluation:
    """Measure every map on the same pictures.

    Captions that are written are kept in the folder `kept` until the end, so that the same
    evaluation goes on where it was interrupted.
    """
    made = make_maps(subject.source, options.maps)
    measured = _Measured(subject, options, kept, on_step)
    figures = measured.ranking(made.maps)
    if options.captions:
        figures = [*measured.captions(made.maps), *figures]
    missing = {f"map {name}": reason for name, reason in made.missing.items()}
    forget(measured.kept)
    return Evaluation(
        made.maps,
        tuple(figures),
        measured.written,
        measured.scores,
        measured.ranks,
        measured.generator,
        measured.words,
        missing | measured.missing,
    )


class _Measured:
    """One evaluation as it goes."""

    def __init__(
        self, subject: Subject, options: EvaluateOptions, kept: Path, on_step: OnStep
    ) -> None:
        self._subject, self._options = subject, options
        self._folder, self._on_step = kept, on_step
        self.kept: list[Path] = []
        self.written: dict[str, tuple[str, ...]] = {}
        self.scores: dict[str, Mapping[str, Scores]] = {}
        self.ranks: dict[str, Values] = {}
        self.generator = ""
        self.words = 0
        self.missing: dict[str, str] = {}

    # Ranking

    def ranking(self, maps: Mapping[str, Alignment]) -> list[Figure]:
        """The figures of the three tasks of ranking."""
        examples = self._subject.examples
        words = words_of(examples.references)
        self.words = len(words.words)
        vectors = self._subject.encoder.encode_texts(list(words.words))
        found: dict[str, dict[str, Mapping[str, Values]]] = {task: {} for task in TASKS[1:]}
        for done, (name, alignment) in enumerate(maps.items()):
            self._on_step("rank", done, len(maps))
            hubs, strength = alignment.hubs, alignment.hub_strength
            there, back = both_ways(examples, alignment, hubs, strength)
            found[TO_CAPTION][name] = picture_to_caption(*there, examples.owners)
            found[TO_PICTURE][name] = text_to_picture(*back[::-1], examples.owners)
            if len(vectors):
                images, texts = alignment.map_images(examples.images), alignment.map_texts(vectors)
                near = hubs.of_captions(texts) if hubs else None
                to_word = less(images, texts, near, strength)
                found[TO_WORD][name] = rank(*to_word, words.relevance)
            self.ranks[name] = found[TO_CAPTION][name]["rank"]
        self._on_step("rank", len(maps), len(maps))
        if not len(vectors):
            self.missing[TO_WORD] = "the references hold no words that say something of a picture"
        return [figure for task in found for figure in self._of_task(task, found[task])]

    def _of_task(self, task: str, ranked: Ranked) -> list[Figure]:
        owners = np.arange(len(self._subject.examples), dtype=np.int64)
        if task == TO_PICTURE:
            owners = self._subject.examples.owners
        base = ranked.get(RAW)
        return [
            figure
            for name, values in ranked.items()
            for figure in query_figures(
                task,
                name,
                # One picture is right for a text, so that hits are what recall is.
                {m: v for m, v in values.items() if task != TO_PICTURE or "hit" not in m},
                None if name == RAW else base,
                owners,
                seed=self._options.seed,
            )
        ]

    # Captions

    def captions(self, maps: Mapping[str, Alignment]) -> list[Figure]:
        """The figures of the captions that each map leads to."""
        try:
            self._write_all(maps)
        except MragError as error:
            self.missing[CAPTIONS] = str(error)
            self.written.clear()
            return []
        for done, name in enumerate(self.written):
            self._on_step("score captions", done, len(self.written))
            self._score(name)
        self._on_step("score captions", len(self.written), len(self.written))
        base = self.scores.get(RAW)
        return [
            figure
            for name, scores in self.scores.items()
            for figure in caption_figures(
                CAPTIONS, name, scores, None if name == RAW else base, seed=self._options.seed
            )
        ]

    def _write_all(self, maps: Mapping[str, Alignment]) -> None:
        """Write the captions of each map; maps that are the same share theirs."""
        generator = self._subject.generator()
        self.generator = generator.id if generator else CONSENSUS
        same: dict[str, tuple[str, ...]] = {}
        for name, alignment in maps.items():
            if alignment.fingerprint not in same:
                same[alignment.fingerprint] = self._write(name, alignment, generator)
            self.written[name] = same[alignment.fingerprint]

    def _write(
        self, name: str, alignment: Alignment, generator: Generator | None
    ) -> tuple[str, ...]:
        subject, options = self._subject, self._options
        memory = MatrixCaptions(subject.memory, alignment)
        retriever = Retriever([memory], alignment)
        captioner = Captioner(subject.encoder, alignment, retriever, generator, options.describe)
        about = (
            json.dumps(subject.conditions, sort_keys=True),
            alignment.fingerprint,
            self.generator,
            repr(options.describe),
            subject.examples.fingerprint,
            subject.memory.fingerprint,
        )
        kept = kept_path(self._folder, about)
        self.kept.append(kept)
        stage = f"write captions ({name})"
        return tuple(write_captions(subject.examples, captioner, kept, stage, self._on_step))

    def _score(self, name: str) -> None:
        """Score the captions of a map, unless they are those of a map that has been scored."""
        captions = self.written[name]
        for other, scores in self.scores.items():
            if self.written[other] == captions:
                self.scores[name] = scores
                return
        vectors = self._subject.encoder.encode_texts(list(captions))
        self.scores[name] = {**self._by_words(captions), **self._clip(vectors)}

    def _by_words(self, captions: Sequence[str]) -> Mapping[str, Scores]:
        """The metrics that compare words with words; what is missing is noted."""
        options = self._options
        if not options.metrics:
            return {}
        scored: CaptionScores = score_captions(
            captions,
            self._subject.examples.references,
            options.metrics,
            punctuation=options.punctuation,
            seed=options.seed,
        )
        self.missing |= scored.missing
        return scored.scores

    def _clip(self, captions: Vectors) -> dict[str, Scores]:
        """CLIPScore and RefCLIPScore, raw and in the space of the collection's map."""
        examples, own = self._subject.examples, self._subject.source.own
        spaces = {"": (examples.images, captions, examples.captions)}
        if own.mean_image is not None or own.method == RAW:
            spaces["-mapped"] = (
                own.map_images(examples.images),
                own.map_texts(captions),
                own.map_texts(examples.captions),
            )
        else:
            self.missing["clip-score-mapped"] = f"the map {OWN!r} knows captions only"
        values: dict[str, Values] = {}
        for space, (images, texts, references) in spaces.items():
            values[f"clip-score{space}"] = clip_scores(images, texts)
            values[f"ref-clip-score{space}"] = ref_clip_scores(
                images, texts, references, examples.owners
            )
        return {metric: self._with_interval(metric, v) for metric, v in values.items()}

    def _with_interval(self, metric: str, values: Values) -> Scores:
        bounds = bootstrap(values, seed=self._options.seed)
        return Scores(metric, values, float(values.mean()), *bounds)
