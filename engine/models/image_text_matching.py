"""Whether a text fits a picture, by a model that reads one while it looks at the other: BLIP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL.Image import Image

from engine.errors import InvalidInput
from engine.models.device import Precision, choose_device, choose_threads, use_threads
from engine.models.generator import generator_id
from engine.models.hub_cache import Needed, OneOf
from engine.models.pretrained import (
    CONFIG,
    OPTIONS,
    TOKENIZER,
    WEIGHTS,
    Kind,
    check_vocabulary,
    check_whole,
    load,
)
from engine.models.seq2seq import choose_dtype
from engine.types import Vector

if TYPE_CHECKING:
    import torch
    from torch import Tensor

IMAGES_TOGETHER, TEXTS_TOGETHER = 8, 32
"""Pictures looked at in one batch, and texts read in one: a picture costs ten times a text."""

_KIND = Kind("reranker", "a BLIP model that matches texts with images")
_PROCESSOR = OneOf("image processor", ("preprocessor_config.json", "processor_config.json"))
_FITS = 1
"""Which of the two numbers of the head speaks for a match, as BLIP was trained."""


class Parts(NamedTuple):
    """A loaded model; `source` is the hub name or the folder it came from."""

    source: str
    model: Any
    processor: Any


class BlipMatcher:
    """BLIP's image-text matching head (Li et al., 2022) as a `types.Matcher`.

    Threads may share one. What is told of a pair does not depend on those it is batched with (up
    to rounding in bfloat16). Texts longer than the model reads are cut.
    """

    def __init__(self, parts: Parts, threads: int) -> None:
        """Take finished parts."""
        self._parts = parts
        self._threads = threads
        self._lock = Lock()  # of model, processor and tokenizer: one call at a time
        self._longest = int(parts.model.config.text_config.max_position_embeddings)

    @cached_property
    def id(self) -> str:
        """The hub name, or `local-dir@` and what the files' bytes add up to."""
        return generator_id(self._parts.source)

    def match(self, pairs: list[tuple[Image, str]]) -> Vector:
        """The log-odds that each text fits its RGB picture, (n,) float32; see `types.Matcher`."""
        import torch

        found = np.empty(len(pairs), np.float32)
        with self._lock, torch.inference_mode():
            use_threads(self._threads)
            for places in _by_picture(pairs):
                images = [pairs[same[0]][0] for same in places]
                self._match(self._looked_at(images), pairs, places, found)
        return found

    def _match(
        self,
        seen: Tensor,
        pairs: Sequence[tuple[Image, str]],
        places: Sequence[Sequence[int]],
        found: Vector,
    ) -> None:
        """Fill in the log-odds of the pairs at `places`; `seen` are their pictures, in order."""
        wanted = ((i, place) for i, same in enumerate(places) for place in same)
        while batch := list(islice(wanted, TEXTS_TOGETHER)):
            texts = [pairs[place][1] for _, place in batch]
            odds = self._read(texts, seen[[i for i, _ in batch]])
            found[[place for _, place in batch]] = odds.float().cpu().numpy()

    def _looked_at(self, images: list[Image]) -> Tensor:
        """What the model sees of pictures: (n, patches, width)."""
        model = self._parts.model
        given = self._parts.processor.image_processor(images=images, return_tensors="pt")
        pixels = given["pixel_values"].to(model.device, model.dtype)
        seen: Tensor = model.vision_model(pixel_values=pixels).last_hidden_state
        return seen

    def _read(self, texts: list[str], seen: Tensor) -> Tensor:
        """The log-odds that texts fit what is seen, one each: (n,)."""
        model = self._parts.model
        given = self._parts.processor.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self._longest,
            return_token_type_ids=False,
            return_tensors="pt",
        ).to(model.device)
        read = model.text_encoder(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            encoder_hidden_states=seen,
            encoder_attention_mask=seen.new_ones(seen.shape[:-1]),
        ).last_hidden_state
        heads = model.itm_head(read[:, 0]).float()
        odds: Tensor = heads[:, _FITS] - heads[:, 1 - _FITS]
        return odds


def needed(spec: str) -> Iterator[Needed]:
    """What such a model needs of the hub; nothing where it is a folder."""
    if not Path(spec).expanduser().is_dir():
        files = (CONFIG, WEIGHTS, TOKENIZER, _PROCESSOR)
        yield Needed(spec, spec, files, ("*.json", "*.txt"))


def load_matcher(
    spec: str, *, device: str = "auto", precision: Precision = "auto", threads: int = 0
) -> BlipMatcher:
    """Load BLIP for image-text retrieval by its hub name, or from a folder with safetensors.

    `precision` and `threads` as in `engine.models.generator.load_generator`. Raises ModelMissing
    with the way to get it, and InvalidInput for another kind of model.
    """
    chosen = choose_device(device)

    def read(source: str, folder: Path) -> Parts:
        return Parts(source, *_load(source, folder, chosen, precision))

    parts: Parts = load(spec, _KIND, needed, read)
    model = parts.model.to(chosen).eval()
    return BlipMatcher(parts._replace(model=model), choose_threads(model, threads))


def _load(source: str, folder: Path, device: torch.device, precision: Precision) -> tuple[Any, Any]:
    """Load model and processor from a folder's files; OSError if one is not there."""
    from transformers import AutoConfig, BlipForImageTextRetrieval, BlipProcessor

    config = AutoConfig.from_pretrained(folder, **OPTIONS)
    if config.model_type != "blip":
        raise InvalidInput(
            f"{source} is a model of the kind {config.model_type!r}; a picture reranker is "
            f"{_KIND.what}, as Salesforce/blip-itm-base-coco: name one with MRAG_RERANKER"
        )
    model, report = BlipForImageTextRetrieval.from_pretrained(
        folder,
        config=config,
        dtype=choose_dtype(precision, device, config.text_config),
        use_safetensors=True,
        output_loading_info=True,
        **OPTIONS,
    )
    check_whole(source, report)
    processor = BlipProcessor.from_pretrained(folder, **OPTIONS)
    check_vocabulary(folder, processor.tokenizer)
    return model, processor


def _by_picture(pairs: Sequence[tuple[Image, str]]) -> Iterator[list[list[int]]]:
    """The places of pairs, those of one picture together, for so many pictures at once."""
    places: dict[int, list[int]] = {}
    for place, (image, _) in enumerate(pairs):
        places.setdefault(id(image), []).append(place)
    each = iter(places.values())
    while some := list(islice(each, IMAGES_TOGETHER)):
        yield some
