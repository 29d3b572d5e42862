"""What captions are judged by in a refinement: one metric, or a weighted mean of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidInput, MetricUnavailable
from evaluation.metrics.caption_metrics import CAPTION_METRICS, score_captions

Values = NDArray[np.float64]
Score = Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[str]], Mapping[str, Values]]
"""Captions, the references of each, and metrics -> the values (n,) of each metric."""


def caption_values(
    captions: Sequence[str], references: Sequence[Sequence[str]], metrics: Sequence[str]
) -> Mapping[str, Values]:
    """The values of captions by these metrics; raises MetricUnavailable where one has none."""
    scored = score_captions(captions, references, metrics)
    for metric, reason in scored.missing.items():
        raise MetricUnavailable(f"captions cannot be judged by {metric}: {reason}")
    return {metric: scores.values for metric, scores in scored.scores.items()}


@dataclass(frozen=True)
class Yardstick:
    """Metrics and their weights.

    One metric counts as it is. Of several the weighted mean of standard scores counts: how many
    standard deviations a caption lies above the mean, as these were in one set of captions
    (`centre`, `spread`), so that no metric counts for more because its numbers are larger.
    """

    weights: Mapping[str, float]
    centre: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `cider-d`, or `cider-d=2,spice=1`; raises InvalidInput."""
        weights: dict[str, float] = {}
        for part in text.split(","):
            name, given, weight = part.strip().lower().partition("=")
            if name not in CAPTION_METRICS or name in weights:
                raise InvalidInput(
                    f"metric {part.strip()!r} in {text!r} is unknown or named twice; name one of "
                    f"{', '.join(CAPTION_METRICS)}, or several with weights: cider-d=2,rouge-l=1"
                )
            weights[name] = _weight(weight, text) if given else 1.0
        return cls(weights)

    @property
    def name(self) -> str:
        """The metric, or the metrics with their weights."""
        if len(self.weights) == 1:
            return self.metrics[0]
        return ",".join(f"{metric}={weight:g}" for metric, weight in self.weights.items())

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that have to be computed."""
        return tuple(self.weights)

    def standardised(self, values: Mapping[str, Values]) -> Self:
        """The same yardstick, with standard scores as of these captions."""
        if len(self.weights) == 1:
            return self
        return replace(
            self,
            centre={metric: float(values[metric].mean()) for metric in self.weights},
            spread={metric: _spread(values[metric]) for metric in self.weights},
        )

    def combined(self, values: Mapping[str, Values]) -> Values:
        """What each caption is worth, (n,)."""
        total = sum(self.weights.values())
        worth: Values = np.zeros_like(values[self.metrics[0]], np.float64)
        for metric, weight in self.weights.items():
            centre, spread = self.centre.get(metric, 0.0), self.spread.get(metric, 1.0)
            worth += weight / total * (values[metric] - centre) / spread
        return worth


def _spread(values: Values) -> float:
    """Their standard deviation; 1 for equal ones, whose mean may be off by a rounding."""
    spread = float(values.std())
    return spread if spread > 1e-12 * float(np.abs(values).max(initial=0.0)) else 1.0


def _weight(text: str, whole: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0 < weight < float("inf"):
        raise InvalidInput(f"weight {text!r} in {whole!r} is no positive number")
    return weight
