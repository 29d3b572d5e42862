"""The transformers folder of the sample world's T5: its tokenizer, its config, its weights."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from string import ascii_uppercase

import torch
from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

from engine.ask.prompts import ANSWER, NOT_SAID
from engine.rerank.prompts import LISTWISE, POINTWISE
from sample.t5.answering import OTHER_ANSWER
from sample.t5.judging import OTHER_LISTWISE, OTHER_POINTWISE
from sample.t5.prompts import FILLER, PROMPTS
from sample.world.captions import caption
from sample.world.places import PLACES
from sample.world.questions import KINDS, SCOPES, wordings
from sample.world.scenes import random_scene
from sample.world.things import THINGS, plural

_LONGEST_PROMPT = 512
_LONGEST_ANSWER = 32
_LONGEST_LIST = 30


_SLOT = re.compile(r"\{\w+\}")
_TASKS = (POINTWISE, *OTHER_POINTWISE, LISTWISE, *OTHER_LISTWISE, ANSWER, *OTHER_ANSWER, NOT_SAID)
_NUMBER_WORDS = "one two three four five six seven eight nine ten single yes no"


def _words_of(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", _SLOT.sub(" ", text))


def _words() -> Iterator[str]:
    rng = Random(5)
    yield from FILLER
    for prompt in (*PROMPTS, *_TASKS):
        yield from _words_of(prompt)
    for kind in KINDS:
        for scope in SCOPES:
            for wording in wordings(kind, scope, training=False):
                yield from _words_of(wording)
    for thing in THINGS:
        for name in thing.names:
            yield from f"{name} {plural(name)}".split()
    for place in PLACES:
        yield place.name
    yield from _NUMBER_WORDS.split()
    for _ in range(4000):
        yield from caption(random_scene(rng), rng).replace(".", "").split()


def _marks() -> Iterator[str]:
    """Letters and numbers by which captions in a prompt are named, alone and in brackets."""
    numbers = [str(number) for number in range(_LONGEST_LIST + 1)]
    for mark in (*ascii_uppercase, *numbers):
        yield from (mark, f"[{mark}]")
    yield '"the'  # how NOT_SAID begins and ends within quotes in ANSWER
    yield 'say":'


def build_tokenizer() -> T5Tokenizer:
    """A unigram tokenizer in which every word of the world is one piece.

    Single characters follow, so that any other ASCII text is spelled out, not lost.
    """
    counts = Counter(_words())
    total = sum(counts.values())
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -10.0)]
    pieces += [(f"▁{word}", math.log(count / total)) for word, count in ranked]
    marks = [mark for mark in dict.fromkeys(_marks()) if mark not in counts]
    pieces += [(f"▁{mark}", -11.0) for mark in marks]
    pieces += [(chr(code), -12.0) for code in range(33, 127)]
    return T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=_LONGEST_PROMPT)


def new_model(pieces: int) -> T5ForConditionalGeneration:
    """A T5 with random weights: 4 + 2 layers of width 160.

    The decoder is the shallow half: it runs once a word.
    """
    config = T5Config(
        vocab_size=pieces,
        d_model=160,
        d_kv=32,
        num_heads=5,
        d_ff=320,
        num_layers=4,
        num_decoder_layers=2,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    return T5ForConditionalGeneration(config)


_SHARED = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}


def save_model(
    model: T5ForConditionalGeneration, tokenizer: T5Tokenizer, folder: Path, precision: torch.dtype
) -> None:
    """Write an ordinary transformers folder, its weights in that precision."""
    folder.mkdir(parents=True, exist_ok=True)
    model.eval()
    model.config.dtype = torch.float32  # else transformers would run it in the file's precision
    model.generation_config.max_new_tokens = _LONGEST_ANSWER
    tokenizer.save_pretrained(folder)
    weights = {
        name: value.to(precision)
        for name, value in model.state_dict().items()
        if name not in _SHARED  # they are one with the embedding, and loading makes them so
    }
    model.save_pretrained(folder, state_dict=weights)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner can read
