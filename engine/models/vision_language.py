"""Text from pictures and a prompt: transformers image-text-to-text models that are talked with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL.Image import Image
from PIL.Image import new as blank

from engine.errors import InvalidInput, ModelMissing, MragError, first_line
from engine.models.device import Precision, choose_device, choose_threads, use_threads
from engine.models.generator import generator_id, token_ids
from engine.models.hub_cache import Needed, OneOf
from engine.models.plain_text import PlainText
from engine.models.pretrained import (
    CONFIG,
    OPTIONS,
    TOKENIZER,
    WEIGHTS,
    Kind,
    check_whole,
    load,
)
from engine.models.seq2seq import choose_dtype
from engine.models.shown_pictures import Fineness, finenesses, shrunk
from engine.models.streaming import Pieces, Tell, TokenStreamer, read_while_written
from engine.progress import Cancelled, check_cancelled

if TYPE_CHECKING:  # torch takes seconds to import
    import torch

MOST_IMAGES = 8
"""Pictures that any model is shown at once: more take long, and models attend to few."""

ROOM_TO_WRITE = 256
"""Tokens kept for the answer where a model reads and writes in one context."""

_DEFAULT_CONTEXT = 2048
"""Of a model that does not state its own."""

PICTURE_TOKENS, PICTURE_TOKENS_ON_CPU = 4000, 600
"""What the pictures of a prompt may take of it, all together, while there are coarser ones: a
model of 256 million weights spends 1.3 seconds of a core on 64 of them."""

_KIND = Kind("answerer", "an image-text-to-text model")
_PROCESSOR = OneOf("processor", ("processor_config.json", "preprocessor_config.json"))


class Parts(NamedTuple):
    """A loaded model; `source` is the hub name or the folder it came from."""

    source: str
    model: Any
    processor: Any


class VisionLanguageModel:
    """Writes a text about pictures, token by token; see `types.TextStream`.

    Threads may share one: they go one after the other. The likeliest token is taken each time.
    What looks like a control token in a prompt is read as text.
    """

    def __init__(self, parts: Parts, *, threads: int) -> None:
        """Take finished parts; raises InvalidInput where they cannot read a picture together."""
        self._source, self._model, self._processor = parts
        self._tokenizer = parts.processor.tokenizer
        self._threads = threads
        self._processor_lock = Lock()  # fast tokenizers refuse concurrent use
        self._model_lock = Lock()
        self._plain = PlainText(self._tokenizer, _stand_ins(parts.processor))
        # A model's own sampling settings stay out: the likeliest token is taken.
        self._token_ids = token_ids(self._model.generation_config)
        self._token_ids.setdefault("eos_token_id", self._tokenizer.eos_token_id)
        self._model.generation_config = type(self._model.generation_config)(**self._token_ids)
        _stop_between_layers(self._model)
        on_cpu = parts.model.device.type == "cpu"
        self._picture_tokens = PICTURE_TOKENS_ON_CPU if on_cpu else PICTURE_TOKENS
        self._context = _context(self._model.config, self._tokenizer)
        self._tokens: dict[Fineness, int] = {}
        """The most that a picture takes, from the finest to the coarsest."""
        self.max_images, self.max_input_tokens = self._room()

    @cached_property
    def id(self) -> str:
        """The hub name, or what tells the weights of a folder apart."""
        return generator_id(self._source)

    def count_tokens(self, text: str) -> int:
        """The number of the model's tokens in the text, without the end token."""
        with self._processor_lock:
            plain = self._plain.of(text)
            read = self._tokenizer(plain, add_special_tokens=False, verbose=False)
        return len(read["input_ids"])

    def stream(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Iterator[str]:
        """The pieces of the text, as they come; see `types.TextStream`."""
        return read_while_written(partial(self.write, prompt, images, max_new_tokens))

    def write(self, prompt: str, images: Sequence[Image], max_new_tokens: int, tell: Tell) -> None:
        """Write the whole text in this thread, and tell its pieces; heeds a cancellation.

        Raises InvalidInput for what does not fit, ModelMissing where model and processor turn
        out not to belong together.
        """
        import torch

        if max_new_tokens < 1:
            raise InvalidInput(f"max_new_tokens is {max_new_tokens}; it must be 1 or more")
        with self._explained(len(images)):
            inputs = self._fitting(prompt, images, max_new_tokens)
            with self._model_lock, torch.inference_mode():
                check_cancelled()
                use_threads(self._threads)
                self._model.generate(
                    **inputs.to(self._model.device, self._model.dtype),
                    generation_config=self._generation(max_new_tokens),
                    streamer=TokenStreamer(Pieces(self._decode, tell)),
                )

    def _generation(self, max_new_tokens: int) -> Any:
        from transformers import GenerationConfig

        return GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, **self._token_ids)

    def _decode(self, tokens: list[int]) -> str:
        with self._processor_lock:
            return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _fitting(self, prompt: str, images: Sequence[Image], max_new_tokens: int) -> Any:
        """Prompt and pictures as the model reads them, these as fine as time and room allow."""
        if len(images) > self.max_images:
            raise InvalidInput(
                f"{len(images)} pictures are given; {self._source} is shown at most "
                f"{self.max_images} at once: show it fewer"
            )
        inputs = self._read(prompt, [], Fineness(0))
        bare = most = _length(inputs)
        room = self._context - max_new_tokens
        for fineness in self._as_fine_as(len(images), room - bare):
            check_cancelled()
            inputs = self._read(prompt, images, fineness)
            most = _length(inputs)
            if most <= room:
                break
        if most > room:
            raise InvalidInput(
                f"the prompt has {bare} tokens, {most - bare} more for {len(images)} pictures and "
                f"{max_new_tokens} for the answer; {self._source} has room for {self._context} in "
                "all: ask in fewer words, show it fewer pictures, or have it write less"
            )
        return inputs

    def _as_fine_as(self, images: int, room: int) -> list[Fineness]:
        """How fine to try to show so many pictures, the finest that should do first."""
        if not images:
            return []
        most = min(room, self._picture_tokens) // images
        coarser = [fineness for fineness, tokens in self._tokens.items() if tokens <= most]
        return coarser or list(self._tokens)[-1:]

    def _read(self, prompt: str, images: Sequence[Image], fineness: Fineness) -> Any:
        """What the processor makes of a talk: the pictures in their order, then the prompt."""
        shown = [{"type": "image", "image": shrunk(image, fineness.side)} for image in images]
        with self._processor_lock:
            asked = {"type": "text", "text": self._plain.of(prompt)}
            return self._processor.apply_chat_template(
                [{"role": "user", "content": [*shown, asked]}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                processor_kwargs={"images_kwargs": fineness.options} if shown else {},
            )

    def _room(self) -> tuple[int, int]:
        """How many pictures it is shown at most, and the longest prompt beside so many."""
        with self._explained(0):
            around = _length(self._read("", [], Fineness(0)))
        with self._explained(1):
            for fineness in finenesses(self._processor.image_processor):
                self._tokens[fineness] = self._tokens_of(1, fineness) - around
        coarsest, of_one = list(self._tokens.items())[-1]
        left = self._context - ROOM_TO_WRITE - around
        if left < of_one:
            raise InvalidInput(
                f"{self._source} has room for {self._context} tokens, of which a picture takes "
                f"{of_one} and the answer {ROOM_TO_WRITE}: choose a model with more"
            )
        most = max(1, min(MOST_IMAGES, left // 2 // of_one))
        try:
            of_one = max(of_one, self._tokens_of(2, coarsest) - around - of_one)
        except Exception:  # whatever its processor raises: there are models of one picture
            most = 1
        return most, left - most * of_one

    def _tokens_of(self, count: int, fineness: Fineness) -> int:
        """The tokens of a prompt of no words and so many pictures, of the shape that takes most."""
        shapes = ((fineness.side, fineness.side), (fineness.side, fineness.side // 3))
        return max(
            _length(self._read("", [blank("RGB", shape)] * count, fineness)) for shape in shapes
        )

    @contextmanager
    def _explained(self, pictures: int) -> Iterator[None]:
        """Put into words what transformers raises of a model that does not work."""
        import torch

        try:
            yield
        except (MragError, Cancelled, MemoryError):
            raise
        except torch.OutOfMemoryError as error:
            raise InvalidInput(
                f"{self._source} and {pictures} pictures do not fit into the memory of "
                f"{self._model.device}; show it fewer, or choose a smaller model or device cpu"
            ) from error
        except Exception as error:
            why = f"{type(error).__name__}: {first_line(error)[:200]}"
            raise ModelMissing(
                f"{self._source} cannot answer a prompt with {pictures} pictures ({why}): its "
                "weights, its processor and its chat template do not belong together, or it is no "
                "model that is talked with; choose another one (MRAG_ANSWERER)"
            ) from error


def needed(spec: str) -> Iterator[Needed]:
    """What an answerer needs of the hub; nothing where it is a folder."""
    if not Path(spec).expanduser().is_dir():
        files = (CONFIG, WEIGHTS, TOKENIZER, _PROCESSOR)
        yield Needed(spec, spec, files, ("*.json", "*.model", "*.txt", "*.jinja"))


def load_vision_language(
    spec: str, *, device: str = "auto", precision: Precision = "auto", threads: int = 0
) -> VisionLanguageModel:
    """Load a model by its hub name, or from a folder with safetensors weights.

    What the hub's cache already has is loaded without asking the network. `precision` and
    `threads` as for `load_generator`. Raises ModelMissing with the way to get it, and InvalidInput
    for what cannot be used: a device, a precision, a model that takes no pictures or no talk.
    """
    chosen = choose_device(device)

    def read(source: str, folder: Path) -> Parts:
        return Parts(source, *_load(source, folder, chosen, precision))

    parts: Parts = load(spec, _KIND, needed, read)
    parts = parts._replace(model=parts.model.to(chosen).eval())
    return VisionLanguageModel(parts, threads=choose_threads(parts.model, threads))


def _load(source: str, folder: Path, device: torch.device, precision: Precision) -> tuple[Any, Any]:
    """Load model and processor from a folder's files; OSError if one is not there."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(folder, **OPTIONS)
    if type(config) not in AutoModelForImageTextToText._model_mapping:
        raise InvalidInput(
            f"{source} is no image-text-to-text model: transformers knows none of the kind "
            f"{config.model_type!r}; choose one like HuggingFaceTB/SmolVLM-500M-Instruct"
        )
    processor = _processor(source, folder)
    model, report = AutoModelForImageTextToText.from_pretrained(
        folder,
        config=config,
        dtype=choose_dtype(precision, device, config.get_text_config()),
        use_safetensors=True,
        output_loading_info=True,
        **OPTIONS,
    )
    check_whole(source, report)
    return model, processor


def _processor(source: str, folder: Path) -> Any:
    """The processor, which joins a tokenizer, an image processor and a chat template."""
    from transformers import AutoProcessor

    for one in (_PROCESSOR, TOKENIZER):
        if not any((folder / name).is_file() for name in one.names):
            raise FileNotFoundError(f"it has no {one.what} ({' or '.join(one.names)}).")
    processor = AutoProcessor.from_pretrained(folder, **OPTIONS)
    # Of what is no whole processor transformers gives a part.
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise FileNotFoundError("its processor does not join a tokenizer and an image processor.")
    if not processor.chat_template:
        raise InvalidInput(
            f"{source} has no chat template, so that nothing says how it is asked about pictures; "
            "choose a model that is talked with, mostly named -Instruct or -Chat, or put its "
            "chat_template.jinja beside its config.json"
        )
    return processor


def _stop_between_layers(model: torch.nn.Module) -> None:
    """Have the model heed a cancellation before each layer: to read pictures takes seconds."""
    import torch

    for part in model.modules():
        if isinstance(part, torch.nn.ModuleList):
            for layer in part:
                layer.register_forward_pre_hook(lambda *_: check_cancelled())


def _context(config: Any, tokenizer: Any) -> int:
    """The tokens of prompt, pictures and answer together."""
    stated = [
        tokenizer.model_max_length,
        getattr(config.get_text_config(), "max_position_embeddings", None),
    ]
    # A tokenizer that knows no limit states 10 ** 30.
    return int(min([limit for limit in stated if limit and limit < 10**9] or [_DEFAULT_CONTEXT]))


def _stand_ins(processor: Any) -> list[str]:
    """The words that a processor puts pictures in place of, and what it puts around them."""
    named = (value for name, value in vars(processor).items() if name.endswith("_token"))
    return [word for word in map(str, named) if word and not word.isalnum()]


def _length(inputs: Any) -> int:
    return int(inputs["input_ids"].shape[1])
