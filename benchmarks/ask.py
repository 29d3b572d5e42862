"""How often questions about the sample world are answered right, and refused where they must be.

    python -m benchmarks.ask                          # the sample's own text model
    python -m benchmarks.ask --generator consensus    # no model: rules alone
    python -m benchmarks.ask --generator FOLDER       # another one
    python -m benchmarks.ask --split val --everything # what each way to answer is worth
    python -m benchmarks.ask --split val --exact-words # without other words for those asked
    python -m benchmarks.ask --split val --enough .3 .5 .7 # where a file shows what others do

The questions are made from what the scenes hold (`sample/world/questions.py`), half of them about
one picture and half about the collection of all pictures of the split, of which no model has seen a
scene of that meaning unless it is `train`. One picture is asked about twice: as one of the
collection, whose own captions people wrote, and as a file that nobody has described, with the
captions of the others (train and val) and of the sample's memory to go by. The collection is asked
about twice, too: with the captions that people wrote, and with those that mRAG generated.

`nearest` answers with the caption that is found first; `majority` always says what is most often
right for a question of that kind, which it is told.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from time import perf_counter

import numpy as np

from engine.app import Engine, build_engine
from engine.ask import composing
from engine.ask.kinds import KIND_RULES
from engine.ask.prompts import NOT_SAID
from engine.evidence.refiners import REFINEMENTS
from engine.search.gallery import Query
from engine.settings import SAMPLE_PACK, Settings
from evaluation.metrics.intervals import bootstrap
from ingest.filling import fill, specs
from ingest.readers import open_captions, open_source
from mrag_client.answers import GivenPicture, NamedPicture, StoredPicture
from mrag_client.models import AskAnswer, AskOptions
from sample.world.questions import (
    KINDS,
    NO,
    YES,
    Question,
    question_set,
    right,
    truth_of_rows,
)
from service.answering import LocalAnswers
from service.asking import Asking

KNOWN, ASKED, BARE = "known", "asked", "bare"
_BASELINES = ("nearest", "majority")
_ALL = 10_000
"""Pictures of a list that are told: all of them are held against the truth."""


@dataclass(frozen=True)
class Done:
    """A question with what was answered, and whether that is right."""

    question: Question
    way: str
    text: str
    right: bool
    ms: float

    @property
    def refused(self) -> bool:
        """Whether nothing was answered."""
        return NOT_SAID in self.text.lower()


def main() -> None:
    """Make the collections, ask, and print a table for each way to ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="a folder that is kept, made where it is not")
    parser.add_argument("--sample", default="plain", choices=("plain", "postcards"))
    parser.add_argument("--split", default="test", choices=("train", "val", "test"))
    parser.add_argument("--questions", type=int, default=480)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--generator", default="", help="a folder, or consensus")
    parser.add_argument(
        "--everything", action="store_true", help="ask a model first, whatever the question"
    )
    parser.add_argument("--refine", nargs="*", default=(), choices=REFINEMENTS)
    parser.add_argument(
        "--enough",
        nargs="*",
        type=float,
        default=(),
        help="shares of captions of pictures like a file that must say a thing of it",
    )
    parser.add_argument("--exact-words", action="store_true", help="no other words for them")
    parser.add_argument("--wrong", type=int, default=0, help="print so many wrong answers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = args.home or Path(folder)
        given = {"generator": args.generator} if args.generator else {}
        engine = build_engine(Settings(home=home, profile="sample", device="cpu", **given))
        rows = _rows(args.sample, args.split)
        prepare(engine, args.sample, args.split)
        questions = question_set(truth_of_rows(rows), args.seed, args.questions)
        asking = LocalAnswers(engine).asking
        asking = replace(asking, refine=tuple(args.refine), reword=not args.exact_words)
        if args.everything:
            asking = replace(asking, model_first=frozenset(rule.kind for rule in KIND_RULES))
        if args.enough:
            thresholds(asking, questions, args.sample, args.enough)
            engine.close()
            return
        done = [*ask_all(engine, asking, questions, args.sample), *majority(questions)]
        engine.close()
    report(done)
    mistaken = [one for one in done if not one.right and not one.way.endswith(_BASELINES)]
    for one in mistaken[: args.wrong]:
        print(f"{one.way}: {one.question.text} -> {one.text} ({one.question.answer})")


def _rows(sample: str, split: str) -> list[dict[str, object]]:
    lines = (SAMPLE_PACK / sample / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def prepare(engine: Engine, sample: str, split: str) -> None:
    """Fill what is known, and what is asked about, which takes the map of the former."""
    table = SAMPLE_PACK / sample / "captions.jsonl"
    others = frozenset(("train", "val")) - {split}
    captions = open_captions(SAMPLE_PACK / "memory.txt")
    known = chain(open_source(table, split=others), captions)
    fill(engine, known, KNOWN, models=specs(engine, KNOWN))
    asked = open_source(table, split=frozenset((split,)))
    fill(engine, asked, ASKED, models=specs(engine, ASKED), alignment=KNOWN)
    with tempfile.TemporaryDirectory() as folder:
        for at, row in enumerate(_rows(sample, split)):
            path = Path(folder, f"{at:03}.webp")
            path.symlink_to(SAMPLE_PACK / sample / str(row["image"]))
        fill(engine, open_source(Path(folder)), BARE, models=specs(engine, BARE), memory=KNOWN)


def ask_all(
    engine: Engine, asking: Asking, questions: Sequence[Question], sample: str
) -> Iterator[Done]:
    """Ask every question in each way that it can be asked."""
    ids = {
        str(Path(hit.uri).relative_to(SAMPLE_PACK / sample)): hit.id
        for hit in engine.open(ASKED).images.browse(k=_ALL)
    }
    names = {key: name for name, key in ids.items()}
    for question in questions:
        if question.scope == "collection":
            yield from _asked(asking, question, "collection", (), ASKED, names)
            yield from _asked(asking, question, "collection, described by mRAG", (), BARE, names)
            continue
        (picture,) = question.about
        path = SAMPLE_PACK / sample / picture
        stored, file = StoredPicture(ids[picture]), NamedPicture(path.name, path)
        yield from _asked(asking, question, "picture, own captions", (stored,), ASKED, names)
        yield from _asked(asking, question, "picture, undescribed", (file,), KNOWN, names)


def thresholds(
    asking: Asking, questions: Sequence[Question], sample: str, shares: Sequence[float]
) -> None:
    """For each share of captions a row: how often it is right whether a file shows a thing."""
    one_of = [one for one in questions if one.scope == "picture" and one.kind == "existence"]
    print("| enough | right | yes where it is so | no where it is not |")
    print("| --- | --- | --- | --- |")
    kept = composing.ENOUGH
    for share_of in shares:
        composing.ENOUGH = share_of
        done: list[Done] = []
        for question in one_of:
            path = SAMPLE_PACK / sample / question.about[0]
            file = NamedPicture(path.name, path)
            done += _asked(asking, question, "undescribed", (file,), KNOWN, {})
        done = [one for one in done if one.way == "undescribed"]
        cells = [[one for one in done if one.question.answer == answer] for answer in (YES, NO)]
        print(f"| {share_of:g} | {share(done)} | {' | '.join(map(share, cells))} |", flush=True)
    composing.ENOUGH = kept


def _asked(
    asking: Asking,
    question: Question,
    way: str,
    images: Sequence[GivenPicture],
    collection: str,
    names: dict[str, str],
) -> Iterator[Done]:
    options = AskOptions(question=question.text, shown=_ALL)
    began = perf_counter()
    told = asking.ask(options, images, collection)
    spent = (perf_counter() - began) * 1000
    cited = [names.get(one.id, one.id) for one in told.cited]
    yield Done(question, way, told.answer, right(told.answer, question, cited), spent)
    nearest, alone = _nearest(asking.engine, told, "" if images else collection)
    cited = [names.get(one, one) for one in alone]
    yield Done(question, f"{way}: nearest", nearest, right(nearest, question, cited), 0.0)


def _nearest(engine: Engine, told: AskAnswer, searched: str) -> tuple[str, list[str]]:
    """The caption that is found first, for a picture or by a search for the question itself."""
    if not searched:
        first = told.pictures[0]
        return first.captions[0], [first.id]
    opened = engine.open(searched)
    query = Query(told.question)
    (hit,) = opened.gallery.search(query, opened.default_space().space, 1).hits
    return hit.captions[0], [hit.id]


def majority(questions: Sequence[Question]) -> Iterator[Done]:
    """For each question the answer that is most often right for its kind and scope."""
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for one in questions:
        cells[one.kind, one.scope][one.answer] += 1
    for one in questions:
        ((text, _),) = cells[one.kind, one.scope].most_common(1)
        yield Done(one, f"{one.scope}: majority", text, right(text, one, ()), 0.0)


def report(done: Sequence[Done]) -> None:
    """A row for each way to ask, a column for each kind; how often it was refused, and wrongly."""
    print(f"| asked | {' | '.join(KINDS)} | all | wrongly refused | ms |")
    print(f"|{' --- |' * (len(KINDS) + 4)}")
    for way in dict.fromkeys(one.way for one in done):
        part = [one for one in done if one.way == way]
        cells = [share([one for one in part if one.question.kind == kind]) for kind in KINDS]
        answerable = [one for one in part if one.question.kind != "unanswerable"]
        refused = sum(one.refused for one in answerable)
        median = sorted(one.ms for one in part)[len(part) // 2]
        low, high = bootstrap(np.array([float(one.right) for one in part]), seed=0)
        print(
            f"| {way} | {' | '.join(cells)} | {share(part)} "
            f"({low:.3f} to {high:.3f}) | {refused / max(1, len(answerable)):.3f} "
            f"| {median:.0f} |"
        )


def share(part: Sequence[Done]) -> str:
    """The share that is right, and of how many."""
    return f"{sum(one.right for one in part) / len(part):.3f} ({len(part)})" if part else "-"


if __name__ == "__main__":
    main()
