"""Measures one cell of a grid: fits the map, describes the pictures, scores what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

import numpy as np

from engine.alignment.alignment import Alignment, GapMap
from engine.alignment.hubs import Hubs
from engine.describe.captioner import Captioner
from engine.describe.retriever import Retriever
from engine.errors import IncompatibleIndex
from engine.types import TRAINING_SPLITS, CaptionResult, Decoding, Encoder, Generator, Vectors
from evaluation.ablation.grid import Cell, MapChoice
from evaluation.ablation.study import Study, fit_map, orthogonality
from evaluation.corrected import bank_of, both_ways
from evaluation.matrix_captions import MatrixCaptions
from evaluation.metrics.caption_metrics import score_captions
from evaluation.metrics.clipscore import clip_scores
from evaluation.metrics.intervals import Values
from evaluation.metrics.ranking import picture_to_caption, text_to_picture

WRITTEN_METRICS = ("cider-d", "bleu-4", "rouge-l")
RANKING_METRICS = {"ndcg@10": "ndcg@10", "mrr": "rr", "r@1": "hit@1"}
BACK = "mrr-back"
METRICS = (*WRITTEN_METRICS, "clip", *RANKING_METRICS, BACK)
"""All that a cell is measured by. Rankings are picture to caption, `mrr-back` the other way."""

_BATCH = 32


@dataclass(frozen=True)
class Outcome:
    """What a cell came to.

    `values`: metric -> one number a picture; `means`: metric -> the figure of all, which for
    BLEU is the corpus's; `counts`: metric -> what such a figure is counted from, picture by
    picture. `missing`: metric -> why it could not be computed. `about` says
    which map was fitted. `captions` are what was written, picture by picture.
    """

    values: Mapping[str, list[float]]
    means: Mapping[str, float]
    counts: Mapping[str, list[list[float]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    captions: tuple[str, ...] = ()
    seconds: float = 0.0


class Bench:
    """Studies and models in memory; what one cell has made is kept for the next.

    `studies` by encoder ("" is the collection's) and name ("" is the collection).
    """

    def __init__(
        self,
        studies: Mapping[tuple[str, str], Study],
        load_encoder: Callable[[str], Encoder],
        generator: Generator | None,
    ) -> None:
        self._studies = studies
        self._load_encoder = load_encoder
        self._generator = None if generator is None else _Remembering(generator)
        self._encoders: dict[str, _RememberedTexts] = {}
        self._maps: dict[tuple[str, str, MapChoice], GapMap] = {}
        self._hubs: dict[tuple[str, str, MapChoice], Hubs] = {}

    def measure(self, cell: Cell) -> Outcome:
        """Measure a cell; raises MragError where its settings cannot be used on the data."""
        started = monotonic()
        study = self._studies[cell.encoder, ""]
        alignment = self._map(cell)
        results = self._describe(cell, study, alignment)
        captions = [result.caption for result in results]
        scored = score_captions(captions, study.examples.references, WRITTEN_METRICS)
        values = {metric: scores.values for metric, scores in scored.scores.items()}
        means = {metric: scores.mean for metric, scores in scored.scores.items()}
        texts = self._encoder(study).encode_texts(captions)
        values["clip"] = clip_scores(study.examples.images, texts)
        strength = alignment.hub_strength if cell.hubs is None else cell.hubs
        values |= ranking(study, alignment, self._hubs_of(cell), strength)
        means |= {metric: float(np.mean(values[metric])) for metric in values.keys() - means.keys()}
        return Outcome(
            values={metric: values[metric].tolist() for metric in METRICS if metric in values},
            means={metric: means[metric] for metric in METRICS if metric in means},
            counts={
                metric: scores.counts.tolist()
                for metric, scores in scored.scores.items()
                if scores.counts is not None
            },
            missing=scored.missing,
            about={**about(alignment), "hubs": strength},
            captions=tuple(captions),
            seconds=monotonic() - started,
        )

    def _map(self, cell: Cell) -> GapMap:
        key = (cell.encoder, cell.map_of, cell.map)
        if key not in self._maps:
            study = self._studies[cell.encoder, cell.map_of]
            self._maps[key] = fit_map(study.training, cell.map, study.distractors)
        return self._maps[key]

    def _hubs_of(self, cell: Cell) -> Hubs:
        key = (cell.encoder, cell.map_of, cell.map)
        if key not in self._hubs:
            training = self._studies[cell.encoder, cell.map_of].training
            self._hubs[key] = Hubs(bank_of(training), self._map(cell))
        return self._hubs[key]

    def _encoder(self, study: Study) -> Encoder:
        if study.encoder not in self._encoders:
            loaded = self._load_encoder(study.encoder)
            if loaded.id != study.encoder_id:
                raise IncompatibleIndex(
                    f"{study.name!r} was embedded with {study.encoder_id}, but {study.encoder} is "
                    f"{loaded.id}; name the right one with --encoder"
                )
            self._encoders[study.encoder] = _RememberedTexts(loaded)
        return self._encoders[study.encoder]

    def _describe(self, cell: Cell, study: Study, alignment: GapMap) -> list[CaptionResult]:
        captions = self._studies[cell.encoder, cell.index_of].index
        index = MatrixCaptions(captions, alignment, self._hubs_of(cell))
        # What people said of held-out pictures is borrowed only where its own captions may be.
        splits = TRAINING_SPLITS if cell.exclude_own else frozenset[str]()
        retriever = Retriever([index], alignment, hub_strength=cell.hubs or 0.0, splits=splits)
        captioner = Captioner(
            self._encoder(study), alignment, retriever, self._generator, cell.describe
        )
        pictures = study.examples.pictures
        results: list[CaptionResult] = []
        for start in range(0, len(pictures), _BATCH):
            part = slice(start, start + _BATCH)
            own = pictures[part] if cell.exclude_own else None
            results += captioner.describe_vectors(study.examples.images[part], exclude=own)
        return results


def ranking(study: Study, alignment: GapMap, hubs: Hubs, strength: float) -> dict[str, Values]:
    """Among the pictures and captions of the examples: metric -> one value a picture, (n,)."""
    examples = study.examples
    to_caption, to_picture = both_ways(examples, alignment, hubs, strength)
    scores = picture_to_caption(*to_caption, examples.owners)
    back = text_to_picture(*to_picture[::-1], examples.owners)["rr"]
    found = {metric: scores[name] for metric, name in RANKING_METRICS.items()}
    counts = np.bincount(examples.owners, minlength=len(examples))
    return found | {BACK: np.bincount(examples.owners, back, len(examples)) / counts}


def about(alignment: GapMap) -> dict[str, Any]:
    """What a table says of a map."""
    told: dict[str, Any] = {"method": alignment.method, "strength": None, "pairs": None}
    if isinstance(alignment, Alignment):
        told |= {"strength": alignment.strength, "pairs": alignment.n}
    return told | {"orthogonality": orthogonality(alignment)}


class _Remembering:
    """A generator that writes once for the same prompt, number and decoding."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._written: dict[tuple[str, int, str], list[str]] = {}
        self.id = generator.id
        self.max_input_tokens = generator.max_input_tokens
        self.count_tokens = generator.count_tokens

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        settings = (n, repr(asdict(decoding)))
        new = [p for p in dict.fromkeys(prompts) if (p, *settings) not in self._written]
        for prompt, texts in zip(new, self._generator.generate(new, n, decoding), strict=True):
            self._written[prompt, *settings] = texts
        return [self._written[prompt, *settings] for prompt in prompts]


class _RememberedTexts:
    """An encoder that embeds the same text once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._vectors: dict[str, Vectors] = {}
        self.id = encoder.id
        self.dim = encoder.dim
        self.encode_images = encoder.encode_images

    def encode_texts(self, texts: list[str]) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors |= dict(zip(new, self._encoder.encode_texts(new), strict=True))
        found = [self._vectors[text] for text in texts]
        return np.stack(found) if found else np.empty((0, self.dim), np.float32)
