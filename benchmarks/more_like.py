"""More like these, not those: ways to make one search of pictures that are liked and not liked.

    python -m benchmarks.more_like plain postcards

Takes pictures of filled sample collections at random, three or five that are liked and two or five
that are not. Right is a picture whose captions have a word. *Not with*: the liked ones have it
without another word, the others have both. *Only this*: the liked ones have both words, the others
the second alone. Prints for every rule the share of right pictures among the first ten, with its
standard error, and that of pictures with the other word. Scores are those of an exact search; of
Qdrant's ways `average_vector` is the mean minus half of the other, `best_score` and `sum_scores`
are computed as its documentation says.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.app import Collection, build_engine
from engine.settings import read_settings
from engine.types import Vectors
from engine.words import content_words

TRIALS, TOP = 1500, 10
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)
Rows = NDArray[np.int64]
Rule = Callable[[Vectors, Vectors, Vectors], NDArray[Any]]


def less(share: float) -> Rule:
    """The mean of the liked minus that share of the mean of the others."""

    def rule(all_: Vectors, likes: Vectors, unlikes: Vectors) -> NDArray[Any]:
        result: NDArray[Any] = all_ @ (likes.mean(0) - share * unlikes.mean(0))
        return result

    return rule


def best_score(all_: Vectors, likes: Vectors, unlikes: Vectors) -> NDArray[Any]:
    """Qdrant's: the nearest liked picture, or the nearest other one if that is nearer."""
    for_, against = (all_ @ likes.T).max(1), (all_ @ unlikes.T).max(1)
    result: NDArray[Any] = np.where(
        for_ > against, 0.5 * (for_ / (1 + abs(for_)) + 1), -against * against
    )
    return result


def sum_scores(all_: Vectors, likes: Vectors, unlikes: Vectors) -> NDArray[Any]:
    """Qdrant's: all cosines with liked pictures minus all with others."""
    result: NDArray[Any] = (all_ @ likes.T).sum(1) - (all_ @ unlikes.T).sum(1)
    return result


RULES: dict[str, Rule] = {
    **{f"mean - {share:g} mean": less(share) for share in SHARES},
    "best_score": best_score,
    "sum_scores": sum_scores,
}


class World:
    """A collection's pictures, and which of them each word is said of."""

    def __init__(self, collection: Collection) -> None:
        images = collection.images
        hits = images.get(list(images.ids()), with_vectors=True)
        raw = np.stack([hit.vector for hit in hits if hit.vector is not None])
        self.spaces = {"raw": raw, "mapped": collection.alignment.map_images(raw)}
        said = [content_words(" ".join(hit.captions)) for hit in hits]
        counts = Counter(word for words in said for word in words)
        common = [word for word, count in counts.items() if 12 <= count <= len(hits) / 3]
        self.has = np.array([[word in words for word in sorted(common)] for words in said])

    def pairs(self, draw: np.random.Generator) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Words that are often said of the same picture: which pictures have each."""
        for _ in range(TRIALS):
            one = self.has[:, draw.integers(self.has.shape[1])]
            beside = np.flatnonzero((self.has[one].mean(0) > 0.15) & (self.has[one].mean(0) < 0.6))
            if len(beside):
                yield one, self.has[:, draw.choice(beside)]


def measure(world: World, likes: int, unlikes: int) -> dict[tuple[str, str, str], list[Any]]:
    """By task, space and rule the shares of right and of unwanted pictures of each trial."""
    found = defaultdict(list)
    draw = np.random.default_rng(0)
    for one, other in world.pairs(draw):
        tasks = {
            "not with": (one & ~other, one & other, one & ~other),
            "only this": (one & other, ~one & other, one),
        }
        for task, (liked, unliked, right) in tasks.items():
            if liked.sum() < likes + 5 or unliked.sum() < unlikes + 3:
                continue
            chosen = draw.choice(np.flatnonzero(liked), likes, replace=False)
            against = draw.choice(np.flatnonzero(unliked), unlikes, replace=False)
            for space, rows in world.spaces.items():
                for name, rule in RULES.items():
                    scores = rule(rows, rows[chosen], rows[against])
                    scores[[*chosen, *against]] = -np.inf
                    top = np.argsort(-scores)[:TOP]
                    found[task, space, name].append((right[top].mean(), other[top].mean()))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("collections", nargs="+")
    engine = build_engine(read_settings({}))
    for name in parser.parse_args().collections:
        world = World(engine.open(name))
        for likes, unlikes in ((3, 2), (5, 5)):
            for (task, space, rule), rows in measure(world, likes, unlikes).items():
                right, other = np.array(rows).T
                print(
                    f"{name:10} {likes} + {unlikes}  {task:9} {space:6} {rule:16} "
                    f"{right.mean():.3f} ± {right.std() / len(right) ** 0.5:.3f}  "
                    f"{other.mean():.3f}  ({len(right)} trials)"
                )
    engine.close()


if __name__ == "__main__":
    main()
