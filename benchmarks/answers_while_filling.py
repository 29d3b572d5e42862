"""How long an answer waits for the encoder while the same process fills a collection.

    python -m benchmarks.answers_while_filling [--captions 6000] [--every 50] [--rounds 3]

Fills with captions of the sample world's memory and its plain pictures, while somebody asks for
the vector of a text every so many milliseconds, as the app's search does: nobody asking, the
fill past the queue, and the fill in turns with it. Prints medians of the rounds. The models are
the sample's; each way takes its turn in every round, as other work on the machine comes and goes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from statistics import median, quantiles
from threading import Event
from time import perf_counter

import torch

from engine.collection import CollectionFolder
from engine.models.loaded import Models
from engine.settings import SAMPLE_PACK, Settings
from engine.types import Encoder
from ingest.embed import embed
from ingest.readers import open_captions, open_source


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--captions", type=int, default=6000)
    parser.add_argument("--every", type=float, default=50, help="milliseconds between questions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = Settings(profile="sample", device="cpu")
    spec, _ = settings.models()
    ways: dict[str, Callable[[Models], Encoder] | None] = {
        "nobody filling": None,
        "past the queue": lambda models: models.encoder(spec),
        "in turns": lambda models: models.filling_encoder(spec),
    }
    fills: dict[str, list[float]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    models = Models(settings)
    for _ in range(given.rounds):
        fills["nobody asking"].append(fill(models.encoder(spec), given.captions))
        for way, chosen in ways.items():
            with asking(models.batched_encoder(spec), given.every / 1000) as waited:
                if chosen is None:
                    Event().wait(3)
                else:
                    fills[way].append(fill(chosen(models), given.captions))
            waits[way] += waited
    models.close()
    for way, spent in fills.items():
        print(f"{given.captions} captions and 300 pictures, {way}: {median(spent):.2f} s")
    for way, waited in waits.items():
        shares = quantiles(waited, n=20)
        print(f"a text, {way}: p50 {median(waited):.1f} ms, p95 {shares[-1]:.1f} ({len(waited)})")


def fill(encoder: Encoder, captions: int) -> float:
    """Seconds that embedding the captions and the pictures takes."""
    texts = open_captions(SAMPLE_PACK / "memory.txt", limit=captions)
    pictures = open_source(SAMPLE_PACK / "plain" / "captions.jsonl", split=frozenset({"train"}))
    with tempfile.TemporaryDirectory() as home:
        started = perf_counter()
        embed(chain(texts, pictures), encoder, CollectionFolder(Path(home), "filled"))
        return perf_counter() - started


@contextmanager
def asking(encoder: Encoder, every: float) -> Iterator[list[float]]:
    """Ask for the vector of a text again and again; the milliseconds that each took."""
    waited: list[float] = []
    ended = Event()

    def ask() -> None:
        while not ended.wait(every):
            started = perf_counter()
            encoder.encode_texts(["a dog on the beach"])
            waited.append((perf_counter() - started) * 1000)

    with ThreadPoolExecutor(1) as asker:
        asked = asker.submit(ask)
        yield waited
        ended.set()
        asked.result()


if __name__ == "__main__":
    main()
