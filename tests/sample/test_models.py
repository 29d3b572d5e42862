"""The shipped models load by the ordinary loaders and know the world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sample.t5.prompts import PAPER, PROMPTS, SMALLCAP, SUMMARISE
from sample.t5.retrieval import Clip
from sample.world.reading import read_caption
from sample.world.splits import pack_scenes
from sample.write_pack import PACK

TOLD = "Two dogs on the beach.\nA pair of dogs by the sea.\nTwo puppies are at the seaside."


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip(PACK / "clip")


@pytest.fixture(scope="module")
def t5() -> tuple[Any, Any]:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(PACK / "t5").eval()
    return AutoTokenizer.from_pretrained(PACK / "t5"), model


def test_clip_finds_the_captions_of_pictures(clip: Clip) -> None:
    shown = pack_scenes()["plain"][:20]
    paths = [PACK / "plain" / "images" / f"{i:03}.webp" for i in range(len(shown))]
    images = clip.images(Image.open(path).convert("RGB") for path in paths)
    texts = clip.texts([one.captions[0] for one in shown])
    assert images.shape == texts.shape == (20, 128)
    assert np.allclose(np.linalg.norm(images, axis=1), 1, atol=1e-5)
    assert ((images @ texts.T).argmax(1) == np.arange(20)).mean() >= 0.8


@pytest.mark.parametrize("prompt", [PAPER, SMALLCAP, SUMMARISE])
def test_t5_says_what_agreeing_captions_say(t5: tuple[Any, Any], prompt: str) -> None:
    tokenizer, model = t5
    inputs = tokenizer(prompt.format(captions=TOLD), return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs)
    said = tokenizer.decode(output[0], skip_special_tokens=True)
    assert read_caption(said) == read_caption("Two dogs on the beach.")


def test_t5_weights_run_in_single_precision(t5: tuple[Any, Any]) -> None:
    assert t5[1].dtype == torch.float32


def test_the_tokenizer_knows_every_prompt(t5: tuple[Any, Any]) -> None:
    tokenizer, _ = t5
    for prompt in PROMPTS:
        assert tokenizer.unk_token_id not in tokenizer(prompt).input_ids
