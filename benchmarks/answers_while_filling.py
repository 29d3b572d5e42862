"""How long an answer waits for the encoder while the same process fills a collection.

    python -m benchmarks.answers_while_filling [--captions 6000] [--every 50] [--rounds 3]

Fills with captions of the sample world's memory and its plain pictures, while somebody asks for
the vector of a text every so many milliseconds, as the app's search does: the fill past the
queue, and in turns with it. The same fills with nobody asking tell what cutting them into pieces
costs. Prints medians of the rounds; CPU seconds, the answers' among them, depend less on what
else the machine does. The models are the sample's; each way has its turn in every round.
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
from time import perf_counter, process_time

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
    fills: dict[str, list[tuple[float, float]]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    models = Models(settings)
    for _ in range(given.rounds):
        models.batched_encoder(spec).encode_texts(["somebody is there"])
        for way, chosen in ways.items():
            if chosen is not None:
                fills[f"{way}, nobody asking"].append(fill(chosen(models), given.captions))
        for way, chosen in ways.items():
            with asking(models.batched_encoder(spec), given.every / 1000) as waited:
                if chosen is None:
                    Event().wait(3)
                else:
                    fills[way].append(fill(chosen(models), given.captions))
            waits[way] += waited
    models.close()
    print(f"{given.captions} captions and 300 pictures:")
    for way, spent in fills.items():
        wall, cpu = (median(seconds) for seconds in zip(*spent, strict=True))
        print(f"the fill, {way}: {wall:.2f} s, {cpu:.2f} of CPU")
    for way, waited in waits.items():
        shares = quantiles(waited, n=20)
        print(f"a text, {way}: p50 {median(waited):.1f} ms, p95 {shares[-1]:.1f} ({len(waited)})")


def fill(encoder: Encoder, captions: int) -> tuple[float, float]:
    """Seconds that embedding the captions and the pictures takes, and those of the CPU."""
    texts = open_captions(SAMPLE_PACK / "memory.txt", limit=captions)
    pictures = open_source(SAMPLE_PACK / "plain" / "captions.jsonl", split=frozenset({"train"}))
    with tempfile.TemporaryDirectory() as home:
        started, used = perf_counter(), process_time()
        embed(chain(texts, pictures), encoder, CollectionFolder(Path(home), "filled"))
        return perf_counter() - started, process_time() - used


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
