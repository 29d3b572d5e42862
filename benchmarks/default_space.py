"""In which space words find most: one word, several words and whole captions, on the samples.

    python -m benchmarks.default_space

Fills a fresh home with both sample collections, as `mrag demo` does, and measures every space
with captions that the search does not know, as the program chooses its default
(`engine.search.default_space`), in three situations: pictures with several captions by people;
the same pictures as if the search knew one caption of each; and as if it knew only what the
program itself writes of them. Prints nDCG@5 and, behind it, the share of queries whose first
find is right. Then what hub correction does at every strength, over the vectors as they are and
over the map, and what it does to put short queries into the form of captions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from engine.alignment.alignment import Alignment
from engine.alignment.hubs import STRENGTHS
from engine.app import Collection, Engine, build_engine
from engine.search.default_space import (
    MEASURED,
    TOP,
    Judged,
    SpaceChoice,
    choose,
    graded_queries,
    judged_pictures,
    measure,
)
from engine.settings import SAMPLE_PACK, Settings
from engine.types import Filters
from ingest import filling
from ingest.readers import open_captions, open_source

COLLECTIONS = ("plain", "postcards")


def fill(engine: Engine) -> None:
    """Both sample collections, with captions of other pictures to borrow from."""
    for name in COLLECTIONS:
        table, memory = SAMPLE_PACK / name / "captions.jsonl", SAMPLE_PACK / "memory.txt"
        for records in (open_source(table), open_captions(memory)):
            filling.fill(engine, records, name, models=filling.specs(engine, name))


def situations(collection: Collection, split: str) -> dict[str, Judged]:
    """The same pictures, of which the search knows more or less."""
    of_split = Filters(splits=frozenset((split,)))
    judged = judged_pictures(collection.images, collection.captions, of_split)
    if judged is None:
        raise RuntimeError(f"{collection.card.name} has too few pictures in split {split}")
    return {
        "several captions each": judged,
        "one caption each": replace(judged, known=[known[:1] for known in judged.known]),
        "described by the program": described(collection, judged),
    }


def described(collection: Collection, judged: Judged) -> Judged:
    """The pictures with one caption each, which the program wrote as if they were new to it."""
    hits = collection.images.get(judged.ids)
    exclude = collection.excluded([hit.payload["sha256"] for hit in hits])
    written = collection.captioner().describe_vectors(judged.images, exclude=exclude)
    texts = [result.caption for result in written]
    rows = collection.encoder.encode_texts(texts)
    vectors = {(at, text): row for at, (text, row) in enumerate(zip(texts, rows, strict=True))}
    return replace(judged, known=[(text,) for text in texts], vectors={**judged.vectors, **vectors})


def chosen(collection: Collection, judged: Judged) -> SpaceChoice:
    """What every space finds, and which is taken."""
    queries = graded_queries(judged)
    found = measure(queries, judged, collection.alignment, collection.encoder)
    choice = choose(queries, found, judged)
    if choice is None:
        raise RuntimeError(f"{collection.card.name} gives too few queries")
    return choice


def print_table(rows: Sequence[tuple[str, str, SpaceChoice]]) -> None:
    """Print one table of all, nDCG first."""
    print(f"nDCG@{TOP} / first find right\n")
    print("| collection | the search knows | space | one word | several | a caption | mean |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |")
    for collection, situation, choice in rows:
        for space in MEASURED:
            scores = choice.scores[space].values()
            cells = " | ".join(f"{score.ndcg:.2f} / {score.first:.2f}" for score in scores)
            name = f"**{space}**" if space == choice.space else space
            mean = f"{choice.mean(space):.2f}"
            print(f"| {collection} | {situation} | {name} | {cells} | {mean} |")
    told = ", ".join(f"{kind} {count}" for kind, count in rows[0][2].queries.items())
    print(f"\n{rows[0][2].pictures} pictures each; queries of the first: {told}")


def print_corrections(engine: Engine, split: str) -> None:
    """What is found with hubs taken off, and with short queries as captions."""
    titles = "collection | vectors | hubs off | as captions | one word | several | a caption | mean"
    print(f"\n| {titles} |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for name in COLLECTIONS:
        collection = engine.open(name)
        judged = situations(collection, split)["several captions each"]
        own = collection.alignment
        for method, made in {"raw": _raw(own), own.method: own}.items():
            for strength in STRENGTHS:
                _print_correction(
                    name, method, replace(made, hub_strength=strength), judged, collection
                )
            plain = replace(made, hub_strength=0.0)
            _print_correction(name, method, plain, judged, collection, as_captions=True)


def _raw(like: Alignment) -> Alignment:
    zeros = np.zeros(like.dim)
    return replace(like, method="raw", mean_image=zeros, mean_text=zeros, matrix=None)


def _print_correction(
    name: str,
    method: str,
    made: Alignment,
    judged: Judged,
    collection: Collection,
    *,
    as_captions: bool = False,
) -> None:
    queries = graded_queries(judged)
    found = measure(queries, judged, made, collection.encoder, as_captions=as_captions)["mapped"]
    cells = " | ".join(f"{ndcg.mean():.3f} / {first.mean():.2f}" for ndcg, first in found.values())
    mean = np.mean([ndcg.mean() for ndcg, _ in found.values()])
    form = "yes" if as_captions else ""
    print(f"| {name} | {method} | {made.hub_strength:g} | {form} | {cells} | {mean:.3f} |")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--split", default="test", help="pictures that are searched")
    split = parser.parse_args().split
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as home:
        engine = build_engine(Settings(home=Path(home), profile="sample", device="cpu"))
        fill(engine)
        rows = [
            (name, situation, chosen(engine.open(name), judged))
            for name in COLLECTIONS
            for situation, judged in situations(engine.open(name), split).items()
        ]
        print_table(rows)
        print_corrections(engine, split)
        started = perf_counter()
        kept = engine.open(COLLECTIONS[0]).default_space()
        print(f"the program's own choice: {kept.space}, in {perf_counter() - started:.2f} s")
        engine.close()


if __name__ == "__main__":
    main()
