"""A tiny BLIP of random weights that matches texts with images, saved as real ones are."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForImageTextRetrieval,
    BlipImageProcessor,
    BlipProcessor,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "dog", "cat", "on"]


def save_blip(folder: Path) -> None:
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(WORDS),
        "intermediate_size": 32,
        "max_position_embeddings": 24,
        "initializer_range": 0.5,
        "pad_token_id": 0,
        "sep_token_id": 3,
        "bos_token_id": 2,
    }
    vision = {"intermediate_size": 32, "image_size": 32, "patch_size": 8, "initializer_range": 0.5}
    config = BlipConfig(
        text_config=size | text, vision_config=size | vision, image_text_hidden_size=8
    )
    BlipForImageTextRetrieval(config).eval().save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
