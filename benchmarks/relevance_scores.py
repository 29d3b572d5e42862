"""What rules show for labelled searches, counted, and how reliable chances are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

OLD = 0.95
"""The share of unrelated pairs below which the rule of before hid."""

BANDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.01)

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass
class Score:
    """What a rule shows for searches: right ones, strangers, and what there was to find."""

    right: int = 0
    strangers: int = 0
    answered: int = 0
    answerable: int = 0
    empty: int = 0
    absent: int = 0
    recalls: list[float] = field(default_factory=list)

    def add(self, shown: Flags, right: Flags) -> None:
        """Count one search: of all pictures, which are shown and which are right."""
        found, there = int((shown & right).sum()), int(right.sum())
        self.right += found
        self.strangers += int(shown.sum()) - found
        if there:
            self.answerable += 1
            self.answered += found > 0
            self.recalls.append(found / there)
        else:
            self.absent += 1
            self.empty += not shown.any()

    def cells(self) -> str:
        """Precision, recall, answered, empty ones said empty, strangers a search."""
        shown, searches = self.right + self.strangers, self.answerable + self.absent
        cells = [
            f"{self.right / shown:.2f}" if shown else "-",
            f"{np.mean(self.recalls):.2f}" if self.recalls else "-",
            f"{self.answered / self.answerable:.2f}" if self.answerable else "-",
            f"{self.empty / self.absent:.2f}" if self.absent else "-",
            f"{self.strangers / searches:.2f}",
        ]
        return " | ".join(cells)


@dataclass
class Reliability:
    """How often pictures of a chance are right."""

    count: Values = field(default_factory=lambda: np.zeros(len(BANDS) - 1))
    right: Values = field(default_factory=lambda: np.zeros(len(BANDS) - 1))

    def add(self, chances: Values, right: Flags) -> None:
        """Count pictures."""
        self.count += np.histogram(chances, BANDS)[0]
        self.right += np.histogram(chances[right], BANDS)[0]

    def cells(self) -> str:
        """The share that was right, of how many, band by band but the first."""
        told = zip(self.right[1:], self.count[1:], strict=True)
        return " | ".join(f"{a / b:.2f} of {b:.0f}" if b else "-" for a, b in told)


def unlike(scores: Values, share: float = OLD) -> float:
    """The rule of before: what that share of the scores of unrelated pairs stays below."""
    return float(np.quantile(scores[:256, :256], share))


def best_constant(scores: Sequence[Values], right: Sequence[Flags]) -> float:
    """The cosine that gives the best F1 over all searches."""
    values, hits = np.concatenate(scores), np.concatenate(right)
    there = int(hits.sum())
    order = np.argsort(-values)
    found = np.cumsum(hits[order])
    f1 = 2 * found / (np.arange(1, len(values) + 1) + there)
    return float(values[order][int(f1.argmax())])


def at_least(least: float, scores: Values, _: Flags) -> Flags:
    """What scores that much."""
    return scores >= least


def print_tables(rows: Sequence[str]) -> None:
    """What was shown, and how reliable the chances were."""
    print("\n| pictures | | search | shown | precision | recall | answered | empty said empty "
          "| strangers a search |\n| ---: | --- | --- | --- |" + " ---: |" * 5)  # fmt: skip
    print("\n".join(row for row in rows if not row.startswith("@")))
    bands = " | ".join(f"{a:g} to {min(b, 1):g}" for a, b in pairwise(BANDS[1:]))
    print(f"\n| pictures | | {bands} |\n| ---: | --- |" + " ---: |" * (len(BANDS) - 2))
    print("\n".join(row[1:] for row in rows if row.startswith("@")))
