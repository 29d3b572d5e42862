"""BLIP's matching head: a tiny one of random weights, saved as real ones are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BlipForImageTextRetrieval, BlipProcessor

from engine.errors import InvalidInput, ModelMissing
from engine.models.image_text_matching import BlipMatcher, load_matcher
from engine.models.queues import BatchedMatcher
from tests.blip import save_blip

TEXTS = ["a red dog", "a blue cat", "dog", "", "☃ a cat on a cat on a cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("blip")
    save_blip(made)
    return made


@pytest.fixture(scope="module")
def matcher(folder: Path) -> BlipMatcher:
    return load_matcher(str(folder), device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def images() -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 255, (10, 40, 50, 3), dtype=np.uint8)
    return [Image.fromarray(pixels) for pixels in noise]


def by_transformers(folder: Path, image: Image.Image, text: str) -> float:
    """What transformers' own forward says of one pair."""
    model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
    processor = BlipProcessor.from_pretrained(folder)
    given = processor(images=image, text=text, return_tensors="pt", truncation=True, max_length=24)
    with torch.inference_mode():
        no, yes = model(**given).itm_score[0]
    return float(yes - no)


def test_it_says_what_the_model_itself_says(
    matcher: BlipMatcher, folder: Path, images: list[Image.Image]
) -> None:
    pairs = [(image, text) for image in images[:3] for text in TEXTS]
    expected = [by_transformers(folder, *pair) for pair in pairs]
    np.testing.assert_allclose(matcher.match(pairs), expected, atol=1e-4)
    odds = np.reshape(expected, (3, len(TEXTS)))
    assert odds.std(axis=0).min() > 0.01  # both sides matter
    assert odds.std(axis=1).min() > 0.01


def test_neither_the_batch_nor_the_order_matters(
    matcher: BlipMatcher, images: list[Image.Image]
) -> None:
    pairs = [(image, text) for text in TEXTS for image in images]
    expected = [matcher.match([pair])[0] for pair in pairs]
    np.testing.assert_allclose(matcher.match(pairs), expected, atol=1e-4)


def test_a_picture_with_many_texts_is_looked_at_once(
    folder: Path, images: list[Image.Image]
) -> None:
    matcher = load_matcher(str(folder), device="cpu", precision="fp32")
    looks: list[int] = []
    matcher._parts.model.vision_model.register_forward_pre_hook(
        lambda _, __, given: looks.append(len(given["pixel_values"])), with_kwargs=True
    )
    matcher.match([(image, text) for text in TEXTS * 8 for image in images[:2]])
    assert looks == [2]


def test_a_text_longer_than_the_model_reads_is_cut(
    matcher: BlipMatcher, images: list[Image.Image]
) -> None:
    long, longer = "a cat " * 11, "a cat " * 5000
    found = matcher.match([(images[0], long), (images[0], longer)])
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_sessions_share_one_queue(matcher: BlipMatcher, images: list[Image.Image]) -> None:
    batched = BatchedMatcher(matcher, max_waiting=4)
    pairs = [(images[0], text) for text in TEXTS]
    np.testing.assert_allclose(batched.match(pairs), matcher.match(pairs), atol=1e-4)
    assert batched.id == matcher.id
    assert batched.match([]).shape == (0,)
    batched.close()


def test_a_folder_that_holds_another_model(tmp_path: Path, folder: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(InvalidInput, match="of the kind 't5'; a picture reranker is a BLIP"):
        load_matcher(str(other))


def test_a_blip_that_writes_captions_has_no_head(tmp_path: Path, folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(folder, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("itm_head")}
    save_file(kept, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelMissing, match=r"lack 2 of the model's tensors, itm_head\.bias among"):
        load_matcher(str(other))


@pytest.mark.parametrize("gone", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_is_not_whole(tmp_path: Path, folder: Path, gone: str) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    (other / gone).unlink()
    with pytest.raises(ModelMissing, match="holds no complete reranker"):
        load_matcher(str(other))


def test_a_file_that_was_cut(tmp_path: Path, folder: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelMissing, match="files of it are damaged"):
        load_matcher(str(other))
