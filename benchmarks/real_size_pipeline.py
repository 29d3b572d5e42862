"""Ingest and describe end to end with models of real size and random weights, on a graphics card.

    python -m benchmarks.real_size_pipeline --photos FOLDER [--encoder RN50x64] [--generator large]
        [--batches 1 8 32 128 256] [--pictures 512]

For each batch size: encoding pictures that are decoded already, embedding picture files (find,
open, hash, decode, encode, write shards), and describing their vectors (retrieve from sample
captions, prompt, write 4 candidates of 20 tokens, choose). Each goes on for some seconds, after a
round to warm up. Random weights: times mean something, vectors and texts do not. `waiting` is the
share of the time in which the card ran nothing, as its driver counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from threading import Event, Thread
from time import perf_counter

import torch

from benchmarks import real_size_encoders, real_size_generators
from benchmarks.ingest import make_files
from engine.app import Engine, build_engine
from engine.collection import CollectionFolder
from engine.describe.captioner import Captioner, DescribeOptions
from engine.describe.retriever import Retriever
from engine.images import open_picture
from engine.models.encoder import OpenClipEncoder, load_encoder
from engine.models.generator import load_generator
from engine.settings import SAMPLE_PACK, read_settings
from engine.types import Decoding
from ingest.embed import EmbedOptions, embed
from ingest.pipeline import ingest
from ingest.readers import open_captions, open_source

_NEW_TOKENS = 20
_CAPTIONS = 1000
_SECONDS = 4.0
"""How long each cell is measured, at least; the driver counts over parts of a second."""


def main() -> None:
    """Build the models, measure, and print a table as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of real photos")
    parser.add_argument("--encoder", default="ViT-B-32", help="an open_clip model; '' for none")
    parser.add_argument("--generator", default="base", choices=["base", "large", ""])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128, 256])
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--workers", type=int, default=read_settings().workers)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        if given.encoder:
            real_size_encoders.build(given.encoder, work / given.encoder)
            make_files(given.photos, work / "photos", given.pictures)
            measure_ingest(work, given.encoder, given.batches, given.workers)
        if given.generator:
            real_size_generators.build_in_own_process(given.generator, work / "t5")
            measure_describe(work, given.generator, given.batches)


def measure_ingest(work: Path, model: str, batches: list[int], workers: int) -> None:
    """Pictures a second: encoding what is decoded, and embedding files."""
    files = sorted((work / "photos").iterdir())
    decoded = [open_picture(path).image for path in files]
    for batch in batches:
        encoder = load_encoder(f"local-dir:{work / model}", batch_size=batch)
        what = f"{model}, {encoder.precision}, {encoder.device}, batch {batch}"
        show(f"encode, {what}", len(decoded), partial(encoder.encode_images, decoded))
        options = EmbedOptions(batch_size=batch, workers=workers)
        show(f"ingest, {what}", len(files), partial(embed_files, encoder, work, options))
        del encoder


def embed_files(encoder: OpenClipEncoder, work: Path, options: EmbedOptions) -> None:
    """Embed all the files into a new collection, as `mrag ingest` does."""
    with tempfile.TemporaryDirectory(dir=work) as home:
        folder = CollectionFolder(Path(home), "pictures")
        folder.path.mkdir(parents=True)
        report = embed(open_source(work / "photos"), encoder, folder, options)
    if report.skipped:
        raise SystemExit(f"not all pictures were embedded: {report}")


def measure_describe(work: Path, size: str, batches: list[int]) -> None:
    """Descriptions a second, from vectors."""
    engine = captions_engine(work)
    opened = engine.open("real-size")
    encoder = engine.models.encoder(opened.card.encoder)
    count = max(batches)
    vectors = encoder.encode_texts([f"picture {i}" for i in range(count)])
    for batch in batches:
        generator = load_generator(str(work / "t5"), batch_size=batch)
        now = opened.current
        options = DescribeOptions(decoding=Decoding(max_new_tokens=_NEW_TOKENS))
        retriever = Retriever([now.captions], now.alignment)
        for candidates in (1, options.candidates):
            how = replace(options, candidates=candidates)
            captioner = Captioner(encoder, now.alignment, retriever, generator, how)
            show(
                f"describe, FLAN-T5 {size}, {candidates} candidates, batch {batch}",
                batch,
                partial(captioner.describe_vectors, vectors[:batch]),
            )
        del generator
    engine.close()


def captions_engine(work: Path) -> Engine:
    """An engine over one collection of sample captions, encoded by ViT-B-32 of random weights."""
    folder = work / "ViT-B-32"
    if not folder.exists():
        real_size_encoders.build("ViT-B-32", folder)
    settings = read_settings({"home": work / "home"})
    engine = build_engine(settings)
    spec = f"local-dir:{folder}"
    ingest(
        islice(open_captions(SAMPLE_PACK / "memory.txt"), _CAPTIONS),
        name="real-size",
        encoder=engine.models.encoder(spec),
        encoder_spec=spec,
        generator_spec=str(work / "t5"),
        settings=settings,
        method="raw",
    )
    return engine


def show(what: str, items: int, call: Callable[[], object]) -> None:
    """Measure a call that works on so many items, and print a row."""
    call()
    busy = _Busy()
    started, calls = perf_counter(), 0
    with busy:
        while not calls or perf_counter() - started < _SECONDS:
            call()
            calls += 1
    seconds = (perf_counter() - started) / (items * calls)
    print(
        f"| {what} | {1 / seconds:.1f}/s | {seconds * 1000:.2f} ms | {busy.waiting()} |", flush=True
    )


class _Busy:
    """Asks the driver again and again how busy the card is, while it is entered."""

    def __init__(self) -> None:
        self._ended = Event()
        self._shares: list[float] = []
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        if torch.cuda.is_available():
            self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def waiting(self) -> str:
        """The share of the time in which nothing ran; "-" without a card."""
        return f"{1 - fmean(self._shares):.0%}" if self._shares else "-"

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self._shares.append(torch.cuda.utilization() / 100)


if __name__ == "__main__":
    main()
