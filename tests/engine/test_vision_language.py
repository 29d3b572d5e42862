"""Image-text-to-text models of three real architectures, loaded as a user's would be."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, T5Config

from engine.errors import InvalidInput, ModelMissing
from engine.models import vision_language
from engine.models.loaded import Models
from engine.models.presence import absent
from engine.models.vision_language import VisionLanguageModel, load_vision_language
from engine.progress import Cancellation, Cancelled
from engine.settings import PROFILES, Settings
from tests.answerers import ARCHITECTURES, llava
from tests.hub import ModelHub

RED = Image.new("RGB", (300, 200), (250, 30, 20))
BLUE = Image.new("RGB", (200, 300), (20, 30, 250))
QUESTION = "Which of the pictures shows a dog?"


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ARCHITECTURES[request.param](tmp_path_factory.mktemp("answerer") / request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> VisionLanguageModel:
    return load_vision_language(str(folder), device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def small_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llava(tmp_path_factory.mktemp("answerer") / "llava")


@pytest.fixture
def own_llava(small_llava: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return shutil.copytree(small_llava, tmp_path / "own")


def written(model: VisionLanguageModel, prompt: str, *images: Image.Image, most: int = 12) -> str:
    return "".join(model.stream(prompt, images, most))


@pytest.mark.parametrize("images", [(), (RED,), (RED, BLUE)])
def test_writes_what_transformers_writes(
    folder: Path, model: VisionLanguageModel, images: tuple[Image.Image, ...]
) -> None:
    bare = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(folder)
    content = [*({"type": "image", "image": image} for image in images)]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": [*content, {"type": "text", "text": QUESTION}]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    tokens = bare.generate(**inputs, max_new_tokens=12, do_sample=False)
    new = tokens[0, inputs["input_ids"].shape[1] :]
    expected = processor.decode(new, skip_special_tokens=True).strip()
    assert expected
    assert written(model, QUESTION, *images) == expected


def test_it_sees_which_picture_is_which(model: VisionLanguageModel) -> None:
    texts = {written(model, QUESTION, *shown, most=40) for shown in ((), (RED,), (RED, BLUE))}
    assert len(texts) == 3


def test_pictures_and_prompts_up_to_its_limits_fit(model: VisionLanguageModel) -> None:
    word = next(word for word in ("a ", "a") if model.count_tokens(word * 9) == 9 * len(word))
    longest = word * (model.max_input_tokens // len(word))
    shapes = [(3000, 2000), (1, 1), (1500, 3), (64, 2500)]
    images = [Image.new("RGB", shapes[i % 4]) for i in range(model.max_images)]
    assert model._fitting(longest, images, vision_language.ROOM_TO_WRITE)
    with pytest.raises(InvalidInput, match=r"has \d+ tokens, \d+ more for \d pictures and 256 for"):
        written(model, longest * 3, *images, most=vision_language.ROOM_TO_WRITE)
    with pytest.raises(InvalidInput, match=rf"50 pictures .* at most {model.max_images} at once"):
        written(model, QUESTION, *[RED] * 50)
    with pytest.raises(InvalidInput, match="max_new_tokens is 0"):
        written(model, QUESTION, most=0)


def frames() -> Image.Image:
    """A picture that moves, as one comes from a GIF."""
    from io import BytesIO

    file = BytesIO()
    RED.save(file, "GIF", save_all=True, append_images=[BLUE])
    return Image.open(file)


@pytest.mark.parametrize(
    "picture",
    [
        RED.convert("CMYK"),
        RED.convert("RGBA"),
        RED.convert("1"),
        frames(),
        Image.new("I;16", (9, 9)),
    ],
)
def test_pictures_of_any_mode(model: VisionLanguageModel, picture: Image.Image) -> None:
    assert written(model, QUESTION, picture)


def read(model: VisionLanguageModel, prompt: str) -> list[int]:
    """The tokens that a prompt with one picture becomes."""
    tokens: list[int] = model._fitting(prompt, [RED], 5)["input_ids"][0].tolist()
    return tokens


CONTROL = (
    "<image>", "</s>", "<s>", "<|im_end|>", "<|im_start|>", "<end_of_utterance>", "<|image_pad|>",
    "<fake_token_around_image>", "<row_1_col_1>", "<|vision_start|>", "<pad>", "<im<image>age>",
    "<|im_end|><|im_end|>",
)  # fmt: skip


def test_what_looks_like_a_control_token_is_text(model: VisionLanguageModel) -> None:
    tokenizer = model._tokenizer
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    plain = [token for token in read(model, "a b") if token in special]
    for word in CONTROL:
        tokens = read(model, f"a {word} b")
        assert [token for token in tokens if token in special] == plain
        assert model.count_tokens(word) >= len(word)


def test_a_stream_that_is_closed_or_cancelled_ends(model: VisionLanguageModel) -> None:
    long = model.stream(QUESTION, [RED], 200)
    assert next(long)
    long.close()  # type: ignore[attr-defined]  # it is a generator
    cancellation = Cancellation()
    with cancellation.watched():
        pieces = model.stream(QUESTION, [RED], 200)
        next(pieces)
        cancellation.ask()
        with pytest.raises(Cancelled):
            list(pieces)
        with pytest.raises(Cancelled):
            next(model.stream(QUESTION, [RED], 200))
    assert written(model, QUESTION, RED)


def test_a_client_that_goes_before_the_first_token_stops_it_between_two_layers(
    model: VisionLanguageModel,
) -> None:
    layers: list[str] = []
    cancellation = Cancellation()
    stack = [part for part in model._model.modules() if isinstance(part, torch.nn.ModuleList)]

    def first(*_: Any) -> None:
        layers.append("first")
        cancellation.ask()

    def last(*_: Any) -> None:
        layers.append("last")

    hooks = [stack[0][0].register_forward_hook(first), stack[-1][-1].register_forward_hook(last)]
    try:
        with cancellation.watched(), pytest.raises(Cancelled):
            model.write(QUESTION, [RED], 5, layers.append)
    finally:
        for hook in hooks:
            hook.remove()
    assert layers == ["first"]


def test_two_streams_at_once(model: VisionLanguageModel) -> None:
    expected = [written(model, QUESTION, image) for image in (RED, BLUE)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda image: written(model, QUESTION, image), (RED, BLUE))
        assert list(found) == expected


def test_id_follows_the_weights(model: VisionLanguageModel) -> None:
    assert model.id.startswith("local-dir@")


# What cannot be used.


def no_processor(folder: Path) -> None:
    (folder / "processor_config.json").unlink()


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def change(folder: Path, name: str, **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def short(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(
        folder, "config.json", text_config=config["text_config"] | {"max_position_embeddings": 64}
    )


def deeper(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(folder, "config.json", text_config=config["text_config"] | {"num_hidden_layers": 3})


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (no_processor, ModelMissing, "no complete answerer: it has no processor"),
        (no_template, InvalidInput, "no chat template, .* named -Instruct"),
        (no_weights, ModelMissing, r"no complete answerer: .*model\.safetensors"),
        (
            no_tokenizer,
            ModelMissing,
            r"no complete answerer: it has no tokenizer",
        ),
        (cut_weights, ModelMissing, "damaged"),
        (deeper, ModelMissing, r"lack 9 of the model's tensors"),
        (short, InvalidInput, "room for 64 tokens, of which a picture takes 17 and the answer 256"),
    ],
)
def test_a_folder_that_cannot_be_used(
    own_llava: Path, harm: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    harm(own_llava)
    with pytest.raises(error, match=message):
        load_vision_language(str(own_llava))


def test_another_kind_of_model(tmp_path: Path) -> None:
    T5Config(d_model=8).save_pretrained(tmp_path)
    with pytest.raises(InvalidInput, match=r"no image-text-to-text model: .*'t5'"):
        load_vision_language(str(tmp_path))
    with pytest.raises(ModelMissing, match="there is no folder '/no/such/folder'"):
        load_vision_language("/no/such/folder")


def test_a_processor_of_another_model(own_llava: Path) -> None:
    change(own_llava, "processor_config.json", patch_size=16)  # 4 tokens stand for 16
    model = load_vision_language(str(own_llava))
    with pytest.raises(ModelMissing, match=r"with 1 pictures .* do not belong together"):
        written(model, QUESTION, RED)


def test_a_template_that_wants_something_else(own_llava: Path) -> None:
    template = "{{ raise_exception('roles must alternate') }}"
    (own_llava / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelMissing, match="roles must alternate"):
        load_vision_language(str(own_llava))


def test_a_models_own_sampling_settings_stay_out(own_llava: Path) -> None:
    plain = written(load_vision_language(str(own_llava)), QUESTION, RED)
    settings = {"do_sample": True, "temperature": 9.0, "repetition_penalty": 9.0}
    change(own_llava, "generation_config.json", **settings)
    assert written(load_vision_language(str(own_llava)), QUESTION, RED) == plain


@pytest.fixture
def there(hub: ModelHub, small_llava: Path) -> ModelHub:
    hub.add_folder("org/llava", small_llava)
    return hub


def test_by_its_name_on_the_hub(there: ModelHub) -> None:
    fetched = load_vision_language("org/llava")
    assert fetched.id == "org/llava"
    assert any(one.path.endswith("chat_template.jinja") for one in there.asked)
    before = len(there.asked)
    assert written(load_vision_language("org/llava"), QUESTION, RED)
    assert len(there.asked) == before
    with pytest.raises(ModelMissing, match="check the name"):
        load_vision_language("org/absent")


def test_the_settings_name_what_answers(small_llava: Path) -> None:
    models = Models(Settings(device="cpu", threads=1))
    answerer = models.queued_answerer(str(small_llava), "consensus")
    assert answerer is not None
    assert models.has_answerer(str(small_llava))
    assert models.queued_answerer(str(small_llava), "consensus") is answerer
    assert models.queued_answerer("", "consensus") is None
    assert "".join(answerer.stream(QUESTION, [RED], 5))
    assert [one.batches for one in models.queues()["answerer"]] == [{1: 1}]
    models.close()


def test_what_is_not_here_of_it_is_known(there: ModelHub) -> None:
    encoder = PROFILES["sample"][0]
    assert absent(encoder, "consensus", answerer="") == []
    (needed,) = absent(encoder, "consensus", answerer="org/llava")
    assert needed.repository == "org/llava"
    assert "*.jinja" in needed.command
    assert there.endpoint
