"""Loads open_clip models: by name and tag, from a hub repository, or from a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InvalidInput, ModelMissing
from engine.models import clip_sources, hub
from engine.models.clip_sources import Source
from engine.models.device import Precision, cpu_has_bf16_units
from engine.models.lean_clip import import_open_clip, load_towers
from engine.models.soundness import flaw
from engine.progress import ticking

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


BF16_MIN_DIM = 512
"""Length of vectors from which bfloat16 is worth it on a CPU that has units for it: ViT-B-32
(512) is three times as fast as in float32, cosines to the float32 vectors .9999."""


class Parts(NamedTuple):
    """A loaded model and what goes in front of it."""

    id: str
    dim: int
    model: Any
    prepare: Callable[[Image], torch.Tensor]
    tokenize: Callable[[list[str]], torch.Tensor]
    precision: str
    resize_mode: str


def load_clip(spec: str, device: torch.device, precision: Precision) -> Parts:
    """Load a model by `MODEL/TAG`, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.

    What the hub's cache already has is loaded without the network. Raises InvalidInput for
    a name, tag or precision that does not exist, Missing for files that cannot be had or are
    damaged.
    """
    source = clip_sources.find(spec)
    alone = hub.cache_alone() if source.has_tower else nullcontext()
    with _quiet_open_clip(), alone, ticking(f"load {spec} (seconds)"):
        return _load(source, device, precision)


def _load(source: Source, device: torch.device, precision: Precision) -> Parts:
    """Build model, preprocessing and tokenizer by open_clip's own loaders."""
    import torch

    open_clip = import_open_clip()
    try:
        config = open_clip.get_model_config(source.name)
        load_towers(config)
        chosen = choose_precision(precision, device, config["embed_dim"])
        model, prepare = _create(source, device, chosen)
        tokenize = _tokenizer(source, config["text_cfg"])
    except InvalidInput:
        raise
    except torch.OutOfMemoryError as error:
        raise InvalidInput(
            f"{source.id} does not fit into the memory of {device}; choose a smaller model or "
            "device cpu"
        ) from error
    except Exception as error:  # open_clip raises whatever its parts raise
        raise ModelMissing(_why_not(source, error)) from error
    resize_mode = str(model.visual.preprocess_cfg["resize_mode"])
    return Parts(
        source.id, config["embed_dim"], model.eval(), prepare, tokenize, chosen, resize_mode
    )


def _tokenizer(source: Source, text: Mapping[str, Any]) -> Any:
    """The model's tokenizer; by a folder, as by its name open_clip would ask the hub for it."""
    open_clip = import_open_clip()
    if source.tokenizer is None:
        return open_clip.get_tokenizer(source.name)
    return open_clip.tokenizer.HFTokenizer(
        str(source.tokenizer),
        context_length=text.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH),
        tokenizer_mode=text.get("tokenizer_mode"),
        **text.get("tokenizer_kwargs", {}),
    )


def _why_not(source: Source, error: Exception) -> str:
    """Why a model whose files are all there cannot be loaded, and what to do."""
    told = f"{source.id} cannot be loaded"
    local = source.id.startswith(clip_sources.FOLDER.rstrip(":"))
    repair = "get them again" if local else f"mrag doctor --repair --encoder {source.id}"
    if flaws := [f"{path} {found}" for path in source.files if (found := flaw(path))]:
        return f"{told}, files of it are damaged: {'; '.join(flaws)}. Mend it: {repair}"
    if isinstance(error, UnpicklingError):
        return (
            f"{told}: {source.files[-1]} is a pickle that holds more than numbers, or is damaged. "
            "It is refused, as a pickle can run any code; choose a model with safetensors weights"
        )
    why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return (
        f"{told} ({why}): its weights and its configuration do not belong together, or are "
        f"damaged where it does not show: {', '.join(map(str, source.files))}. Choose another "
        f"model, or mend it: {repair}"
    )


def _create(source: Source, device: torch.device, precision: str) -> tuple[Any, Any]:
    """The model and its preprocessing.

    The tag's activation is forced: with the wrong GELU the same weights silently give worse
    vectors, and open_clip only warns.
    """
    open_clip = import_open_clip()
    tag = source.registered or {}
    created = open_clip.create_model_from_pretrained(
        source.name,
        source.weights,
        precision=precision,
        device=device,
        force_quick_gelu=bool(tag.get("quick_gelu")),
        image_mean=tag.get("mean"),
        image_std=tag.get("std"),
        image_interpolation=tag.get("interpolation"),
        image_resize_mode=tag.get("resize_mode"),
    )
    return created[0], created[1]


def choose_precision(precision: Precision, device: torch.device, dim: int) -> str:
    """The number format of a model on a device.

    On CUDA auto takes float16, not bfloat16: equally fast, and closer to float32 by its three
    more bits. An encoder whose activations overflow says so at the first picture.
    """
    known = ("auto", "fp32", "bf16", "fp16")
    if precision not in known:
        raise InvalidInput(f"unknown precision {precision!r}; choose one of {', '.join(known)}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "fp16"
    gains = device.type == "cpu" and dim >= BF16_MIN_DIM and cpu_has_bf16_units()
    return "bf16" if gains else "fp32"


@contextmanager
def _quiet_open_clip() -> Iterator[None]:
    """Hold back what open_clip logs to the root logger: the errors here say it better.

    The handler keeps `logging.info` and its like from installing one of their own.
    """
    root = logging.getLogger()
    handler = logging.NullHandler()

    def is_foreign(record: logging.LogRecord) -> bool:
        return "open_clip" not in Path(record.pathname).parts

    root.addHandler(handler)
    root.addFilter(is_foreign)
    try:
        yield
    finally:
        root.removeFilter(is_foreign)
        root.removeHandler(handler)
