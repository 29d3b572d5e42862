"""Score 5,000 captions against five references each, beside the bare scorers in the same run.

    python -m benchmarks.caption_metrics

Captions and references are synthetic, with COCO's lengths. The bare scorers are pycocoevalcap's
own classes, called one after the other as its COCOEvalCap does; ours is `score_captions`, which
adds intervals. Rounds alternate, and the table holds the median of each. SPICE is left out
unless `--spice` is given: it takes many times as long as all others together, and the bare one
does not run on Java 15 or newer. The figures of both must agree, or the run fails.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

from evaluation.metrics.caption_metrics import CAPTION_METRICS, score_captions

WORDS = (
    "man woman dog cat horse train bus street table plate pizza kitchen bathroom boy girl "
    "umbrella clock tower giraffe elephant zebra bench park snow beach wave surfboard red "
    "white black brown large small two three several riding standing sitting holding eating "
    "looking walking playing next near under behind"
)
SMALL = ["a", "the", "on", "of", "in", "with", "and", "is", "to", "at"]

Captions = list[str]
References = list[list[str]]
Figures = dict[str, float]


def make(pictures: int, references: int) -> tuple[Captions, References]:
    """Captions of 7 to 15 words; those of one picture share most of their words."""
    rng = random.Random(0)
    texts: list[list[str]] = []
    for _ in range(pictures):
        scene = rng.sample(WORDS.split(), 6)
        texts.append([_sentence(rng, scene) for _ in range(references + 1)])
    return [text[0] for text in texts], [text[1:] for text in texts]


def _sentence(rng: random.Random, scene: list[str]) -> str:
    length = rng.randint(7, 15)
    words = [rng.choice(SMALL if rng.random() < 0.45 else scene) for _ in range(length)]
    return " ".join(words).capitalize() + "."


def bare(captions: Captions, references: References, *, with_spice: bool) -> Figures:
    """The corpus figures by pycocoevalcap's classes, in COCOEvalCap's order."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    tokenizer = PTBTokenizer()
    refs = tokenizer.tokenize(
        {row: [{"caption": text} for text in texts] for row, texts in enumerate(references)}
    )
    texts = tokenizer.tokenize({row: [{"caption": text}] for row, text in enumerate(captions)})
    bleu, _ = Bleu(4).compute_score(refs, texts, verbose=0)
    figures = {f"bleu-{order + 1}": float(figure) for order, figure in enumerate(bleu)}
    figures["meteor"] = float(Meteor().compute_score(refs, texts)[0])
    figures["rouge-l"] = float(Rouge().compute_score(refs, texts)[0])
    figures["cider-d"] = float(Cider().compute_score(refs, texts)[0])
    if with_spice:
        from pycocoevalcap.spice.spice import Spice

        figures["spice"] = float(Spice().compute_score(refs, texts)[0])
    return figures


def ours(captions: Captions, references: References, *, with_spice: bool) -> Figures:
    """The same figures by this project."""
    metrics = [metric for metric in CAPTION_METRICS if with_spice or metric != "spice"]
    result = score_captions(captions, references, metrics)
    if result.missing:
        sys.exit(f"metrics are missing: {result.missing}")
    return {metric: scores.mean for metric, scores in result.scores.items()}


def timed(run: Callable[[], Figures]) -> tuple[float, Figures]:
    """Seconds that a run took, and what it gave."""
    started = perf_counter()
    figures = run()
    return perf_counter() - started, figures


def main() -> None:
    """Read the command line, run in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spice", action="store_true")
    args = parser.parse_args()
    captions, references = make(args.pictures, args.references)
    seconds: dict[str, list[float]] = {"bare scorers": [], "mRAG": []}
    for _ in range(args.rounds):
        took, theirs = timed(lambda: bare(captions, references, with_spice=args.spice))
        seconds["bare scorers"].append(took)
        took, figures = timed(lambda: ours(captions, references, with_spice=args.spice))
        seconds["mRAG"].append(took)
        apart = max(abs(figures[metric] - theirs[metric]) for metric in theirs)
        if apart > 1e-9:
            sys.exit(f"the figures differ by {apart}: {theirs} and {figures}")
    print(f"{args.pictures:,} captions, {args.references} references each\n")
    print("| scorer | median, s | fastest, s |\n| --- | ---: | ---: |")
    for name, took_s in seconds.items():
        print(f"| {name} | {median(took_s):.1f} | {min(took_s):.1f} |")
    ratio = median(seconds["mRAG"]) / median(seconds["bare scorers"])
    print(f"\n{ratio:.2f} times the bare scorers; all figures agree to 9 digits.")


if __name__ == "__main__":
    main()
