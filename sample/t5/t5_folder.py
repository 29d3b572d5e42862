"""The transformers folder of the sample world's T5: its tokenizer, its config, its weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

from sample.t5.prompts import FILLER, PROMPTS
from sample.world.captions import caption
from sample.world.scenes import random_scene
from sample.world.things import THINGS, plural

_LONGEST_PROMPT = 512
_LONGEST_ANSWER = 32


def _words() -> Iterator[str]:
    rng = Random(5)
    yield from FILLER
    for prompt in PROMPTS:
        yield from prompt.replace("{captions}", " ").replace(":", " ").replace(".", " ").split()
    for thing in THINGS:
        for name in thing.names:
            yield from f"{name} {plural(name)}".split()
    for _ in range(4000):
        yield from caption(random_scene(rng), rng).replace(".", "").split()


def build_tokenizer() -> T5Tokenizer:
    """A unigram tokenizer in which every word of the world is one piece.

    Single characters follow, so that any other ASCII text is spelled out, not lost.
    """
    counts = Counter(_words())
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -10.0)]
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in ranked]
    pieces += [(chr(code), -12.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=_LONGEST_PROMPT)


def new_model(pieces: int) -> T5ForConditionalGeneration:
    """A T5 with random weights: 3 + 3 layers of width 128."""
    config = T5Config(
        vocab_size=pieces,
        d_model=128,
        d_kv=32,
        num_heads=4,
        d_ff=256,
        num_layers=3,
        num_decoder_layers=3,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    return T5ForConditionalGeneration(config)


def save_model(model: T5ForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path) -> None:
    """Write an ordinary transformers folder, its weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.config.dtype = torch.float32  # else transformers would run it in the file's precision
    model.generation_config.max_new_tokens = _LONGEST_ANSWER
    tokenizer.save_pretrained(folder)
    halves = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=halves)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner can read
