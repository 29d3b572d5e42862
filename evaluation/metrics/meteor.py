"""METEOR 1.5 of tokenised captions, by the Java program that pycocoevalcap brings.

pycocoevalcap talks to it a line at a time over pipes, and waits for ever once one side has said
a line too few. Here all texts go in at once and come back as match counts, and the last step,
from counts to score, is taken in numpy: the same formula serves a picture, the corpus and
every resample of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.errors import MetricUnavailable
from evaluation.metrics.intervals import Values
from evaluation.metrics.java import find_java, run_java
from evaluation.metrics.tokenizer import scorer_file

JAR = Path("meteor") / "meteor-1.5.jar"
_HEAP_MB = 2048
_BETWEEN = " ||| "
_COUNTS = 23

# Denkowski & Lavie (2014), the parameters of the ranking task for English: the program's own
# default, which all papers on captioning use.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stem, synonym and paraphrase matches."""


def meteor_counts(captions: Sequence[str], references: Sequence[Sequence[str]]) -> Values:
    """What METEOR counts of each picture's caption and its best reference: (n, 23).

    Lengths of caption and reference, function words of both; for each of four kinds of match
    content words of both and function words of both; chunks; matched words of both.

    Raises MetricUnavailable where Java is missing or fails.
    """
    lines = [
        _BETWEEN.join(["SCORE", *map(_clean, refs), _clean(caption)])
        for caption, refs in zip(captions, references, strict=True)
    ]
    command = find_java().command([scorer_file(JAR)], "Meteor", heap_mb=_HEAP_MB)
    command += ["-", "-", "-stdio", "-l", "en", "-norm"]
    text = "".join(f"{line}\n" for line in lines)
    out = run_java(command, text, what="METEOR", seconds=120 + len(lines)).splitlines()
    if len(out) != len(lines):
        raise MetricUnavailable(f"METEOR gave {len(out):,} lines for {len(lines):,} captions")
    return _without_perfect_chunks(np.array([_read(line) for line in out]))


def _without_perfect_chunks(counts: Values) -> Values:
    """A caption that is its reference is one chunk that costs nothing, nor does it in a sum."""
    stages = counts[:, 4:20].reshape(-1, 4, 2, 2).sum(axis=(1, 2))
    perfect = (stages == counts[:, 0:2]).all(axis=1) & (counts[:, 20] == 1)
    counts[perfect, 20] = 0
    return counts


def _clean(text: str) -> str:
    """The text without what separates texts on METEOR's input line."""
    return " ".join(text.replace("|||", "").split())


def _read(line: str) -> list[float]:
    try:
        counts = [float(count) for count in line.split()]
    except ValueError:
        counts = []
    if len(counts) != _COUNTS:
        raise MetricUnavailable(f"METEOR answered what are not its counts: {line[:100]!r}")
    return counts


def meteor_score(counts: Values) -> Values:
    """METEOR (…,) of counts (…, 23): of one picture, or summed over pictures of their corpus."""
    lengths, function = counts[..., 0:2], counts[..., 2:4]
    stages = counts[..., 4:20].reshape(*counts.shape[:-1], 4, 4)
    matched_content, matched_function = stages[..., 0:2], stages[..., 2:4]
    weighted = _STAGE_WEIGHTS @ (_DELTA * matched_content + (1 - _DELTA) * matched_function)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Column 0 is precision, of the caption's words; column 1 recall, of the reference's.
        shares = weighted / (_DELTA * (lengths - function) + (1 - _DELTA) * function)
        mean = 1 / ((1 - _ALPHA) / shares[..., 0] + _ALPHA / shares[..., 1])
        fragments = counts[..., 20] / (counts[..., 21:23].sum(axis=-1) / 2)
    score = mean * (1 - _GAMMA * fragments**_BETA)
    return np.asarray(np.maximum(np.nan_to_num(score, nan=0.0), 0.0))
