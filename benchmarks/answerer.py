"""An answerer that sees pictures against the generator that reads captions: RANDOM WEIGHTS.

    python -m benchmarks.answerer [--only smolvlm-256m|flan-t5-base] [--rounds 3]

SmolVLM-256M's architecture (Idefics3, by the published config) and FLAN-T5-base's are built with
random weights, saved by transformers in the format of the real ones (safetensors, bfloat16 and
float32), and each loaded and read from, piece by piece, in a fresh process. What is written is
noise; time and memory are those of the real models. Both answer the prompt that a question over a
collection becomes, with eight captions, in exactly 40 new tokens: the output row of the end token
is zero, so that it is never the likeliest. Seconds are by the clock, and of a core beside it, as
other work on the machine comes and goes. Needs 2 GB of disk and 4 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

from PIL import Image

from benchmarks.real_size_generators import build as build_t5
from benchmarks.real_size_generators import peak_gib

NEW_TOKENS = 40
SMOLVLM, T5 = "smolvlm-256m", "flan-t5-base"
TEXT = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "vocab_size": 49280,
    "max_position_embeddings": 8192,
    "pad_token_id": 2,
}
VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CAPTIONS = (
    "A brown dog runs along a beach with a stick in its mouth.",
    "Two dogs play in the shallow water while a man watches.",
    "A woman throws a ball for her dog near the pier.",
    "A wet dog shakes itself beside a folded umbrella.",
    "A dog lies in the sand next to a red towel.",
    "Three people walk a dog at low tide under grey clouds.",
    "A small white dog digs a hole close to the sea.",
    "A dog jumps for a flying disc on an empty beach.",
)
ASKED = "What do the dogs on the beach play with?"


def build_smolvlm(folder: Path) -> None:
    """Save the model with random weights, and a processor with a tokenizer of English words."""
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    tokenizer = english_tokenizer()
    size = {"longest_edge": 2048}, {"longest_edge": 512}
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(size=size[0], max_image_size=size[1]),
        tokenizer=tokenizer,
        image_seq_len=64,
        chat_template=TEMPLATE,
    )
    config = Idefics3Config(
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        text_config=TEXT,
        vision_config=VISION,
        scale_factor=4,
        pad_token_id=TEXT["pad_token_id"],
        dtype="bfloat16",
    )
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(config).to(torch.bfloat16)
    output = torch.randn_like(model.lm_head.weight)
    output[tokenizer.eos_token_id] = 0.0
    output[len(tokenizer) :] = 0.0
    model.lm_head.weight = torch.nn.Parameter(output)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def english_tokenizer() -> Any:
    """Byte-level BPE as SmolVLM has it, trained on the project's own English."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=12000,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [path.read_text(encoding="utf-8") for path in sorted(Path().glob("*.md"))]
    bare.train_from_iterator([*texts, *CAPTIONS * 20], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    more = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles]
    tokenizer.add_special_tokens({"additional_special_tokens": more})
    return tokenizer


def pictures(count: int) -> list[Image.Image]:
    """Pictures of the size that phones send on, of different colours."""
    return [Image.new("RGB", (1024, 768), (40 * i, 90, 200 - 30 * i)) for i in range(count)]


def measure(name: str, folder: str, rounds: int) -> dict[str, Any]:
    """Load the folder and read answers from it; seconds and GiB."""
    started = perf_counter()
    model = loaded(name, folder)
    figures: dict[str, Any] = {"load": perf_counter() - started, "loaded": peak_gib(), "rows": []}
    read(model, prompt(model, 0), [])
    ways: list[tuple[str, int, int | None]] = [("captions alone", 0, None)]
    if name == SMOLVLM:
        ways += [("1 picture", 1, None), ("4 pictures", 4, None), ("1 picture in tiles", 1, 4000)]
    for told, count, tokens in ways:
        if tokens is not None:
            model._picture_tokens = tokens
        asked, shown = prompt(model, count), pictures(count)
        times = [read(model, asked, shown) for _ in range(rounds)]
        figures["rows"].append((told, *map(median, zip(*times, strict=True)), peak_gib()))
    return figures


def loaded(name: str, folder: str) -> Any:
    """The model as the program loads it."""
    from engine.models.generator import load_generator
    from engine.models.vision_language import load_vision_language

    return load_vision_language(folder) if name == SMOLVLM else load_generator(folder)


def prompt(model: Any, count: int) -> str:
    """What a question over a collection becomes; the first pictures are shown."""
    from engine.ask.pieces import Piece
    from engine.ask.seeing import Sight, seeing_prompt
    from engine.ask.writing import prompt_of

    pieces = [Piece(text, str(i)) for i, text in enumerate(CAPTIONS)]
    if not count:
        return prompt_of(ASKED, pieces, model)
    shown = Sight(tuple(pictures(count)), tuple(str(i) for i in range(count)))
    return seeing_prompt(ASKED, pieces, shown, model)


def read(model: Any, asked: str, images: Sequence[Image.Image]) -> tuple[float, ...]:
    """Seconds until the first token and for each further one, by the clock and of a core."""
    times: list[tuple[float, float]] = []
    decode = "_decode" if hasattr(model, "_processor") else "_decode_one"
    before = getattr(model, decode)

    def noted(tokens: list[int]) -> str:
        times.append((perf_counter(), process_time()))
        return str(before(tokens))

    setattr(model, decode, noted)
    started, worked = perf_counter(), process_time()
    for _ in model.stream(asked, images, NEW_TOKENS):
        pass
    setattr(model, decode, before)
    first, last, each = times[0], times[-1], NEW_TOKENS - 1
    if len(times) != NEW_TOKENS + 1:
        raise RuntimeError(f"{len(times) - 1} tokens were written, not {NEW_TOKENS}")
    return (
        first[0] - started,
        first[1] - worked,
        (last[0] - first[0]) / each,
        (last[1] - first[1]) / each,
    )


def show(name: str, figures: dict[str, Any]) -> None:
    """Print the rows of a table in Markdown."""
    for told, first, first_core, each, each_core, peak in figures["rows"]:
        print(
            f"| {name} | {told} | {figures['load']:.1f} s | {first:.1f} s ({first_core:.1f}) | "
            f"{1 / each:.1f} ({1 / each_core:.1f}) | {figures['loaded']:.1f} | {peak:.1f} GiB |"
        )


def main() -> None:
    """Build both, and measure each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=(SMOLVLM, T5))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        name, folder = given.measure
        print(json.dumps(measure(name, folder, given.rounds)))
        return
    print("| model | prompt | load | first token | tokens a second | loaded | most memory |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in [given.only] if given.only else [SMOLVLM, T5]:
        with tempfile.TemporaryDirectory() as place:
            saved = Path(place) / name
            build_smolvlm(saved) if name == SMOLVLM else build_t5("base", saved)
            command = [sys.executable, "-m", "benchmarks.answerer", "--measure", name, str(saved)]
            command += ["--rounds", str(given.rounds)]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ
            )
            show(name, json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
