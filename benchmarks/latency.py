"""Where the time of a caption goes: each stage, and the share outside the two models.

    python -m benchmarks.latency IMAGE... [--collection plain] [--rounds 20] [--threads 1]
    python -m benchmarks.latency IMAGE... --real-size

Describes each picture alone, as `mrag caption` does, on models that are already loaded, and
prints the median of each stage. The collection is one that `mrag ingest` or `mrag demo` has
made; with --real-size a collection of 1,000 sample captions is made in a temporary folder, with
ViT-B-32 and FLAN-T5 base of RANDOM WEIGHTS: their text is noise, their time is real.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import real_size_encoders, real_size_generators
from engine.app import Engine, build_engine
from engine.describe.captioner import DescribeOptions
from engine.settings import SAMPLE_PACK, read_settings
from engine.types import Decoding
from ingest.pipeline import ingest
from ingest.readers import open_captions

_MODELS = frozenset(("encode", "generate", "encode candidates"))
_NEW_TOKENS = 20
"""Words of noise would never end by themselves; a COCO caption has about so many tokens."""


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--collection", default="plain")
    parser.add_argument("--real-size", action="store_true")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if not given.real_size:
        engine = build_engine(read_settings({"threads": given.threads}))
        print_table(measure(engine, given.collection, given.images, given.rounds))
        return
    with tempfile.TemporaryDirectory() as scratch:
        engine = real_size_engine(Path(scratch), given.threads)
        print_table(measure(engine, "real-size", given.images, given.rounds))


def real_size_engine(work: Path, threads: int) -> Engine:
    """An engine over one collection of 1,000 captions, with models of random weights."""
    real_size_encoders.build("ViT-B-32", work / "clip")
    real_size_generators.build_in_own_process("base", work / "t5")
    settings = read_settings({"home": work / "home", "threads": threads})
    engine = build_engine(settings)
    spec = f"local-dir:{work / 'clip'}"
    ingest(
        islice(open_captions(SAMPLE_PACK / "memory.txt"), 1000),
        name="real-size",
        encoder=engine.models.encoder(spec),
        encoder_spec=spec,
        generator_spec=str(work / "t5"),
        settings=settings,
        method="raw",
    )
    return engine


def measure(
    engine: Engine, collection: str, images: list[Path], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of each stage, one entry per caption after a warm-up round."""
    options = DescribeOptions(decoding=Decoding(max_new_tokens=_NEW_TOKENS))
    captioner = engine.open(collection).captioner(options)
    spent: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for path in images:
            started = perf_counter()
            picture = engine.open_picture(path)
            opened = (perf_counter() - started) * 1000
            (result,) = captioner.describe([picture.image])
            if turn:
                spent["open"].append(opened)
                for stage, milliseconds in result.timings_ms.items():
                    spent[stage].append(milliseconds)
                spent["all"].append((perf_counter() - started) * 1000)
    engine.close()
    return spent


def print_table(spent: dict[str, list[float]]) -> None:
    """One row a stage: median milliseconds, and the share of the sum of the stages."""
    medians = {stage: median(values) for stage, values in spent.items() if stage != "all"}
    total = sum(medians.values())
    print(f"{'stage':20}{'ms':>9}{'share':>9}")
    for stage, value in medians.items():
        print(f"{stage:20}{value:9.2f}{value / total:9.1%}")
    outside = sum(value for stage, value in medians.items() if stage not in _MODELS)
    print(f"{'outside the models':20}{outside:9.2f}{outside / total:9.1%}")
    print(f"{'whole caption':20}{median(spent['all']):9.2f}   ({len(spent['all'])} captions)")


if __name__ == "__main__":
    main()
