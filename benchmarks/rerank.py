"""Whether a reranker puts the better pictures first, and what it costs.

    python -m benchmarks.rerank
    python -m benchmarks.rerank --searches 200
    python -m benchmarks.rerank --split val
    python -m benchmarks.rerank --generator FOLDER --reranker FOLDER
    python -m benchmarks.rerank --costs

On both sample collections, filled as `mrag demo` does. Searched for is what scenes of a split
hold: a word (a thing), a phrase (so many of it, and where), and a caption of a wording of its
own. A picture is graded 2 where all that the search says holds, 1 where one of its things is there
but something else is not so, 0 otherwise. nDCG@10 by ir-measures with the bootstrap's 95 %
interval over searches, and what reranking the first 50 of the default space adds to it, on the
same searches: within the two parts, likely and not, as the program does it, and across them.
`best order` is what a judge who knows the grades would reach. Without a time limit.

How far a list's order decides: what the letters' places get where captions are drawn at random,
and what comes of lists in the reverse order.

`--costs` measures random weights of real size instead: flan-t5-base on 20 captions of 12 words,
BLIP (ViT-B/16 at 384 pixels over BERT-base) on pictures. Times are of a processor, which other
work on the machine changes little.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from string import ascii_uppercase
from time import process_time
from typing import Any

import numpy as np
from ir_measures import Qrel, ScoredDoc, iter_calc, nDCG
from PIL import Image

from benchmarks.default_space import COLLECTIONS, fill
from benchmarks.real_size_generators import build_in_own_process
from engine.app import Collection, Engine, build_engine
from engine.models.device import Precision
from engine.models.generator import load_generator
from engine.models.image_text_matching import load_matcher
from engine.rerank.budget import Budget
from engine.rerank.judging import order
from engine.rerank.listwise import WINDOW
from engine.rerank.prompts import LISTED, LISTWISE
from engine.rerank.reading import captions_of, reading
from engine.search.gallery import Query
from engine.search.reranked import SearchReranker
from engine.settings import SAMPLE_PACK, Settings
from engine.types import Chooser, ImageHit, RerankMethod, Vectors
from evaluation.metrics.intervals import bootstrap, paired
from sample.world.captions import NUMBERS, caption
from sample.world.places import PLACES
from sample.world.reading import read_caption, read_truth
from sample.world.scenes import Group, Meaning, Scene
from sample.world.splits import SPLITS
from sample.world.things import THINGS, plural, with_article

TOP, SEED = 50, 7
READ, SEEN = 20, 4
"""Captions and pictures that costs are measured on."""
AT = nDCG @ 10
UNHURRIED = Budget(TOP, 1e6)
_THINGS = {thing.name: thing for thing in THINGS}
_PLACES = {place.name: place for place in PLACES}


@dataclass(frozen=True)
class Asked:
    """A search, and what it says: a count of 0 is any, no place is any."""

    kind: str
    text: str
    wanted: Meaning

    def grade(self, truth: Meaning) -> int:
        """How well a picture of this truth fits."""
        held = dict(truth.things)
        there = [name in held for name, _ in self.wanted.things]
        right = all(count in {0, held.get(name)} for name, count in self.wanted.things)
        if all(there) and right and self.wanted.place in {"", truth.place}:
            return 2
        return int(any(there))


@dataclass(frozen=True)
class Told:
    """What a search found, in the order of each method, and what each took."""

    asked: Asked
    orders: dict[str, list[str]]
    seconds: dict[str, float]
    items: int


def searches(rows: Sequence[Mapping[str, Any]], each: int, split: str) -> list[Asked]:
    """So many of each kind, of what scenes of the split hold.

    Of more than there are scenes these come again, for another of their things or wordings.
    """
    rng = Random(SEED)
    truths = [row["truth"] for row in rows if row["split"] == split]
    found = []
    chosen: list[Any] = []
    while len(chosen) < each:
        chosen += rng.sample(truths, min(each - len(chosen), len(truths)))
    for truth in chosen:
        name, count = rng.choice(sorted(truth["things"].items()))
        place = _PLACES[truth["place"]]
        found.append(Asked("word", name, Meaning(frozenset({(name, 0)}), "")))
        some = f"{NUMBERS[count]} {plural(name)}" if count > 1 else with_article(name)
        wanted = Meaning(frozenset({(name, count)}), place.name)
        found.append(Asked("phrase", f"{some} {rng.choice(place.phrases)}", wanted))
        groups = tuple(Group(_THINGS[one], many) for one, many in truth["things"].items())
        text = caption(Scene(groups, place, truth["relation"]), rng)
        found.append(Asked("caption", text, read_caption(text)))
    return found


def told(
    collection: Collection,
    asked: Sequence[Asked],
    truths: Mapping[str, Meaning],
    rerankers: Mapping[str, SearchReranker],
) -> Iterator[Told]:
    """Search for each, and rerank what is found."""
    space = collection.default_space().space
    for one in asked:
        result = collection.gallery.search(Query(one.text), space, 2 * TOP)
        hits, rest = result.hits[:TOP], [hit.uri for hit in result.hits[TOP:]]
        likely = [] if result.likely is None else [min(result.likely, len(hits))]
        ideal = [float(one.grade(truths[hit.uri])) for hit in hits]
        orders = {"off": [hit.uri for hit in result.hits]}
        seconds = {}
        scored: dict[str, Sequence[float | None]] = {"best order": ideal}
        for name, reranker in rerankers.items():
            began = process_time()
            scored[name] = reranker.judging.judge(one.text, hits, UNHURRIED).scores
            seconds[name] = process_time() - began
        for name, scores in scored.items():
            for told_as, parts in ((name, likely), (f"{name}, across", [])):
                orders[told_as] = [hits[i].uri for i in order(scores, parts)] + rest
        if "listwise" in rerankers:
            again = rerankers["listwise"].judging.judge(one.text, hits[::-1], UNHURRIED)
            reverse = order(again.scores, [len(hits) - part for part in likely])
            orders["listwise, reversed"] = [hits[::-1][i].uri for i in reverse]
            orders["listwise, reversed"] = _parts_back(orders["listwise, reversed"], likely) + rest
        yield Told(one, orders, seconds, len(hits))


def _parts_back(uris: list[str], likely: list[int]) -> list[str]:
    """What is likely first again, after both parts came in the reverse order."""
    first = likely[0] if likely else 0
    return uris[len(uris) - first :] + uris[: len(uris) - first]


def ndcg(found: Sequence[Told], truths: Mapping[str, Meaning], method: str) -> np.ndarray:
    """nDCG@10 of each search."""
    qrels = [
        Qrel(str(i), uri, grade)
        for i, one in enumerate(found)
        for uri, truth in truths.items()
        if (grade := one.asked.grade(truth))
    ]
    run = [
        ScoredDoc(str(i), uri, -rank)
        for i, one in enumerate(found)
        for rank, uri in enumerate(one.orders[method])
    ]
    values = {metric.query_id: metric.value for metric in iter_calc([AT], qrels, run)}
    return np.array([values[str(i)] for i in range(len(found))])


def rows(name: str, found: Sequence[Told], truths: Mapping[str, Meaning]) -> Iterator[str]:
    """The table's rows of one collection."""
    for kind in (*dict.fromkeys(one.asked.kind for one in found), "all"):
        own = [one for one in found if kind in {one.asked.kind, "all"}]
        before = ndcg(own, truths, "off")
        for method in own[0].orders:
            values = ndcg(own, truths, method)
            low, high = bootstrap(values, seed=SEED)
            cells = f"{values.mean():.3f} ({low:.3f} to {high:.3f})"
            gain = paired(values, before, seed=SEED)
            added = f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
            spent = [one.seconds[method] for one in own if method in one.seconds]
            items = sum(one.items for one in own)
            cost = f"{1000 * median(spent):.0f}, {1000 * sum(spent) / items:.1f}" if spent else ""
            yield f"| {name} | {kind}, {len(own)} | {method} | {cells} | {added} | {cost} |"


def letters(collection: Collection, asked: Sequence[Asked]) -> str:
    """The share of likelihood that each place of a list of random captions gets."""
    rng = Random(SEED)
    texts = [hit.captions[0] for hit in collection.images.get(list(collection.images.ids()))]
    sums = np.zeros(WINDOW)
    for one in asked:
        lines = rng.sample(texts, WINDOW)
        listed = "\n".join(
            LISTED.format(letter=letter, caption=line)
            for letter, line in zip(ascii_uppercase, lines, strict=False)
        )
        prompt = LISTWISE.format(query=one.text, captions=listed)
        sums += np.exp(collection.chooser.likelihoods([prompt], tuple(ascii_uppercase[:WINDOW]))[0])
    shares = sums / len(asked)
    each = zip(ascii_uppercase, shares, strict=False)
    shown = ", ".join(f"{letter} {share:.0%}" for letter, share in each)
    return f"shares of letters over random lists of {WINDOW} (5 % each without bias): {shown}"


def qualities(engine: Engine, each: int, split: str) -> None:
    """Print what reranking adds on the sample collections."""
    methods: list[RerankMethod] = ["pointwise", "listwise"]
    methods += ["picture"] if engine.settings.reranker else []
    print("| collection | search | order | nDCG@10 | beside off | ms a search, an item |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in COLLECTIONS:
        collection = engine.open(name)
        lines = (SAMPLE_PACK / name / "captions.jsonl").read_text(encoding="utf-8").splitlines()
        table = [json.loads(line) for line in lines]
        known = {str(SAMPLE_PACK / name / row["image"]): read_truth(row["truth"]) for row in table}
        there = collection.images.get(list(collection.images.ids()))
        truths = {hit.uri: known[hit.uri] for hit in there}
        rerankers: dict[str, SearchReranker] = {
            method: made
            for method in methods
            if (made := collection.search_reranker(method, UNHURRIED))
        }
        asked = searches(table, each, split)
        found = list(told(collection, asked, truths, rerankers))
        for row in rows(name, found, truths):
            print(row, flush=True)
        print(letters(collection, asked), flush=True)


def build_blip(folder: Path) -> None:
    """blip-itm-base with random weights: its sizes, and its files."""
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForImageTextRetrieval,
        BlipImageProcessor,
        BlipProcessor,
    )

    vision = {"image_size": 384, "patch_size": 16}
    BlipForImageTextRetrieval(BlipConfig(vision_config=vision)).save_pretrained(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word: i for i, word in enumerate([*special, *(f"w{i}" for i in range(30519))])}
    images = BlipImageProcessor(size={"height": 384, "width": 384})
    BlipProcessor(images, BertTokenizer(vocab=words)).save_pretrained(folder)


def costs() -> None:
    """Print what models of real size take, in medians of three."""
    rng = Random(SEED)
    said = [" ".join(f"w{rng.randrange(30000)}" for _ in range(12)) for _ in range(READ)]
    with tempfile.TemporaryDirectory() as parent:
        t5, blip = Path(parent) / "t5", Path(parent) / "blip"
        build_in_own_process("base", t5)
        build_blip(blip)
        precisions: tuple[Precision, ...] = ("bf16", "fp32")
        for precision in precisions:
            _cost_of_looking(blip, precision, said)
            _cost_of_reading(t5, precision, said)


class _OfMadeUpWords:
    """A chooser whose tokenizer knows words as w1 alone: others stand for the answers."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self.id, self.max_input_tokens = chooser.id, chooser.max_input_tokens
        self.count_tokens = chooser.count_tokens

    def likelihoods(self, prompts: list[str], choices: Sequence[str]) -> Vectors:
        """As of the chooser, for as many answers."""
        return self._chooser.likelihoods(prompts, [f"w{i}" for i in range(len(choices))])


def _cost_of_reading(folder: Path, precision: Precision, said: Sequence[str]) -> None:
    chooser = _OfMadeUpWords(load_generator(str(folder), precision=precision))
    hits = [ImageHit(str(i), "", "", 0.0, (text,)) for i, text in enumerate(said)]
    for method in ("pointwise", "listwise"):
        judging = reading(method, chooser, captions_of)
        took = _median(partial(judging.judge, said[0], hits, UNHURRIED))
        print(_cost(f"flan-t5-base, {precision}", judging.name, took), flush=True)


def _cost_of_looking(folder: Path, precision: Precision, said: Sequence[str]) -> None:
    matcher = load_matcher(str(folder), precision=precision)
    noise = np.random.default_rng(SEED).integers(0, 256, (SEEN, 480, 640, 3), np.uint8)
    images = [Image.fromarray(pixels) for pixels in noise]
    for what, pairs in {
        "pictures for words": [(image, said[0]) for image in images],
        "captions for a picture": [(images[0], text) for text in said],
    }.items():
        took = _median(partial(matcher.match, pairs))
        print(_cost(f"blip-itm-base, {precision}", what, took, len(pairs)), flush=True)


def _median(run: Callable[[], object]) -> float:
    spent = []
    for _ in range(3):
        began = process_time()
        run()
        spent.append(process_time() - began)
    return median(spent)


def _cost(model: str, what: str, seconds: float, items: int = READ) -> str:
    each = 1000 * seconds / items
    return f"| {model} | {what}, {items} | {1000 * seconds:,.0f} ms | {each:.1f} ms |"


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--searches", type=int, default=40, help="of each kind")
    parser.add_argument("--split", default="test", choices=SPLITS, help="whose scenes are sought")
    parser.add_argument("--home", type=Path, help="home that has the samples, or gets them")
    parser.add_argument("--generator", default="", help="name or folder; the sample's without it")
    parser.add_argument("--reranker", default="", help="BLIP by name or folder")
    parser.add_argument("--costs", action="store_true", help="of models of real size, alone")
    given = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if given.costs:
        costs()
        return
    with ExitStack() as stack:
        home = given.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(
            home=home,
            profile="sample",
            device="cpu",
            generator=given.generator,
            reranker=given.reranker,
        )
        engine = build_engine(settings)
        stack.callback(engine.close)
        if set(COLLECTIONS) - set(engine.names()):
            fill(engine)
        qualities(engine, given.searches, given.split)


if __name__ == "__main__":
    main()
