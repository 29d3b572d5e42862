from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidInput
from evaluation.metrics.caption_metrics import CAPTION_METRICS, CaptionScores, score_captions
from evaluation.metrics.java import find_java
from evaluation.metrics.tokenizer import tokenize

OVERLAP = ("bleu-1", "bleu-2", "bleu-3", "bleu-4", "rouge-l", "cider-d")
NO_JARS = (*OVERLAP[:4], "meteor", *OVERLAP[4:])

CAPTIONS = [
    "A man rides a red motorcycle.",
    "two dogs play in the snow",
    "a cat on a sofa",
    "a plate of food, with rice",
]
REFERENCES = [
    ["A man riding a motorcycle on a dirt road.", "a person on a red motorbike"],
    ["Two dogs are playing in snow.", "dogs run through the snow", "puppies in winter"],
    ["a cat sleeps on a couch", "A cat lying on the sofa"],
    ["food on a plate"],
]

pytestmark = pytest.mark.usefixtures("java")


def test_the_same_seed_gives_the_same_bounds() -> None:
    captions, references = CAPTIONS * 10, REFERENCES * 10
    runs = [score_captions(captions, references, ["bleu-2"], seed=seed) for seed in (1, 1, 2)]
    bounds = [(run.scores["bleu-2"].low, run.scores["bleu-2"].high) for run in runs]
    assert bounds[0] == bounds[1] != bounds[2]


AWKWARD = [
    "",
    "   \n\t ",
    "!!! ... ???",
    "a dog ||| on a ||| lawn\nunder\r\na tree\u2028tonight",
    "日本語の犬 café naïve Ελλάδα собака 😀",
    "dog " * 3000,
    "\ud800 \x00 \ufeff \x85",
    '<a href="x|||y"> SCORE ||| EVAL',
]
DOG = ["a dog on a lawn", "a dog ||| under a tree\nat night"]
SAME = ["a small brown dog sleeps", "犬 が 走る", "собака бежит по снегу", "ένας σκύλος"]
ALL = [*AWKWARD, *CAPTIONS, *CAPTIONS[::-1], *SAME]
ALL_REFERENCES = [
    *[DOG] * len(AWKWARD),
    *REFERENCES,
    *REFERENCES[::-1],
    *[[text] for text in SAME],
]


@pytest.fixture(scope="module")
def everything() -> CaptionScores:
    """One run, as METEOR takes seconds to start."""
    return score_captions(ALL, ALL_REFERENCES, NO_JARS)


def test_all_metrics_are_there_in_their_order(everything: CaptionScores) -> None:
    assert list(everything.scores) == [metric for metric in CAPTION_METRICS if metric in NO_JARS]
    assert not everything.missing
    for metric, scores in everything.scores.items():
        assert scores.metric == metric
        assert np.isfinite(scores.values).all()
        assert 0 <= scores.low <= scores.mean <= scores.high


def test_scores_follow_their_pictures_in_any_order(everything: CaptionScores) -> None:
    start, n = len(AWKWARD), len(CAPTIONS)
    for scores in everything.scores.values():
        straight = scores.values[start : start + n]
        turned = scores.values[start + n : start + 2 * n]
        assert straight == pytest.approx(turned[::-1], abs=1e-12)
        assert len(np.unique(straight)) > 1


def test_awkward_captions_cost_no_other_picture_its_score(everything: CaptionScores) -> None:
    alone = score_captions(CAPTIONS, REFERENCES, ["bleu-4", "rouge-l"])
    for metric, scores in alone.scores.items():
        got = everything.scores[metric].values[len(AWKWARD) : len(AWKWARD) + len(CAPTIONS)]
        assert got == pytest.approx(scores.values, abs=1e-12)


def test_captions_without_words_score_nothing(everything: CaptionScores) -> None:
    for scores in everything.scores.values():
        assert scores.values[:3] == pytest.approx(0, abs=1e-8)
    assert everything.scores["rouge-l"].values[3] > 0.5
    assert everything.scores["meteor"].values[3] > 0.3


def test_a_caption_that_is_its_reference_scores_full_in_any_script(
    everything: CaptionScores,
) -> None:
    for metric in ("bleu-1", "bleu-2", "rouge-l", "meteor"):
        same = everything.scores[metric].values[-len(SAME) :]
        assert same == pytest.approx(1, abs=1e-6), metric
    assert everything.scores["cider-d"].values[-len(SAME)] == pytest.approx(10)


def test_meteor_and_bleu_are_those_of_the_bare_scorers(everything: CaptionScores) -> None:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.meteor.meteor import Meteor

    tokens = iter(tokenize([*ALL, *chain(*ALL_REFERENCES)], punctuation=False))
    texts = {i: [next(tokens)] for i in range(len(ALL))}
    refs = {i: [next(tokens) for _ in row] for i, row in enumerate(ALL_REFERENCES)}
    whole, per_picture = Bleu(4).compute_score(refs, texts, verbose=0)
    for order in range(4):
        ours = everything.scores[f"bleu-{order + 1}"]
        assert ours.mean == pytest.approx(whole[order], abs=1e-12)
        assert ours.values == pytest.approx(per_picture[order], abs=1e-12)
    scorer = Meteor()
    mean, each = scorer.compute_score(refs, texts)
    for pipe in (scorer.meteor_p.stdout, scorer.meteor_p.stderr):
        pipe.close()
    assert everything.scores["meteor"].mean == pytest.approx(mean, abs=1e-12)
    assert everything.scores["meteor"].values == pytest.approx(each, abs=1e-12)


def test_empty_captions_and_empty_references_score_nothing() -> None:
    result = score_captions(["", ""], [[""], ["."]], OVERLAP)
    assert result.missing == {"cider-d": "there is not one word in the references"}
    assert all(scores.mean == pytest.approx(0, abs=1e-6) for scores in result.scores.values())


def test_one_picture_has_no_cider_and_the_reason_says_why() -> None:
    result = score_captions(CAPTIONS[:1], REFERENCES[:1], OVERLAP)
    assert "with one picture every weight is 0" in result.missing["cider-d"]
    assert "cider-d" not in result.scores
    rouge = result.scores["rouge-l"]
    assert rouge.low == rouge.mean == rouge.high == rouge.values[0]


def test_marks_count_only_where_they_are_kept() -> None:
    captions, references = ["a dog .", "a cat"], [["a dog"], ["a cat"]]
    without = score_captions(captions, references, ["bleu-1"])
    kept = score_captions(captions, references, ["bleu-1"], punctuation=True)
    assert (without.punctuation, kept.punctuation) == (False, True)
    assert without.scores["bleu-1"].mean == pytest.approx(1)
    assert kept.scores["bleu-1"].mean == pytest.approx(0.8)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidInput, match="unknown caption metric 'bleu'; choose from bleu-1"):
        score_captions(CAPTIONS, REFERENCES, ["bleu"])
    with pytest.raises(InvalidInput, match=r"3 captions .* 4 pictures"):
        score_captions(CAPTIONS[:3], REFERENCES)
    with pytest.raises(InvalidInput, match="no captions"):
        score_captions([], [])
    with pytest.raises(InvalidInput, match="picture 1 needs"):
        score_captions(CAPTIONS[:2], [["a"], []])


@pytest.mark.parametrize(
    "options", ["-Duser.language=tr -Dfile.encoding=ISO-8859-1", "-Dfile.encoding=US-ASCII"]
)
def test_the_locale_changes_no_score(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", options)
    captions = ["A BIG CITY in INDIA café", "собака и 犬"]
    references = [["a big city in india café"], ["СОБАКА и 犬"]]
    result = score_captions(captions, references, ["rouge-l"])
    assert result.scores["rouge-l"].values.tolist() == [1, 1]


def test_nothing_is_written_beside_the_scorers_and_no_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pycocoevalcap

    [package] = map(Path, pycocoevalcap.__path__)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(package.rglob("*"))
    score_captions(CAPTIONS, REFERENCES, OVERLAP)
    assert sorted(package.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_a_java_that_dies_is_the_reason_of_every_metric_it_serves(
    fake_java: Callable[[str], Path],
) -> None:
    fake_java("echo 'Killed by the kernel' >&2; exit 137")
    result = score_captions(CAPTIONS, REFERENCES, NO_JARS)
    assert not result.scores
    assert set(result.missing) == set(NO_JARS)
    assert all("status 137: Killed by the kernel" in reason for reason in result.missing.values())


def test_a_meteor_that_dies_takes_no_other_metric_along(
    fake_java: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = find_java().program
    fake_java(f'case "$*" in *Meteor*) head -n 1; exit 1;; esac; exec {real} "$@"')
    result = score_captions(CAPTIONS, REFERENCES, NO_JARS)
    assert list(result.missing) == ["meteor"]
    assert "METEOR (Java) ended with status 1" in result.missing["meteor"]
    monkeypatch.undo()
    straight = score_captions(CAPTIONS, REFERENCES, OVERLAP)
    for metric, scores in straight.scores.items():
        assert (result.scores[metric].values == scores.values).all()


def test_a_meteor_that_answers_too_little_is_no_score(
    fake_java: Callable[[str], Path],
) -> None:
    real = find_java().program
    fake_java(f'case "$*" in *Meteor*) head -n 2; exit 0;; esac; exec {real} "$@"')
    result = score_captions(CAPTIONS, REFERENCES, ["meteor", "bleu-1"])
    assert "METEOR gave 2 lines for 4 captions" in result.missing["meteor"]
    assert list(result.scores) == ["bleu-1"]
