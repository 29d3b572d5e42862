"""Load time, memory and latency of encoders of real size, with random weights.

    python -m benchmarks.real_size_encoders --dir FOLDER [--precision auto] [MODEL ...]

Builds each open_clip model from its config, saves it as open_clip saves models (a folder
for `local-dir:`), and loads it in a fresh process through `load_encoder`. The weights are
random: times and sizes mean something, the vectors do not.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

MODELS = ("ViT-B-32", "RN50x64")
BATCHES = (1, 16)
SLOW_MS = 5000
COLUMNS = (
    *("model", "precision", "device", "load s", "peak GB"),
    *(f"ms/{what}, batch {batch}" for what in ("picture", "text") for batch in BATCHES),
)


def main() -> None:
    """Build, measure, show and delete each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--dir", type=Path, required=True, help="where the models are built")
    parser.add_argument("--precision", nargs="+", default=["auto", "fp32"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.dir, given.precision[0])))
        return
    show_header()
    for name in given.models:
        folder = given.dir / name
        build(name, folder)
        for precision in given.precision:
            show(measure_apart(folder, precision))
        shutil.rmtree(folder)


def build(name: str, folder: Path) -> None:
    """Save a model of this name with random weights in open_clip's folder format."""
    import open_clip
    from safetensors.torch import save_file

    logging.disable(logging.WARNING)  # open_clip warns that the weights are random
    folder.mkdir(parents=True)
    model = open_clip.create_model(name)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config(name)}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")


def measure_apart(folder: Path, precision: str) -> dict[str, Any]:
    """Measure in a process of its own, so that time and memory are those of a fresh start."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.real_size_encoders",
        "--measure",
        "--dir",
        str(folder),
    ]
    done = subprocess.run(
        [*command, "--precision", precision], check=True, capture_output=True, text=True
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(folder: Path, precision: Any) -> dict[str, Any]:
    """Load the encoder and time it on pictures of 640 x 480 and short texts."""
    import numpy as np
    from PIL import Image

    started = perf_counter()
    from engine.models.encoder import load_encoder

    encoder = load_encoder(f"local-dir:{folder}", precision=precision)
    loaded_s = perf_counter() - started
    values = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    picture, text = Image.fromarray(values), "two dogs play with a ball on a beach"
    figures = {
        "model": folder.name,
        "precision": encoder.precision,
        "device": encoder.device,
        "load s": loaded_s,
    }
    for batch in BATCHES:
        spent = milliseconds(partial(encoder.encode_images, [picture] * batch))
        figures[f"ms/picture, batch {batch}"] = spent / batch
    for batch in BATCHES:
        spent = milliseconds(partial(encoder.encode_texts, [text] * batch))
        figures[f"ms/text, batch {batch}"] = spent / batch
    figures["peak GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return figures


def milliseconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The least of some repeats after the first; of a call of seconds, the first itself."""
    first = timed(call)
    return first if first > SLOW_MS else min(timed(call) for _ in range(repeats))


def timed(call: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    started = perf_counter()
    call()
    return (perf_counter() - started) * 1000


def show_header() -> None:
    """Print the title and the head of a Markdown table."""
    print("Encoders of real size, random weights\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))


def show(figures: dict[str, Any]) -> None:
    """Print one row of the table as soon as it is measured."""
    cells = [figures[column] for column in COLUMNS]
    texts = [f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells]
    print("| " + " | ".join(texts) + " |", flush=True)


if __name__ == "__main__":
    main()
