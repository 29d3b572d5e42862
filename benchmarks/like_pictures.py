"""Pictures that are like a picture, with hubs taken off and without: 500 COCO pictures, ViT-B/16.

    python -m benchmarks.like_pictures
    python -m benchmarks.like_pictures --folder FOLDER

The folder is as `benchmarks.real_vectors` takes it, with `rows.jsonl`. A picture is as right for
another one as their captions, of five people each, share words: the rarer a word the more it
counts. Each picture looks among all others; hubs are told by all other pictures, or by all captions
but its own. Prints nDCG@5, with the standard error of the paired difference to no correction.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.real_vectors import FOLDER, HUB_STRENGTHS, read_rows
from engine.alignment.hubs import nearness
from engine.vectors import unit
from engine.words import content_words

TOP = 5
Values = NDArray[np.floating]


def likeness(captions: list[list[str]]) -> Values:
    """How right each picture is for each, (n, n): the share of words, by rarity, that both have."""
    said = [{word for text in texts for word in content_words(text)} for texts in captions]
    having = Counter(word for words in said for word in words)
    rarity = {word: log(len(said) / count) for word, count in having.items()}

    def weight(words: set[str]) -> float:
        return sum(rarity[word] for word in words)

    gains = np.array([[weight(a & b) / max(weight(a | b), 1e-9) for b in said] for a in said])
    np.fill_diagonal(gains, 0)
    return gains


def ndcg(scores: Values, gains: Values) -> Values:
    """That of the first TOP of each row but the picture itself, (n,)."""
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    found = np.take_along_axis(gains, np.argsort(-others, axis=1)[:, :TOP], axis=1)
    return np.asarray(found @ discounts / (np.sort(gains, axis=1)[:, : -TOP - 1 : -1] @ discounts))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the vectors are")
    folder: Path = parser.parse_args().folder
    rows = read_rows(folder)
    if not rows:
        sys.exit(f"there is no rows.jsonl in {folder}; name a folder that has it with --folder")
    gains = likeness([row["captions"] for row in rows])
    vectors = [
        unit(np.load(folder / f"{kind}_features.npy").astype(np.float32))
        for kind in ("image", "text")
    ]
    own = np.arange(1, len(rows) + 1, dtype=np.uint64)
    print(f"| vectors | hubs told by | hubs off | nDCG@{TOP} | minus 0 |")
    print("| --- | --- | ---: | ---: | --- |")
    for name in ("raw", "centred"):
        means = [part.mean(axis=0) if name == "centred" else 0 for part in vectors]
        pictures, captions = (unit(v - mean) for v, mean in zip(vectors, means, strict=True))
        cosines = pictures @ pictures.T
        plain = ndcg(cosines, gains)
        for told, bank in (("pictures", pictures), ("captions", captions)):
            near = nearness(pictures, bank, own, own)
            for strength in HUB_STRENGTHS:
                found = ndcg(cosines - strength * np.asarray(near), gains)
                gain, error = (found - plain).mean(), (found - plain).std() / len(rows) ** 0.5
                print(
                    f"| {name} | {told} | {strength:g} | {found.mean():.3f} "
                    f"| {gain:+.4f} (standard error {error:.4f}) |"
                )


if __name__ == "__main__":
    main()
