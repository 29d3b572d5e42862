"""The open_clip folder of the sample world's CLIP: its tokenizer, its config, its weights.

What is written is an ordinary open_clip directory, so that both of these work offline:

    open_clip.create_model_and_transforms("local-dir:<path>")
    open_clip.get_tokenizer("local-dir:<path>")
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from sample.world.captions import captions
from sample.world.scenes import random_scene

PICTURE_SIZE = 96
CONTEXT = 24
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
_INITIAL_SCALE = 100.0
_PAD, _START, _END = "<pad>", "<start_of_text>", "<end_of_text>"  # ids 0, 1, 2
_WIDTH = 128


def _texts_to_learn_words_from(scenes: int = 6000, seed: int = 11) -> Iterator[str]:
    rng = Random(seed)
    for number in range(scenes):
        yield from captions(random_scene(rng), number)


def _byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write_tokenizer(folder: Path) -> int:
    """Train a small lower-casing BPE on captions of the world; its number of pieces."""
    tokenizer = _byte_level_bpe()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=[_PAD, _START, _END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts_to_learn_words_from(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A {_END}", special_tokens=[(_START, 1), (_END, 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_START,
        eos_token=_END,
        model_max_length=CONTEXT,
    ).save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def _vision_config() -> dict[str, Any]:
    return {
        "image_size": PICTURE_SIZE,
        "timm_model_name": "test_resnet",  # one of timm's own test models: 0.4 M parameters
        "timm_pool": "avg",
        "timm_proj": "linear",
    }


def _text_config(pieces: int) -> dict[str, Any]:
    return {
        "context_length": CONTEXT,
        "vocab_size": pieces,
        # any name does: with local-dir: the tokenizer is read from the folder itself
        "hf_tokenizer_name": "sample-world",
        "width": _WIDTH,
        "heads": 4,
        "layers": 2,
        "pool_type": "eos",
        "eos_id": 2,
    }


def write_config(folder: Path, pieces: int) -> None:
    """Write open_clip_config.json, by which open_clip finds model, preprocessing, tokenizer."""
    config = {
        "model_cfg": {
            "embed_dim": _WIDTH,
            "init_logit_scale": math.log(_INITIAL_SCALE),
            "vision_cfg": _vision_config(),
            "text_cfg": _text_config(pieces),
        },
        "preprocess_cfg": {
            "mean": MEAN,
            "std": STD,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")


def save_weights(model: torch.nn.Module, folder: Path) -> None:
    """Save the weights in half precision; open_clip loads them as float32."""
    weights = {
        name: value.detach().to(torch.float16 if value.is_floating_point() else value.dtype)
        for name, value in model.state_dict().items()
    }
    path = folder / "open_clip_model.safetensors"
    save_file({k: v.contiguous() for k, v in weights.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors writes files that only their owner can read
