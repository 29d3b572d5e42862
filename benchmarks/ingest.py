"""Throughput of the embed stage of an ingest beside encoding alone.

    python -m benchmarks.ingest --photos FOLDER [--pictures 256] [--rounds 5] [--model ViT-B-32]

Makes distinct picture files from the photos of FOLDER, builds a model of real size with random
weights, and then takes turns: encode pictures that are already decoded in memory, and embed
the files (find, open, hash, decode, encode, write shards). Both encode the same pictures with
the same encoder. Random weights: times mean something, the vectors do not.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from PIL import Image

from benchmarks.real_size_encoders import build
from engine.collection import CollectionFolder
from engine.images import SUFFIXES, open_picture
from engine.models.encoder import OpenClipEncoder, load_encoder
from engine.settings import Settings
from ingest.embed import EmbedOptions, embed
from ingest.readers import open_source


def main() -> None:
    """Prepare, measure in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of real photos")
    parser.add_argument("--pictures", type=int, default=256, help="how many files are embedded")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="ViT-B-32")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16", "fp16"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        make_files(given.photos, work / "photos", given.pictures)
        build(given.model, work / given.model)
        encoder = load_encoder(f"local-dir:{work / given.model}", precision=given.precision)
        rounds = measure(encoder, work, given.rounds)
    show(rounds, given.pictures, f"{given.model}, {encoder.precision}, {encoder.device}")


def make_files(photos: Path, folder: Path, count: int) -> None:
    """Distinct JPEGs of the photos' own sizes: each copy is cut by a few pixels more."""
    folder.mkdir()
    found = sorted(path for path in photos.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"there are no pictures in {photos}")
    for number, path in zip(range(count), itertools.cycle(found), strict=False):
        picture = open_picture(path).image
        width, height = picture.size
        cut = number // len(found)
        copy = picture.crop((cut, cut, width, height))
        copy.save(folder / f"{number:05d}.jpg", quality=92)


def measure(encoder: OpenClipEncoder, work: Path, rounds: int) -> list[tuple[float, float]]:
    """Seconds of encoding alone and of embedding, round by round, after one to warm up."""
    files = sorted((work / "photos").iterdir())
    decoded = [open_picture(path).image for path in files]
    spent = []
    for number in range(rounds + 1):
        alone = timed_encoding(encoder, decoded)
        spent.append((alone, timed_embedding(encoder, work, number, len(files))))
    return spent[1:]


def timed_encoding(encoder: OpenClipEncoder, decoded: list[Image.Image]) -> float:
    """Seconds to encode all the pictures."""
    started = perf_counter()
    encoder.encode_images(decoded)
    return perf_counter() - started


def timed_embedding(encoder: OpenClipEncoder, work: Path, number: int, expected: int) -> float:
    """Seconds to embed all the files into a new collection, as `mrag ingest` does."""
    folder = CollectionFolder(work, f"round-{number}")
    folder.path.mkdir(parents=True)
    settings = Settings(home=work)
    started = perf_counter()
    report = embed(
        open_source(work / "photos"),
        encoder,
        folder,
        EmbedOptions(batch_size=settings.batch_size, workers=settings.workers),
    )
    seconds = perf_counter() - started
    if report.embedded != expected:
        raise SystemExit(f"{report.embedded} of {expected} pictures were embedded: {report}")
    return seconds


def show(rounds: list[tuple[float, float]], pictures: int, model: str) -> None:
    """Print each round and the medians as a Markdown table."""
    print(f"Ingest throughput, {pictures} photos, {model}, random weights")
    print("| round | encoding alone, pictures/s | embed stage, pictures/s | ratio |")
    print("| --- | --- | --- | --- |")
    ratios = [alone / embedded for alone, embedded in rounds]
    for number, (alone, embedded) in enumerate(rounds, start=1):
        ratio = alone / embedded
        print(f"| {number} | {pictures / alone:.1f} | {pictures / embedded:.1f} | {ratio:.3f} |")
    alone, embedded = (median(column) for column in zip(*rounds, strict=True))
    print(f"| median | {pictures / alone:.1f} | {pictures / embedded:.1f} | {median(ratios):.3f} |")


if __name__ == "__main__":
    main()
