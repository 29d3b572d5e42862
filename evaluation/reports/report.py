"""The report of an evaluation: everything that a reader needs to trust a figure, or repeat it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.examples import Examples
from engine.alignment.alignment import Alignment
from engine.files import write_whole
from evaluation.evaluate import (
    CAPTIONS,
    EvaluateOptions,
    Evaluation,
    Subject,
)
from evaluation.maps import OWN, RAW, MapSource
from evaluation.metrics.correlation import Correlations, correlations
from evaluation.metrics.intervals import DRAWS, LEVEL, Values
from evaluation.reports.figures import Figure
from evaluation.reports.provenance import versions

KIND = "mrag-evaluation/1"
DIGITS = 10
"""Decimals of figures in the JSON report."""
FEW = 100
"""Below so many pictures the weights of words in CIDEr-D rest on too few references."""
_JUDGES = ("cider-d", "rouge-l", "bleu-4", "clip-score")


@dataclass(frozen=True)
class Asked:
    """What was asked for: the command as typed, the variables that it heeds, and the pictures.

    `chosen_on` are the splits whose pictures chose which refinement rounds the collection keeps.
    """

    command: str
    environment: Mapping[str, str]
    splits: tuple[str, ...]
    limit: int | None
    created: str
    seconds: float
    chosen_on: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Report:
    """An evaluation with all that it rests on."""

    subject: Subject
    options: EvaluateOptions
    evaluation: Evaluation
    asked: Asked

    @property
    def examples(self) -> Examples:
        """The pictures that were evaluated."""
        return self.subject.examples

    @property
    def shown_map(self) -> str:
        """The map whose captions are shown and correlated: the collection's, if it is there."""
        scores = self.evaluation.scores
        return OWN if OWN in scores else next(iter(scores), "")

    @property
    def judge(self) -> str:
        """The metric that pictures are called best and worst by; "" without captions."""
        scores = self.evaluation.scores.get(self.shown_map, {})
        return next((metric for metric in _JUDGES if metric in scores), "")

    def correlations(self) -> Correlations | None:
        """How the caption metrics of the shown map go together; None below two of them."""
        scores = self.evaluation.scores.get(self.shown_map, {})
        if len(scores) < 2 or len(self.examples) < 3:
            return None
        return correlations({metric: score.values for metric, score in scores.items()})

    def best_and_worst(self, count: int) -> tuple[list[int], list[int]]:
        """The rows of the pictures with the best and with the worst captions, by the judge."""
        if not self.judge:
            return [], []
        values = self.evaluation.scores[self.shown_map][self.judge].values
        order = sorted(range(len(values)), key=lambda row: (-values[row], row))
        count = min(count, len(order) // 2)
        return order[:count], order[::-1][:count]

    def notes(self) -> list[str]:
        """What a reader must know beside the figures."""
        return list(_notes(self))

    def as_json(self) -> dict[str, Any]:
        """The stable JSON form, without what is of single pictures."""
        subject, evaluation, asked = self.subject, self.evaluation, self.asked
        return {
            "kind": KIND,
            "collection": subject.collection,
            "splits": list(asked.splits),
            "limit": asked.limit,
            "pictures": len(self.examples),
            "references": len(self.examples.captions),
            "without_references": self.examples.left_out,
            "words": evaluation.words,
            "settings": {**_settings(self.options), "borrowed_splits": self._borrowed()},
            "models": {"encoder": subject.encoder.id, "generator": evaluation.generator},
            "data": {
                "pictures": self.examples.fingerprint,
                "memory": subject.memory.fingerprint,
                "memory_captions": len(subject.memory.texts),
            },
            "maps": [
                _map_json(name, alignment, subject.source)
                for name, alignment in evaluation.maps.items()
            ],
            "figures": [_rounded(_figure_json(figure)) for figure in evaluation.figures],
            "correlations": _rounded(self._correlations_json()),
            "missing": dict(evaluation.missing),
            "notes": self.notes(),
            "versions": versions(),
            "command": asked.command,
            "environment": dict(asked.environment),
            "created": asked.created,
            "seconds": asked.seconds,
            "chosen_on": list(asked.chosen_on),
        }

    def _borrowed(self) -> list[str]:
        """The splits whose captions were borrowed."""
        return sorted(set(self.subject.memory.splits))

    def _correlations_json(self) -> dict[str, Any] | None:
        found = self.correlations()
        if found is None:
            return None
        tables = {"pearson": _finite(found.pearson), "spearman": _finite(found.spearman)}
        return {"map": self.shown_map, "metrics": list(found.metrics), **tables}

    def pictures(self) -> Iterator[dict[str, Any]]:
        """For each picture its references, and for each map its caption, scores and rank."""
        examples, evaluation = self.examples, self.evaluation
        for row, image_id in enumerate(examples.image_ids):
            yield {
                "image_id": image_id,
                "uri": examples.uris[row],
                "split": examples.splits[row],
                "references": list(examples.references[row]),
                "maps": {name: self._of_picture(name, row) for name in evaluation.maps},
            }

    def _of_picture(self, name: str, row: int) -> dict[str, Any]:
        evaluation = self.evaluation
        captions, scores = evaluation.captions.get(name), evaluation.scores.get(name, {})
        return {
            "caption": captions[row] if captions else None,
            "scores": {metric: float(score.values[row]) for metric, score in scores.items()},
            "rank_of_own_caption": float(evaluation.ranks[name][row]),
        }


def write_text(path: Path, text: str) -> None:
    """Write a file of a report, whole; file names that are no text are written as escapes."""
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def write_folder(report: Report, folder: Path, html: str) -> None:
    """Write report.json, report.html and pictures.jsonl."""
    write_text(folder / "report.json", json.dumps(report.as_json(), indent=1) + "\n")
    write_text(folder / "report.html", html)
    write_text(
        folder / "pictures.jsonl", "".join(json.dumps(row) + "\n" for row in report.pictures())
    )


def _settings(options: EvaluateOptions) -> dict[str, Any]:
    return {
        "maps": list(options.maps),
        "captions": options.captions,
        "metrics": list(options.metrics),
        "describe": asdict(options.describe),
        "punctuation": options.punctuation,
        "seed": options.seed,
        "bootstrap_draws": DRAWS,
        "level": LEVEL,
    }


def _map_json(name: str, alignment: Alignment, source: MapSource) -> dict[str, Any]:
    return {
        "name": name,
        "method": alignment.method,
        "strength": alignment.strength,
        "hub_strength": alignment.hub_strength,
        "pairs": alignment.n,
        "source": alignment.source,
        "reason": alignment.reason,
        "fingerprint": alignment.fingerprint,
        "fitted_on_evaluated_pictures": (
            name == OWN and source.seen > 0 and alignment.method != "raw"
        ),
    }


def _figure_json(figure: Figure) -> dict[str, Any]:
    values = asdict(figure)
    values["difference_from_raw"] = values.pop("difference")
    return values


def _rounded(value: Any) -> Any:
    """The same without the digits that the order of a sum decides: they differ from run to run."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def _finite(table: Values) -> list[list[float | None]]:
    """The same with None in place of numbers that JSON cannot hold."""
    return [[value if math.isfinite(value) else None for value in row] for row in table.tolist()]


def _notes(report: Report) -> Iterator[str]:
    examples, options, evaluation = report.examples, report.options, report.evaluation
    source = report.subject.source
    if source.seen and OWN in evaluation.maps and source.own.method != "raw":
        yield (
            f"The collection's map was fitted on {source.seen:,} of these {len(examples):,} "
            f"pictures, so the figures of {OWN!r} are too good; the other maps were fitted "
            "without them"
            + (", and auto chose method and strength on them too." if source.own.choices else ".")
        )
    also = sorted(set(report.asked.chosen_on) & set(report.asked.splits))
    if also:
        yield (
            f"Pictures of split {', '.join(map(repr, also))} also chose which rounds of refinement "
            "were kept, so figures on them are too good; evaluate on a split that chose nothing."
        )
    if source.own.method == "raw" and {RAW, OWN} <= evaluation.maps.keys():
        hubs = source.own.hub_strength
        yield f"The collection's map is raw itself, so {OWN!r} and {RAW!r} are the same" + (
            f" but in rankings, where {OWN!r} takes hubs off ({hubs:g})." if hubs else "."
        )
    if examples.left_out:
        yield f"{examples.left_out:,} pictures of the same splits have no references: left out."
    if CAPTIONS not in evaluation.missing and options.captions:
        yield (
            f"Each picture was described from {len(report.subject.memory.texts):,} captions of "
            "training splits, searched exactly in memory, without those of its own; captions of "
            "held-out pictures were not borrowed."
        )
        marks = "kept" if options.punctuation else "removed"
        yield f"Captions were tokenised by PTB with punctuation {marks}; scores differ in this."
        yield (
            "BLEU and METEOR are of the whole corpus, and their differences are those of such "
            "figures, over the same drawn pictures. "
            "The -mapped scores of all maps are taken in the space of the collection's map."
        )
        if len(examples) < FEW:
            yield (
                f"CIDEr-D weighs words over the references of these {len(examples)} pictures: so "
                "few compare one map with another, not with figures elsewhere."
            )
    yield (
        f"Intervals: middle {LEVEL:.0%} of {DRAWS:,} bootstrap draws of pictures, each with all "
        f"its texts (seed {options.seed}). Differences are from raw on the same pictures; p is "
        "two-sided and not corrected for the number of comparisons."
    )
    yield (
        "recall@k is the share of a query's relevant items among the first k, hit@k whether any "
        "is there (papers on retrieval call that R@k); nDCG has linear gains, for words the number "
        "of references that hold the word. Level items count by their expected order."
    )
