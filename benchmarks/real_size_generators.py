"""Load time, memory and latency of FLAN-T5's architectures, with RANDOM WEIGHTS.

    python -m benchmarks.real_size_generators [--only base|large] [--precision auto|fp32|bf16]

Each model is built from the published config of google/flan-t5-*, saved by transformers in the
format of the real one (safetensors, float32) and loaded by `load_generator` in a fresh process;
beside it runs what one would write with transformers alone, in bfloat16, in turn with ours.
The text it writes is noise; time and memory are those of the real model. Every caption has
exactly 20 new tokens: the output row of the end token is zero, so that it is never the
likeliest, and max_new_tokens is 20. Needs up to 4 GB of disk and 8 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "base": {"d_model": 768, "d_ff": 2048, "num_layers": 12, "num_heads": 12},
    "large": {"d_model": 1024, "d_ff": 2816, "num_layers": 24, "num_heads": 16},
}
BATCHES = (1, 8, 32)
PROMPT_TOKENS = 100
NEW_TOKENS = 20
ROUNDS = 3

Write = Callable[[list[str]], object]


def build(size: str, folder: Path) -> None:
    """Save a model of that size with random weights, and a tokenizer of made-up pieces."""
    import torch
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    config = T5Config(
        **SIZES[size],
        d_kv=64,
        vocab_size=32128,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        n_positions=512,
    )
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(config)
    output = torch.randn_like(model.lm_head.weight)
    output[config.eos_token_id] = 0.0
    model.lm_head.weight = torch.nn.Parameter(output)  # its own in FLAN-T5, not the embeddings
    model.save_pretrained(folder)
    card = folder / "config.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"tie_word_embeddings": False}))
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -20.0)]
    pieces = [(f"▁w{i}", -10.0) for i in range(32000 - len(special))]
    tokenizer = T5Tokenizer(vocab=special + pieces, extra_ids=100, model_max_length=512)
    tokenizer.save_pretrained(folder)


def measure(folder: str, precision: Any) -> dict[str, float | str]:
    """Load the folder, write captions from it and by transformers alone; seconds and GiB."""
    from engine.models.generator import load_generator
    from engine.types import Decoding

    started = perf_counter()
    generator = load_generator(folder, precision=precision)
    figures: dict[str, float | str] = {"load": perf_counter() - started, "loaded": peak_gib()}
    decoding = Decoding("greedy", max_new_tokens=NEW_TOKENS)
    largest = prompts(max(BATCHES))
    tokens = {generator.count_tokens(prompt) + 1 for prompt in largest}
    if tokens != {PROMPT_TOKENS}:
        raise RuntimeError(f"prompts have {tokens} tokens, not {PROMPT_TOKENS}")
    generator.generate(largest, 1, decoding)
    figures["peak"] = peak_gib()
    ways = {"ours": lambda texts: generator.generate(texts, 1, decoding), "bare": bare(folder)}
    for batch in BATCHES:
        for way, (seconds, of_a_core) in race(ways, prompts(batch)).items():
            figures[f"{way} {batch}"] = f"{seconds / batch:.2f} s ({of_a_core / batch:.2f})"
    return figures


def prompts(count: int) -> list[str]:
    """Different prompts of as many made-up words as fill PROMPT_TOKENS."""
    return [
        " ".join(f"w{(row * 997 + i * 31) % 30000}" for i in range(PROMPT_TOKENS - 1))
        for row in range(count)
    ]


def bare(folder: str) -> Write:
    """The loop of transformers' documentation, in bfloat16, which writes as many tokens."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def write(texts: list[str]) -> object:
        inputs = tokenizer(texts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            written = model.generate(
                **inputs, do_sample=False, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS
            )
        return tokenizer.batch_decode(written, skip_special_tokens=True)

    return write


def race(ways: dict[str, Write], texts: list[str]) -> dict[str, tuple[float, float]]:
    """Median seconds of each way, by the clock and of a core, in turn after a warm-up round."""
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for turn in range(ROUNDS + 1):
        for way, write in ways.items():
            started, worked = perf_counter(), process_time()
            write(texts)
            if turn:
                spent[way].append((perf_counter() - started, process_time() - worked))
    return {
        way: (median(clock), median(core))
        for way, times in spent.items()
        for clock, core in [tuple(zip(*times, strict=True))]
    }


def peak_gib() -> float:
    """The most memory that this process has held (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Build, measure and delete each model in turn, and print a table."""
    parser = argparse.ArgumentParser(description="FLAN-T5 sizes with random weights")
    parser.add_argument("--only", choices=list(SIZES), help="one size; both without it")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.precision)))
        return
    print(
        f"random weights, precision {args.precision}, {PROMPT_TOKENS} prompt tokens, "
        f"{NEW_TOKENS} new tokens, greedy, medians of {ROUNDS}: seconds a caption (of a core); "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        "| model | on disk | load | memory after load | peak memory "
        + "".join(f"| ours, batch {batch} | bare loop " for batch in BATCHES)
        + "|"
    )
    print("| --- " * (5 + 2 * len(BATCHES)) + "|")
    for size in [args.only] if args.only else SIZES:
        print(row(size, args.precision), flush=True)


def row(size: str, precision: str) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / f"flan-t5-{size}"
        command = [
            sys.executable,
            "-m",
            "benchmarks.real_size_generators",
            "--measure",
            str(folder),
            "--precision",
            precision,
        ]
        build_in_own_process(size, folder)
        disk = sum(file.stat().st_size for file in folder.iterdir()) / 2**30
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    times = "".join(
        f"| {found[f'{way} {batch}']} " for batch in BATCHES for way in ("ours", "bare")
    )
    return (
        f"| flan-t5-{size} | {disk:.2f} GiB | {found['load']:.1f} s | {found['loaded']:.2f} GiB "
        f"| {found['peak']:.2f} GiB {times}|"
    )


def build_in_own_process(size: str, folder: Path) -> None:
    """Build where the memory is given back before anything is measured."""
    from multiprocessing import get_context

    process = get_context("spawn").Process(target=build, args=(size, folder))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"building flan-t5-{size} failed")


if __name__ == "__main__":
    main()
