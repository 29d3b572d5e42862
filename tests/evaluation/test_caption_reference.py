"""Scores that a published system printed for its captions, to six digits."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from evaluation.metrics.caption_metrics import CaptionScores, score_captions

FOLDER = Path(__file__).parents[2].parent / "shared" / "reference" / "metrics"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"published captions and scores are not there: {FOLDER}"
)

PRINTED = {
    "Bleu_1": "bleu-1",
    "Bleu_2": "bleu-2",
    "Bleu_3": "bleu-3",
    "Bleu_4": "bleu-4",
    "ROUGE_L": "rouge-l",
    "CIDEr": "cider-d",
}


def references(split: str) -> dict[str, list[str]]:
    """The human captions by picture: a list of pictures, or annotations as COCO has them."""
    data = json.loads((FOLDER / f"{split}.refs.json").read_text(encoding="utf-8"))
    by_picture: defaultdict[str, list[str]] = defaultdict(list)
    for row in data if isinstance(data, list) else data["annotations"]:
        by_picture[str(row["image_id"])] += row.get("captions", [row.get("caption")])
    return by_picture


def scored(system: str, split: str, *, punctuation: bool) -> CaptionScores:
    rows = json.loads((FOLDER / f"{system}.{split}.json").read_text(encoding="utf-8"))
    refs = references(split)
    return score_captions(
        [row["caption"] for row in rows],
        [refs[str(row["image_id"])] for row in rows],
        PRINTED.values(),
        punctuation=punctuation,
    )


def published(system: str, split: str) -> dict[str, float]:
    """The figures of full precision in the last lines of what the authors printed."""
    lines = (FOLDER / f"{system}.{split}.out").read_text(encoding="utf-8").split("\n")
    figures = [line.split(": ") for line in lines if line.startswith(tuple(PRINTED))]
    return {PRINTED[name]: float(figure) for name, figure in figures if " +- " not in figure}


@pytest.mark.parametrize(
    ("system", "split"),
    [
        ("flan-t5-base", "coco-test"),
        pytest.param("flan-t5-large", "coco-test", marks=[pytest.mark.slow, pytest.mark.nightly]),
        ("llama-7b", "flickr30k-test"),
    ],
)
def test_published_scores_come_back_to_six_digits(system: str, split: str) -> None:
    figures = published(system, split)
    result = scored(system, split, punctuation=True)
    assert len(figures) == 6
    assert not result.missing
    assert result.punctuation
    assert {metric: scores.mean for metric, scores in result.scores.items()} == pytest.approx(
        figures, abs=5e-7, rel=0
    )
    assert all(scores.low < scores.mean < scores.high for scores in result.scores.values())


def test_without_punctuation_the_same_captions_score_otherwise() -> None:
    figures = published("llama-7b", "flickr30k-test")
    result = scored("llama-7b", "flickr30k-test", punctuation=False)
    assert abs(result.scores["rouge-l"].mean - figures["rouge-l"]) > 0.05
