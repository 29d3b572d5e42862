"""Evaluations of a small world: pictures and captions of a thing in a place, in many words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpus.captions import CaptionTable
from corpus.examples import Examples
from engine.alignment.alignment import Alignment, PairMoments
from engine.describe.captioner import DescribeOptions
from engine.errors import InvalidInput, ModelMissing
from engine.identity import PictureIdentity
from engine.types import Decoding, Generator, Vectors
from evaluation.evaluate import (
    CAPTIONS,
    TO_CAPTION,
    TO_PICTURE,
    TO_WORD,
    EvaluateOptions,
    Evaluation,
    Subject,
    evaluate,
)
from evaluation.maps import MapSource
from evaluation.reports.html import as_html
from evaluation.reports.report import Asked, Report, write_folder, write_text

DIM = 24
THINGS = ("dog", "cat", "boat", "tree", "lamp", "horse")
PLACES = ("street", "beach", "room", "field")
GAP = np.linspace(-1, 1, DIM)


class WordEncoder:
    """A text is the sum of its words; pictures lie elsewhere by a gap."""

    id = "words"
    dim = DIM

    def encode_images(self, images: list[Image.Image]) -> Vectors:
        raise AssertionError(f"{len(images)} pictures were encoded again")

    def encode_texts(self, texts: list[str]) -> Vectors:
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        rows = [sum((_word(word) for word in found), np.zeros(DIM)) for found in words]
        return _unit(np.array(rows).reshape(-1, DIM) - GAP)


class Echo:
    """Writes the first caption of the prompt; breaks off after so many prompts."""

    id = "echo"
    max_input_tokens = 400

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.prompts: list[str] = []
        self._breaks_after = breaks_after

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(self, prompts: list[str], n: int, decoding: Decoding) -> list[list[str]]:
        del n, decoding
        if len(self.prompts) + len(prompts) > self._breaks_after:
            raise KeyboardInterrupt
        self.prompts += prompts
        return [[prompt.splitlines()[1]] for prompt in prompts]


def _word(word: str) -> np.ndarray:
    return np.random.default_rng(list(word.encode())).normal(size=DIM)


def _unit(rows: np.ndarray) -> Vectors:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norms > 0, norms, 1), np.float32)


def world(n: int, first: int = 0) -> Examples:
    rng = np.random.default_rng(first)
    said = []
    for i in range(first, first + n):
        thing, place = THINGS[i % len(THINGS)], PLACES[i // len(THINGS) % len(PLACES)]
        said.append((f"A {thing} number {i} on the {place}.", f"The {place} has a {thing}."))
    encoder = WordEncoder()
    meaning = np.stack([encoder.encode_texts(list(texts)).mean(axis=0) + GAP / 4 for texts in said])
    images = _unit(meaning + rng.normal(0, 0.05, (n, DIM)) + GAP)
    captions = encoder.encode_texts([text for texts in said for text in texts])
    ids = tuple(f"p{i:03d}" for i in range(first, first + n))
    uris = tuple(f"/nowhere/{image_id}.png" for image_id in ids)
    owners = np.repeat(np.arange(n), 2)
    pictures = tuple(
        PictureIdentity(f"sha of {image_id}", frozenset({image_id})) for image_id in ids
    )
    return Examples(
        pictures, ids, uris, ("test",) * n, tuple(said), images, captions, owners
    )  # fmt: skip


@pytest.fixture(scope="module")
def subject() -> Subject:
    train, test = world(120), world(40, first=120)
    moments = PairMoments(DIM)
    moments.update(train.images[train.owners], train.captions)
    own = Alignment.fit(moments, "ridge", strength=0.1, encoder_id="words", source="collection w")
    both = [*train.references, *test.references]
    owners = [*train.pictures, *test.pictures]
    memory = CaptionTable(
        tuple(text for texts in both for text in texts),
        np.concatenate([train.captions, test.captions]),
        tuple(picture.key for picture in owners for _ in range(2)),
    )
    source = MapSource(own, moments, "collection w")
    return Subject("w", test, memory, source, WordEncoder(), Echo)


def run(
    subject: Subject, folder: Path, *maps: str, captions: bool = True, seed: int = 0
) -> Evaluation:
    options = EvaluateOptions(maps or ("raw", "mapped"), captions, metrics=(), seed=seed)
    return evaluate(subject, options, folder, lambda *_: None)


def report_of(subject: Subject, evaluation: Evaluation) -> Report:
    asked = Asked("mrag evaluate w", {"MRAG_HOME": "/home"}, ("test",), None, "2026", 1.5)
    return Report(subject, EvaluateOptions(tuple(evaluation.maps)), evaluation, asked)


@pytest.fixture(scope="module")
def measured(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return run(subject, tmp_path_factory.mktemp("kept"), "raw", "mapped", "ridge", "ols")


def value(evaluation: Evaluation, task: str, metric: str, name: str) -> float:
    (found,) = [f for f in evaluation.figures if (f.task, f.metric, f.map) == (task, metric, name)]
    return found.value


def test_every_task_is_measured_for_every_map(measured: Evaluation) -> None:
    maps = ["raw", "mapped", "ridge", "ols"]
    assert list(measured.maps) == maps
    for task in (TO_CAPTION, TO_PICTURE, TO_WORD):
        for metric in ("ndcg@10", "recall@1", "mrr", "median-rank"):
            assert [f.map for f in measured.figures if (f.task, f.metric) == (task, metric)] == maps
    for metric in ("clip-score", "ref-clip-score", "clip-score-mapped", "ref-clip-score-mapped"):
        assert [f.map for f in measured.figures if (f.task, f.metric) == (CAPTIONS, metric)] == maps
    for figure in measured.figures:
        assert figure.low <= figure.value <= figure.high, figure
        assert (figure.difference is None) == (
            figure.map == "raw" or figure.metric == "median-rank"
        )


def test_a_map_that_closes_the_gap_ranks_better(measured: Evaluation) -> None:
    assert value(measured, TO_WORD, "ndcg@10", "mapped") > value(
        measured, TO_WORD, "ndcg@10", "raw"
    )


def test_no_picture_is_described_by_its_own_captions(
    subject: Subject, measured: Evaluation
) -> None:
    for captions in measured.captions.values():
        for caption, references in zip(captions, subject.examples.references, strict=True):
            # The caption with the number is of this picture alone; the other is of several.
            assert caption != references[0]


def test_maps_that_are_the_same_are_written_for_once(subject: Subject, tmp_path: Path) -> None:
    echo = Echo()
    source = replace(subject.source, own=make_raw(subject))
    run(replace(subject, source=source, generator=lambda: echo), tmp_path, "raw", "mapped")
    assert len(echo.prompts) == len(subject.examples)


def make_raw(subject: Subject) -> Alignment:
    own = subject.source.own
    return Alignment("raw", DIM, np.zeros(DIM), np.zeros(DIM), encoder_id=own.encoder_id)


def test_an_interrupted_evaluation_goes_on_and_comes_to_the_same(
    subject: Subject, measured: Evaluation, tmp_path: Path
) -> None:
    echo = Echo(breaks_after=60)
    with pytest.raises(KeyboardInterrupt):
        run(replace(subject, generator=lambda: echo), tmp_path)
    for kept in tmp_path.iterdir():
        kept.write_text(kept.read_text()[:-5])  # a line was cut short, too
    again = Echo()
    evaluation = run(replace(subject, generator=lambda: again), tmp_path)
    # Raw was finished and mapped had one batch; of each the batch that was cut is written again.
    assert len(again.prompts) == 8 + 40
    assert evaluation.captions == {name: measured.captions[name] for name in ("raw", "mapped")}
    assert not tmp_path.exists() or not any(tmp_path.iterdir())


def test_without_its_generator_rankings_are_measured_all_the_same(
    subject: Subject, tmp_path: Path
) -> None:
    def absent() -> Generator:
        raise ModelMissing("the generator is not here;\nget it with: می\u200cخوابد \u202e")

    evaluation = run(replace(subject, generator=absent), tmp_path)
    assert evaluation.missing[CAPTIONS].startswith("the generator is not here")
    assert {figure.task for figure in evaluation.figures} == {TO_CAPTION, TO_PICTURE, TO_WORD}
    page = as_html(report_of(subject, evaluation))
    # On one line, in its spelling, and turning nothing.
    assert "the generator is not here; get it with: می\u200cخوابد \\u202e" in page
    assert "to call any best or worst" in page


def test_without_captions_nothing_is_written(subject: Subject, tmp_path: Path) -> None:
    echo = Echo()
    evaluation = run(replace(subject, generator=lambda: echo), tmp_path, captions=False)
    assert not echo.prompts
    assert not evaluation.captions
    assert CAPTIONS not in evaluation.missing


def test_the_same_evaluation_gives_the_same_report(
    subject: Subject, measured: Evaluation, tmp_path: Path
) -> None:
    again = run(subject, tmp_path, "raw", "mapped", "ridge", "ols")
    once, twice = (report_of(subject, one).as_json() for one in (measured, again))
    assert once == twice
    other = run(subject, tmp_path, "raw", "mapped", "ridge", "ols", seed=1)
    assert report_of(subject, other).as_json()["figures"] != once["figures"]


def test_the_report_holds_what_the_figures_rest_on(subject: Subject, measured: Evaluation) -> None:
    about = json.loads(json.dumps(report_of(subject, measured).as_json(), allow_nan=False))
    assert about["command"] == "mrag evaluate w"
    assert about["models"] == {"encoder": "words", "generator": "echo"}
    assert about["data"]["pictures"] == subject.examples.fingerprint
    assert about["data"]["memory_captions"] == 320
    assert about["settings"]["punctuation"] is False
    assert about["settings"]["seed"] == 0
    assert about["settings"]["describe"]["k"] == DescribeOptions().k
    assert about["versions"]["numpy"] == np.__version__
    assert [one["name"] for one in about["maps"]] == ["raw", "mapped", "ridge", "ols"]
    assert about["pictures"] == 40
    moved = replace(subject.examples, images=-subject.examples.images)
    other = report_of(replace(subject, examples=moved), measured).as_json()
    assert other["data"]["pictures"] != about["data"]["pictures"]


def test_a_metric_that_never_changes_has_no_correlation_in_the_report(
    subject: Subject, measured: Evaluation
) -> None:
    scores = dict(measured.scores["mapped"])
    flat = np.full(40, 0.1)
    scores["clip-score"] = replace(scores["clip-score"], values=flat)
    report = report_of(subject, replace(measured, scores={"mapped": scores}))
    text = json.dumps(report.as_json(), allow_nan=False)
    assert json.loads(text)["correlations"]["pearson"][0] == [None] * len(scores)
    assert "–" in as_html(report)


def test_maps_fitted_on_what_they_are_measured_on_are_pointed_out(
    subject: Subject, measured: Evaluation
) -> None:
    fair = report_of(subject, measured)
    assert not any("too good" in note for note in fair.notes())
    seen = replace(subject, source=replace(subject.source, seen=40))
    unfair = report_of(seen, measured)
    assert any("fitted on 40 of these 40 pictures" in note for note in unfair.notes())
    flags = {one["name"]: one["fitted_on_evaluated_pictures"] for one in unfair.as_json()["maps"]}
    assert flags == {"raw": False, "mapped": True, "ridge": False, "ols": False}


def test_pictures_that_also_chose_are_pointed_out(subject: Subject, measured: Evaluation) -> None:
    report = report_of(subject, measured)
    assert not any("also chose" in note for note in report.notes())
    by_others = replace(report, asked=replace(report.asked, chosen_on=("val",)))
    assert not any("also chose" in note for note in by_others.notes())
    by_these = replace(report, asked=replace(report.asked, chosen_on=("test", "val")))
    assert any("Pictures of split 'test' also chose" in note for note in by_these.notes())
    assert by_these.as_json()["chosen_on"] == ["test", "val"]


def test_captions_that_other_code_wrote_are_written_anew(subject: Subject, tmp_path: Path) -> None:
    stopped = Echo(breaks_after=20)
    by_old = replace(subject, generator=lambda: stopped, conditions={"code": "old"})
    with pytest.raises(KeyboardInterrupt):
        run(by_old, tmp_path, "raw")
    again, anew = Echo(), Echo()
    run(replace(subject, generator=lambda: anew, conditions={"code": "new"}), tmp_path, "raw")
    assert len(anew.prompts) == 40
    run(replace(by_old, generator=lambda: again), tmp_path, "raw")
    assert len(again.prompts) == 24


def test_best_and_worst_do_not_overlap(subject: Subject, measured: Evaluation) -> None:
    report = report_of(subject, measured)
    best, worst = report.best_and_worst(8)
    values = measured.scores["mapped"][report.judge].values
    assert min(values[best]) >= max(values[worst])
    assert len(set(best) | set(worst)) == 16
    assert len(report.best_and_worst(100)[0]) == 20


class Page(HTMLParser):
    """What a page asks for from elsewhere, and what it would run."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.tags: list[str] = []
        self.alts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))
        for name, text in attrs:
            if name.startswith("on"):
                self.outside.append(f"{name}={text}")
            if name.endswith(("src", "href")) and not (text or "").startswith(("data:", "#")):
                self.outside.append(f"{name}={text}")


NASTY = '<img src=x onerror="alert(1)"></p><script>alert(2)</script> & "dogs" $title ${ \u202e'


@pytest.fixture
def nasty(subject: Subject, measured: Evaluation, tmp_path: Path) -> Report:
    examples = subject.examples
    paths = [tmp_path / f"{number}.png" for number in range(20)]
    for path in paths:
        Image.new("RGB", (500, 300), "red").save(path)
    uris = (*map(str, paths), *examples.uris[20:])
    references = tuple((NASTY, NASTY) for _ in examples.references)
    ids = tuple(f"{image_id}<b>\udcff" for image_id in examples.image_ids)
    examples = replace(examples, uris=uris, references=references, image_ids=ids)
    captions = {name: (NASTY,) * len(examples) for name in measured.captions}
    return report_of(
        replace(subject, examples=examples, collection="w"), replace(measured, captions=captions)
    )


def test_the_page_asks_for_nothing_and_runs_nothing(nasty: Report, tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", as_html(nasty))
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not page.outside
    assert "script" not in page.tags
    assert "http:" not in text
    assert "https:" not in text
    assert "\u202e" not in text
    assert not re.search(r"url\((?!#)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert page.alts
    assert all(alt and "onerror" in alt for alt in page.alts)


def test_pictures_that_are_gone_are_shown_by_their_words(
    subject: Subject, measured: Evaluation
) -> None:
    page = as_html(report_of(subject, measured))
    assert page.count("The picture file is gone") == 16
    assert "<img" not in page
    assert subject.examples.references[0][0] in page or "number" in page


def test_a_folder_gets_report_page_and_pictures(nasty: Report, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "deep"
    write_folder(nasty, folder, "<!doctype html>")
    assert sorted(path.name for path in folder.iterdir()) == [
        "pictures.jsonl", "report.html", "report.json",
    ]  # fmt: skip
    rows = [json.loads(line) for line in (folder / "pictures.jsonl").read_text().splitlines()]
    assert len(rows) == 40
    assert rows[0]["references"] == [NASTY, NASTY]
    assert rows[0]["maps"]["mapped"]["scores"].keys() >= {"clip-score", "ref-clip-score"}
    assert json.loads((folder / "report.json").read_text())["kind"] == "mrag-evaluation/1"


def test_one_picture_is_enough_to_measure(subject: Subject, tmp_path: Path) -> None:
    one = replace(subject, examples=subject.examples.take([3]))
    evaluation = run(one, tmp_path)
    assert value(evaluation, TO_CAPTION, "hit@1", "raw") == 1
    page = as_html(report_of(one, evaluation))
    assert "There are not enough" in page
    assert "to call any best or worst" in page


def test_captions_are_scored_by_the_metrics_asked_for(
    subject: Subject, tmp_path: Path, java: None
) -> None:
    del java
    options = EvaluateOptions(("raw", "mapped"), metrics=("bleu-4", "rouge-l"), punctuation=True)
    evaluation = evaluate(subject, options, tmp_path, lambda *_: None)
    of_captions = [f.metric for f in evaluation.figures if f.task == CAPTIONS and f.map == "raw"]
    assert of_captions[:2] == ["bleu-4", "rouge-l"]
    report = replace(report_of(subject, evaluation), options=options)
    assert report.judge == "rouge-l"
    assert any("punctuation kept" in note for note in report.notes())
    table = report.as_json()["correlations"]
    assert table["map"] == "mapped"
    assert table["metrics"][:2] == ["bleu-4", "rouge-l"]


def test_what_is_not_known_is_refused_before_any_work() -> None:
    with pytest.raises(InvalidInput, match="unknown caption metric 'cider'"):
        EvaluateOptions(metrics=("cider",))
    with pytest.raises(InvalidInput, match="unknown map 'best'"):
        EvaluateOptions(("best",))
