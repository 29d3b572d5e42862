"""The encoder over open_clip models: the sample's tiny one, and ones with random weights."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file

from engine.errors import InvalidInput, ModelMissing
from engine.images import open_picture
from engine.models.clip_loader import choose_precision
from engine.models.encoder import OpenClipEncoder, load_encoder
from engine.models.text_tower import TextTower

REPO = Path(__file__).parents[2]
SAMPLE_CLIP = REPO / "sample" / "pack" / "clip"
REFERENCE = REPO.parent / "shared" / "reference" / "clip_preprocessing"
needs_sample = pytest.mark.skipif(
    not (SAMPLE_CLIP / "open_clip_config.json").is_file(), reason=f"{SAMPLE_CLIP} is not here"
)

TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "patch_size": 56},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def save_random_clip(folder: Path, seed: int = 0) -> Path:
    """A small CLIP with random weights in open_clip's folder format, with CLIP's tokenizer."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    weights = open_clip.CLIP(**TINY).state_dict()
    save_file(weights, folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_clip(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tiny(folder: Path) -> OpenClipEncoder:
    return load_encoder(f"local-dir:{folder}", device="cpu", precision="fp32", batch_size=4)


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub that refuses connections, and an empty cache."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield tmp_path / "cache"
    assert constants.HF_HUB_OFFLINE is False
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)  # pytest keeps the rest


def pictures(count: int) -> list[Image.Image]:
    values = np.random.default_rng(1).integers(0, 256, (count, 40, 60, 3), dtype=np.uint8)
    return [Image.fromarray(value) for value in values]


TEXTS = ["two dogs", "a cat on a red chair", "", "rain", "a very long walk " * 40, "Öl", "dog"]


def test_rows_are_unit_float32(tiny: OpenClipEncoder) -> None:
    for vectors in (tiny.encode_images(pictures(6)), tiny.encode_texts(TEXTS)):
        assert vectors.dtype == np.float32
        assert vectors.shape[1] == tiny.dim == 16
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_nothing_gives_no_rows(tiny: OpenClipEncoder) -> None:
    assert tiny.encode_images([]).shape == tiny.encode_texts([]).shape == (0, 16)


def test_vectors_do_not_depend_on_the_batch(folder: Path, tiny: OpenClipEncoder) -> None:
    images = pictures(9)
    alone = load_encoder(f"local-dir:{folder}", device="cpu", precision="fp32", batch_size=1)
    np.testing.assert_allclose(
        tiny.encode_images(images), alone.encode_images(images), atol=1e-5, rtol=0
    )
    np.testing.assert_allclose(
        tiny.encode_texts(TEXTS), alone.encode_texts(TEXTS), atol=1e-5, rtol=0
    )
    reversed_rows = tiny.encode_images(images[::-1])[::-1]
    np.testing.assert_allclose(tiny.encode_images(images), reversed_rows, atol=1e-5, rtol=0)


def test_vectors_equal_open_clips_own(folder: Path, tiny: OpenClipEncoder) -> None:
    model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
    with torch.inference_mode():
        batch = torch.stack([prepare(image) for image in pictures(3)])
        expected = model.eval().encode_image(batch, normalize=True).numpy()
        np.testing.assert_allclose(tiny.encode_images(pictures(3)), expected, atol=1e-5)
        expected = model.encode_text(tokenize(TEXTS), normalize=True).numpy()
        np.testing.assert_allclose(tiny.encode_texts(TEXTS), expected, atol=1e-5)


def test_many_threads_get_the_same_vectors(tiny: OpenClipEncoder) -> None:
    images = pictures(8)
    expected, texts = tiny.encode_images(images), tiny.encode_texts(TEXTS)
    with ThreadPoolExecutor(6) as pool:
        embedded = [pool.submit(tiny.encode_images, images) for _ in range(8)]
        read = [pool.submit(tiny.encode_texts, TEXTS) for _ in range(8)]
        for future in embedded:
            np.testing.assert_allclose(future.result(), expected, atol=1e-6)
        for future in read:
            np.testing.assert_allclose(future.result(), texts, atol=1e-6)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"{REFERENCE} is not here")
def test_preprocessing_equals_clips_reference(tiny: OpenClipEncoder) -> None:
    picture = open_picture(REFERENCE / "franz-kafka.jpg")
    expected = np.load(REFERENCE / "expected_preprocessed_image.npy")[0]
    np.testing.assert_allclose(tiny.prepare(picture.image).numpy(), expected, atol=1e-5, rtol=0)


def test_a_thread_of_pixels_does_not_fill_the_memory(tiny: OpenClipEncoder) -> None:
    """Scaled by its shorter side, a 1 x 100,000 picture would become 15 GB."""
    wide = Image.new("RGB", (100_000, 1), "red")
    assert tiny.prepare(wide).shape == tiny.prepare(wide.rotate(90, expand=True)).shape
    strip = pictures(1)[0].resize((2000, 30))
    middle = strip.crop((700, 0, 1300, 30))  # far more of it than the centre crop keeps
    np.testing.assert_allclose(tiny.prepare(strip).numpy(), tiny.prepare(middle).numpy(), atol=0.02)


def test_id_follows_the_content_not_the_place(folder: Path, tmp_path: Path) -> None:
    def id_of(path: Path) -> str:
        return load_encoder(f"local-dir:{path}", device="cpu").id

    first = id_of(folder)
    assert first.startswith("local-dir@")
    assert len(first.rpartition("@")[2]) == 12
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(folder, moved)
    assert id_of(moved) == first
    (moved / "README.md").write_text("not a part of the model")
    assert id_of(moved) == first

    weights = load_file(moved / "open_clip_model.safetensors")
    weights["logit_scale"] = weights["logit_scale"] + 1
    save_file(weights, moved / "open_clip_model.safetensors")
    assert id_of(moved) != first

    other = save_random_clip(tmp_path / "config" / "tiny")
    assert id_of(other) == first
    config = {"model_cfg": TINY, "preprocess_cfg": {"interpolation": "bilinear"}}
    (other / "open_clip_config.json").write_text(json.dumps(config))
    assert id_of(other) != first


def test_low_precision_stays_close(folder: Path, tiny: OpenClipEncoder) -> None:
    low = load_encoder(f"local-dir:{folder}", device="cpu", precision="bf16")
    assert low.precision == "bf16"
    assert low.encode_texts(TEXTS).dtype == np.float32
    for a, b in (
        (low.encode_images(pictures(4)), tiny.encode_images(pictures(4))),
        (low.encode_texts(TEXTS), tiny.encode_texts(TEXTS)),
    ):
        assert (a * b).sum(axis=1).min() > 0.999


def test_vectors_that_are_not_finite_are_refused(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights = load_file(broken / "open_clip_model.safetensors")
    weights["visual.proj"] = weights["visual.proj"] * float("nan")
    save_file(weights, broken / "open_clip_model.safetensors")
    encoder = load_encoder(f"local-dir:{broken}", device="cpu", precision="fp32")
    with pytest.raises(InvalidInput, match=r"local-dir@.* not finite .* fp32"):
        encoder.encode_images(pictures(2))


def test_auto_precision_by_device() -> None:
    assert choose_precision("auto", torch.device("cuda"), 1024) == "fp16"
    assert choose_precision("auto", torch.device("mps"), 1024) == "fp32"
    assert choose_precision("auto", torch.device("cpu"), 128) == "fp32"
    assert choose_precision("bf16", torch.device("cpu"), 128) == "bf16"


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("ViT-B32/openai", ["'ViT-B32'", "ViT-B-32"]),
        ("ViT-B-32/laion2b_s34b", ["'laion2b_s34b'", "laion2b_s34b_b79k"]),
        ("ViT-B/32/opnai", ["'opnai'", "openai"]),
        ("ViT-B-32", ["ViT-B-32/TAG", "openai"]),
        ("nonsense", ["'nonsense'", "MODEL/TAG"]),
        ("", ["MODEL/TAG"]),
    ],
)
def test_unknown_names_list_near_ones(spec: str, parts: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_encoder(spec, device="cpu")
    assert all(part in str(caught.value) for part in parts)


def test_arguments_that_cannot_be_used(folder: Path) -> None:
    spec = f"local-dir:{folder}"
    with pytest.raises(InvalidInput, match="batch_size is 0"):
        load_encoder(spec, batch_size=0)
    with pytest.raises(InvalidInput, match="abacus"):
        load_encoder(spec, device="abacus")
    with pytest.raises(InvalidInput, match="int3"):
        load_encoder(spec, device="cpu", precision="int3")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("spec", ["ViT-B-32/openai", "ViT-B/32/OpenAI", "hf-hub:some/clip"])
def test_weights_that_cannot_be_had(spec: str, no_hub: Path) -> None:
    with pytest.raises(ModelMissing) as caught:
        load_encoder(spec, device="cpu")
    message = str(caught.value)
    assert str(no_hub) in message
    assert "hf download" in message
    assert ("hf-hub:some/clip" if "some" in spec else "ViT-B-32/openai") in message
    assert "models--" in message
    assert "local-dir:" in message


def test_weights_in_the_cache_need_no_hub(no_hub: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The cache of another machine, copied: the tag's QuickGELU and preprocessing are kept."""
    snapshot = no_hub / "models--timm--resnet50_clip.openai" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    torch.manual_seed(0)
    config = open_clip.get_model_config("RN50")
    assert config is not None
    expected = open_clip.CLIP(**{**config, "quick_gelu": True}).eval()
    save_file(expected.state_dict(), snapshot / "open_clip_model.safetensors")
    handlers = list(logging.getLogger().handlers)

    encoder = load_encoder("RN50/openai", device="cpu", precision="fp32")

    assert encoder.id == "RN50/openai"
    assert encoder.dim == 1024
    assert logging.getLogger().handlers == handlers
    assert not caplog.records
    tokens = open_clip.get_tokenizer("RN50")(["a dog"])
    with torch.inference_mode():
        vector = expected.encode_text(tokens, normalize=True).numpy()
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), vector, atol=1e-5)


def test_folders_that_hold_no_model(folder: Path, tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(ModelMissing) as caught:
            load_encoder(f"local-dir:{path}", device="cpu")
        return str(caught.value)

    assert "no folder" in message(tmp_path / "none")
    bare = tmp_path / "bare"
    bare.mkdir()
    assert "open_clip_config.json" in message(bare)
    (bare / "open_clip_config.json").write_text("{")
    assert str(bare) in message(bare)
    (bare / "open_clip_config.json").write_text("[]")
    assert str(bare) in message(bare)
    shutil.copy(folder / "open_clip_config.json", bare)
    assert "no weights" in message(bare)
    whole = (folder / "open_clip_model.safetensors").read_bytes()
    (bare / "open_clip_model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert "damaged" in message(bare)
    save_file({"logit_scale": torch.tensor(1.0)}, bare / "open_clip_model.safetensors")
    assert "cannot be loaded" in message(bare)


@pytest.mark.parametrize(
    ("tower", "positions"),
    [
        ({}, 5),  # <start> two brown dogs <end>
        ({"pool_type": "eos", "eos_id": 49407}, 5),
        ({"pool_type": "last"}, 77),  # reads the last position, padding or not
        ({"no_causal_mask": True}, 77),  # each token sees those behind it
    ],
)
def test_texts_are_encoded_without_the_padding_that_nothing_sees(
    tower: dict[str, Any], positions: int
) -> None:
    settings = TINY | {"text_cfg": TINY["text_cfg"] | tower}
    torch.manual_seed(0)
    model = open_clip.CLIP(**settings).eval()
    seen: list[int] = []
    model.token_embedding.register_forward_pre_hook(lambda _, given: seen.append(len(given[0][0])))
    tokens = open_clip.tokenize(["dogs", "two brown dogs"])
    with torch.inference_mode():
        found, whole = TextTower(model).encode(tokens), model.encode_text(tokens)
    assert seen == [positions, 77]
    torch.testing.assert_close(found, whole, atol=1e-6, rtol=0)


@needs_sample
def test_the_sample_model_tells_pictures_apart() -> None:
    encoder = load_encoder(f"local-dir:{SAMPLE_CLIP}", device="cpu")
    assert encoder.precision == "fp32"
    assert encoder.id.startswith("local-dir@")
    texts = encoder.encode_texts(["two dogs on a beach", "two dogs on a beach", "a cake in snow"])
    np.testing.assert_array_equal(texts[0], texts[1])
    assert texts[0] @ texts[2] < 0.9
    assert encoder.encode_images(pictures(2)).shape == (2, encoder.dim)
