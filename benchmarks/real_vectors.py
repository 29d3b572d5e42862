"""What the maps and the extras do on real CLIP vectors: 500 COCO pictures, ViT-B/16, or yours.

    python -m benchmarks.real_vectors
    python -m benchmarks.real_vectors --folder FOLDER --hubs

A folder holds `image_features.npy` and `text_features.npy`, (n, dim) each, whose rows are pairs,
and, where captions are to be described from, `rows.jsonl` with `image_id`, `embedded_caption` and
`captions`, those of five people. `--hubs` prints the table of the hub correction alone.

Five folds: each is held out in turn, and maps, clusters and banks are made on the other four.
Ranks are among the pairs of the fold. What is chosen (a strength, a weight) is chosen on
the first two folds and then looked at on the other three. Differences are paired over
pictures, with their bootstrap 95 % interval. Captions are retrieved, never written: the vectors
are there, the pictures and the encoder are not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus.captions import CaptionTable
from corpus.examples import Examples
from engine.alignment.alignment import GapMap
from engine.alignment.closed_form import METHODS, AnyMethod
from engine.alignment.hubs import NEIGHBOURS, Hubs, nearness
from engine.describe.reranking import worth
from engine.describe.retriever import Retriever
from engine.identity import PictureIdentity
from engine.store.paging import RRF_K
from engine.types import CaptionHit, DescribeSpace, Vectors
from engine.vectors import unit
from evaluation.ablation.grid import SHARES, MapChoice
from evaluation.ablation.study import fit_map, orthogonality
from evaluation.corrected import bank_of
from evaluation.matrix_captions import MatrixCaptions
from evaluation.metrics.caption_metrics import score_captions
from evaluation.metrics.intervals import paired
from evaluation.metrics.ranking import Judgements, rank

FOLDER = Path(__file__).parents[2] / "shared" / "reference" / "clip_vectors"
FOLDS = 5
CHOOSING = 2
"""So many folds choose, the others confirm."""

HUB_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

Values = NDArray[np.float64]
Both = tuple[Values, Values]
"""Scores picture to caption and caption to picture, (n, n) each, row the query."""


@dataclass(frozen=True)
class Fold:
    """Held-out pairs, and the pairs to learn from."""

    training: Examples
    held_out: Examples


@dataclass(frozen=True)
class Found:
    """One setting on all held-out pairs, fold after fold: (500,) each."""

    name: str
    to_caption: Values
    to_picture: Values
    hit_caption: Values
    hit_picture: Values

    @property
    def mrr(self) -> Values:
        """The mean reciprocal rank of a pair, both ways."""
        return (self.to_caption + self.to_picture) / 2


Score = Callable[[Fold], Both]


def read_folds(folder: Path) -> list[Fold]:
    """The folds, in the order that the reference figures were measured with."""
    images, captions = (
        unit(np.load(folder / f"{kind}_features.npy").astype(np.float32))
        for kind in ("image", "text")
    )
    rows = read_rows(folder)
    ids = tuple(str(row["image_id"]) for row in rows) or tuple(map(str, range(len(images))))
    said = tuple((row["embedded_caption"],) for row in rows) or tuple((one,) for one in ids)
    every = Examples(
        tuple(PictureIdentity(names=frozenset({one})) for one in ids),
        ids,
        ids,
        ("",) * len(ids),
        said,
        images,
        captions,
        np.arange(len(ids), dtype=np.int64),
    )
    parts = np.array_split(np.random.default_rng(0).permutation(len(ids)), FOLDS)
    return [
        Fold(every.take(np.concatenate([p for p in parts if p is not part])), every.take(part))
        for part in parts
    ]


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """What is told of each pair; nothing where the folder has vectors alone."""
    file = folder / "rows.jsonl"
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def look(name: str, folds: Sequence[Fold], score: Score) -> Found:
    """Rank each fold's pairs by a setting."""
    columns: list[list[Values]] = [[], [], [], []]
    for fold in folds:
        there, back = (_ranked(scores) for scores in score(fold))
        found = (there["rr"], back["rr"], there["hit@1"], back["hit@1"])
        for column, values in zip(columns, found, strict=True):
            column.append(values)
    return Found(name, *(np.concatenate(column) for column in columns))


def _ranked(scores: Values) -> dict[str, Values]:
    n = len(scores)
    own = np.arange(n, dtype=np.int64)
    return rank(scores.astype(np.float32), np.eye(n, dtype=np.float32), Judgements.of(own, own, n))


class Maps:
    """Maps by fold and choice, each fitted once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, MapChoice], GapMap] = {}

    def get(self, fold: Fold, choice: MapChoice) -> GapMap:
        """The map of the fold's training pairs."""
        key = (id(fold), choice)
        if key not in self._made:
            self._made[key] = fit_map(fold.training, choice)
        return self._made[key]

    def cosines(self, choice: MapChoice) -> Score:
        """Score pairs by their cosine under a map."""

        def score(fold: Fold) -> Both:
            images, captions = self.held_out(fold, choice)
            cosines = np.asarray(images @ captions.T, np.float64)
            return cosines, cosines.T

        return score

    def corrected(
        self, choice: MapChoice, strength: float | None, neighbours: int = NEIGHBOURS
    ) -> Score:
        """Score pairs by their cosine less what hubs owe to a bank of the training pairs.

        Without a strength at the one that the map chose.
        """

        def score(fold: Fold) -> Both:
            images, captions = self.held_out(fold, choice)
            made = self.get(fold, choice)
            seen = nearness(captions, made.map_images(fold.training.images), None, None, neighbours)
            said = nearness(images, made.map_texts(fold.training.captions), None, None, neighbours)
            cosines = np.asarray(images @ captions.T, np.float64)
            taken_off = made.hub_strength if strength is None else strength
            if seen is None or said is None or not taken_off:
                return cosines, cosines.T
            return cosines - taken_off * seen, cosines.T - taken_off * said

        return score

    def fused(self, choices: Sequence[MapChoice]) -> Score:
        """Score pairs by the sum of their reciprocal ranks under several maps."""

        def score(fold: Fold) -> Both:
            both = [self.cosines(choice)(fold) for choice in choices]
            there, back = (sum(_fusable(s[way]) for s in both) for way in (0, 1))
            return np.asarray(there), np.asarray(back)

        return score

    def held_out(self, fold: Fold, choice: MapChoice) -> tuple[Vectors, Vectors]:
        """The fold's pictures and captions, mapped."""
        made = self.get(fold, choice)
        return made.map_images(fold.held_out.images), made.map_texts(fold.held_out.captions)


def _fusable(scores: Values) -> Values:
    ranks = (-scores).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") + 1
    return np.asarray(1 / (RRF_K + ranks))


def print_ranking(title: str, found: Iterable[Found], base: Found) -> None:
    """One line a setting, its MRR held to that of `base` on the same pairs."""
    print(f"\n### {title}\n")
    print(f"| setting | R@1 to caption | R@1 to picture | MRR | MRR minus {base.name} |")
    print("| --- | --- | --- | --- | --- |")
    for one in found:
        figures = (one.hit_caption.mean(), one.hit_picture.mean(), one.mrr.mean())
        cells = " | ".join(f"{figure:.3f}" for figure in figures)
        print(f"| {one.name} | {cells} | {_difference(one.mrr, base.mrr)} |")


def _difference(values: Values, base: Values) -> str:
    if np.array_equal(values, base):
        return "0"
    found = paired(values, base, seed=0)
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def print_choice(title: str, tried: Sequence[tuple[str, Values]], base: Values, folds: int) -> None:
    """What the first folds choose, and what the others say of it."""
    split = len(base) * CHOOSING // folds
    best = max(tried, key=lambda one: one[1][:split].mean())
    print(
        f"\n{title}: the choosing folds take **{best[0]}** "
        f"({_difference(best[1][:split], base[:split])}); the other folds say "
        f"{_difference(best[1][split:], base[split:])}."
    )


def maps_and_shares(folds: Sequence[Fold], maps: Maps, raw: Found) -> None:
    """The papers' table: map method by share of the pairs."""
    found = [raw]
    methods: list[AnyMethod] = ["auto", *(m for m in METHODS if m != "raw")]
    for method in methods:
        for share in SHARES:
            choice = MapChoice(method, share)
            found.append(look(f"{method}, {share:.3g}", folds, maps.cosines(choice)))
    print_ranking("Maps, and the share of 400 pairs they are fitted on", found, raw)


def centring(folds: Sequence[Fold], maps: Maps, raw: Found) -> None:
    """With and without centring, and how far W is from orthogonal."""
    found = [raw]
    for method in METHODS[1:]:
        for centred in (True, False):
            choice = MapChoice(method, centring=centred)
            apart = np.mean([orthogonality(maps.get(fold, choice)) or 0 for fold in folds])
            name = f"{method}, {'centred' if centred else 'not centred'}, norm(W'W - I) {apart:.2f}"
            found.append(look(name, folds, maps.cosines(choice)))
    print_ranking("Centring and orthogonality, all pairs", found, raw)


def extras(folds: Sequence[Fold], maps: Maps, method: AnyMethod) -> None:
    """Neighbours of the hub correction, fusion with raw, and clusters, on top of one map."""
    choice = MapChoice(method)
    base = look(method, folds, maps.cosines(choice))
    hubs = [
        look(f"{taken_off:g} of {k}", folds, maps.corrected(choice, taken_off, k))
        for k in (1, 4, 16, 64)
        for taken_off in HUB_STRENGTHS[1:]
    ]
    print_ranking(f"Hub correction and its neighbours, {method}", [base, *hubs], base)
    print_choice("Hub correction", [(f.name, f.mrr) for f in hubs], base.mrr, len(folds))
    others: list[Found] = []
    if method != "raw":
        others.append(look("fused with raw", folds, maps.fused([MapChoice("raw"), choice])))
        for clusters in (2, 4, 8):
            for prior in (0.1, 1.0, 10.0):
                local = MapChoice(method, clusters=clusters, prior=prior)
                name = f"{clusters} clusters, prior {prior:g}"
                others.append(look(name, folds, maps.cosines(local)))
        print_ranking(f"Fusion and clusters, {method}", [base, *others], base)
        print_choice("Clusters", [(f.name, f.mrr) for f in others[1:]], base.mrr, len(folds))


def hub_correction(folds: Sequence[Fold], maps: Maps) -> None:
    """Each map at each strength, held to the same map without; and what the program chooses."""
    print("\n### Hub correction: what is taken off for being near to everything\n")
    print("| map | hub correction | R@1 to caption | R@1 to picture | MRR | MRR minus 0 |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    methods: tuple[AnyMethod, ...] = ("raw", "centred", "shrink")
    for method in methods:
        choice = MapChoice(method)
        base = look(method, folds, maps.corrected(choice, 0.0))
        for strength in HUB_STRENGTHS:
            found = look(method, folds, maps.corrected(choice, strength))
            print(_hub_row(method, f"{strength:g}", found, base))
    auto = MapChoice("auto")
    base = look("auto", folds, maps.corrected(auto, 0.0))
    taken = [maps.get(fold, auto) for fold in folds]
    told = ", ".join(f"{made.method} {made.hub_strength:g}" for made in taken)
    print(_hub_row("**auto**", "auto", look("auto", folds, maps.corrected(auto, None)), base))
    print(f"\nauto took, fold by fold: {told}.")


def _hub_row(method: str, strength: str, found: Found, base: Found) -> str:
    figures = (found.hit_caption.mean(), found.hit_picture.mean(), found.mrr.mean())
    cells = " | ".join(f"{figure:.3f}" for figure in figures)
    return f"| {method} | {strength} | {cells} | {_difference(found.mrr, base.mrr)} |"


def describing(folds: Sequence[Fold], maps: Maps, references: Sequence[Sequence[str]]) -> None:
    """Describe each held-out picture by one caption of the training pictures."""
    tried: list[tuple[str, Values]] = []
    spaces: tuple[DescribeSpace, ...] = ("raw", "mapped", "fused")
    for place in spaces:
        for k, weight in [(1, 0.0), *((k, w) for k in (4, 8, 16) for w in (0.25, 0.5, 0.75, 1.0))]:
            name = f"{place}, nearest" if k == 1 else f"{place}, k {k}, consensus {weight}"
            tried.append((name, _cider(folds, maps, references, place, k, weight, 0.0)))
    for strength in (0.25, 0.5):
        space: DescribeSpace = "mapped"
        name = f"{space}, nearest, hub correction {strength}"
        tried.append((name, _cider(folds, maps, references, space, 1, 0.0, strength)))
    base = tried[0][1]
    print("\n### Described by a caption of another picture (CIDEr-D, five references each)\n")
    print("The map is `shrink`.\n")
    print("| setting | CIDEr-D | minus raw, nearest |\n| --- | --- | --- |")
    for name, values in tried:
        print(f"| {name} | {values.mean():.3f} | {_difference(values, base)} |")
    print_choice("Held to raw, nearest", tried[1:], base, len(folds))
    nearest = dict(tried)["mapped, nearest"]
    others = [one for one in tried[1:] if not one[0].startswith("raw") and one[1] is not nearest]
    print_choice("Held to mapped, nearest", others, nearest, len(folds))


def _cider(
    folds: Sequence[Fold],
    maps: Maps,
    references: Sequence[Sequence[str]],
    space: DescribeSpace,
    k: int,
    weight: float,
    strength: float,
) -> Values:
    chosen: list[str] = []
    for fold in folds:
        made = maps.get(fold, MapChoice("shrink"))
        training = fold.training
        texts = tuple(said for (said,) in training.references)
        index = MatrixCaptions(
            CaptionTable(texts, training.captions, tuple(p.key for p in training.pictures)),
            made,
            Hubs(bank_of(training), made),
        )
        finder = Retriever([index], made, hub_strength=strength)
        images = fold.held_out.images
        if space == "fused":
            found = finder.nearest_fused(images, k, per_image=1)
        else:
            found = finder.nearest(finder.query_vectors(images, space), space, k, per_image=1)
        chosen += [_agreed(hits, made, space, weight) for hits in found]
    return score_captions(chosen, references, ("cider-d",)).scores["cider-d"].values


def _agreed(hits: list[CaptionHit], made: GapMap, space: DescribeSpace, weight: float) -> str:
    rows = np.stack([hit.vector for hit in hits if hit.vector is not None])
    vectors = rows if space == "raw" else made.map_texts(rows)
    likeness = np.array([hit.score for hit in hits])
    return hits[int(np.argmax(worth(likeness, vectors, vectors, likeness, weight)))].text


def main() -> None:
    """Print all tables, or that of the hub correction."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the vectors are")
    parser.add_argument("--hubs", action="store_true", help="the hub correction alone")
    options = parser.parse_args()
    folder: Path = options.folder
    if not (folder / "image_features.npy").is_file():
        sys.exit(f"there are no CLIP vectors in {folder}; name their folder with --folder")
    folds, maps = read_folds(folder), Maps()
    count = sum(len(fold.held_out) for fold in folds)
    print(f"{count:,} pairs of {folder.name}, {folds[0].training.images.shape[1]} dimensions")
    hub_correction(folds, maps)
    if options.hubs:
        return
    raw = look("raw", folds, maps.cosines(MapChoice("raw")))
    maps_and_shares(folds, maps, raw)
    centring(folds, maps, raw)
    extras(folds, maps, "raw")
    extras(folds, maps, "shrink")
    people = {str(row["image_id"]): row["captions"] for row in read_rows(folder)}
    if people:
        held_out = [people[image_id] for fold in folds for image_id in fold.held_out.image_ids]
        describing(folds, maps, held_out)


if __name__ == "__main__":
    main()
