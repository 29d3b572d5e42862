"""Loads open_clip models: by name and tag, from a hub repository, or from a folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InvalidInput, ModelMissing, first_line
from engine.models.device import Precision, cpu_has_bf16_units

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


HUB_TIMEOUT_S = 5.0
BF16_MIN_DIM = 512
"""Length of vectors from which bfloat16 is worth it on a CPU that has units for it: ViT-B-32
(512) is three times as fast as in float32, cosines to the float32 vectors .9999."""
_FOLDER, _REPOSITORY = "local-dir:", "hf-hub:"
_CONFIG = "open_clip_config.json"
_WEIGHTS = ("*.safetensors", "*.bin", "*.pth")
_TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")


class Parts(NamedTuple):
    """A loaded model and what goes in front of it."""

    id: str
    dim: int
    model: Any
    prepare: Callable[[Image], torch.Tensor]
    tokenize: Callable[[list[str]], torch.Tensor]
    precision: str
    resize_mode: str


class _Source(NamedTuple):
    """What open_clip is asked for: `weights` is a file for registered models, else None."""

    id: str
    name: str
    weights: str | None = None
    registered: Mapping[str, Any] | None = None


def load_clip(spec: str, device: torch.device, precision: Precision) -> Parts:
    """Load a model by `MODEL/TAG`, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.

    What the hub's cache already has is loaded without the network. Raises InvalidInput for
    a name, tag or precision that does not exist, ModelMissing for weights that are not there.
    """
    if spec.startswith(_FOLDER):
        source = _find_folder(Path(spec.removeprefix(_FOLDER)).expanduser())
    elif spec.startswith(_REPOSITORY):
        source = _Source(spec, spec)
    else:
        source = _find_registered(spec)
    with _quiet_open_clip():
        return _load(source, device, precision)


def _find_folder(folder: Path) -> _Source:
    """The model in a folder; its id follows from its files and its last name."""
    needs = f"it needs {_CONFIG} and open_clip_model.safetensors, as open_clip saves them"
    if not folder.is_dir():
        raise ModelMissing(f"there is no folder {folder} with an open_clip model; check the path")
    folder = folder.resolve()
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        text_config = config["model_cfg"]["text_cfg"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelMissing(
            f"the folder {folder} holds no open_clip model that can be read "
            f"({type(error).__name__}: {error}); {needs}"
        ) from error
    weights = _files(folder, _WEIGHTS)
    if not weights:
        raise ModelMissing(f"the folder {folder} holds no weights; {needs}")
    tokenizer = _files(folder, _TOKENIZER) if text_config.get("hf_tokenizer_name") else []
    digest = _digest([folder / _CONFIG, *weights, *tokenizer])
    return _Source(f"{_FOLDER.rstrip(':')}@{digest[:12]}", f"{_FOLDER}{folder}")


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def _digest(files: list[Path]) -> str:
    """Hex sha256 over names and contents, in this order."""
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _find_registered(spec: str) -> _Source:
    """A model of open_clip's own list and the file of its weights, fetched if need be."""
    import open_clip

    model, _, tag = spec.rpartition("/")
    if spec.replace("/", "-") in open_clip.list_models():
        model, tag = spec, ""
    model, tag = model.replace("/", "-"), tag.lower().replace("-", "_")
    if model not in open_clip.list_models():
        wanted = model or spec
        near = get_close_matches(wanted, open_clip.list_models(), n=5, cutoff=0.5)
        raise InvalidInput(
            f"open_clip has no model {wanted!r} (asked for as {spec!r}); give MODEL/TAG, "
            f"hf-hub:ORG/NAME or local-dir:FOLDER; models of like names: {', '.join(near) or '-'}"
        )
    tags = open_clip.list_pretrained_tags_by_model(model)
    if tag not in tags:
        near = get_close_matches(tag, tags, n=len(tags), cutoff=0.0)
        raise InvalidInput(
            f"open_clip has no weights {tag!r} of {model}; give {model}/TAG, TAG one of: "
            f"{', '.join(near) or '(none)'}"
        )
    registered = open_clip.get_pretrained_cfg(model, tag)
    weights = _in_cache(registered) or _download(f"{model}/{tag}", registered)
    return _Source(f"{model}/{tag}", model, weights, registered)


def _in_cache(registered: Mapping[str, Any]) -> str | None:
    """The file of the weights in the hub's cache, safetensors if there are both kinds."""
    from huggingface_hub import try_to_load_from_cache

    repository, name = os.path.split(registered.get("hf_hub", ""))
    name = name or "open_clip_pytorch_model.bin"
    safe = (
        "open_clip_model.safetensors"
        if name == "open_clip_pytorch_model.bin"
        else str(Path(name).with_suffix(".safetensors"))
    )
    for candidate in (safe, name) if repository else ():
        found = try_to_load_from_cache(repository, candidate)
        if isinstance(found, str):
            return found
    return None


def _download(model_id: str, registered: Mapping[str, Any]) -> str:
    import open_clip

    try:
        with _hub(), _quiet_open_clip():
            return str(open_clip.download_pretrained(registered))
    except Exception as error:  # however it fails, the remedy is the same
        repository = os.path.split(registered.get("hf_hub", ""))[0]
        raise ModelMissing(_how_to_get(model_id, repository, error)) from error


def _how_to_get(model_id: str, repository: str, error: Exception) -> str:
    from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE

    folder = f"models--{repository.replace('/', '--')}"
    return (
        f"the weights of {model_id} are not in the cache {HF_HUB_CACHE} and cannot be fetched "
        f"({first_line(error)}).\n"
        f"Where {ENDPOINT} can be reached they are fetched at first use, or with:\n"
        f"  hf download {repository} --include 'open_clip*'\n"
        f"Or run that on another machine and copy its folder {folder}\n"
        f"into {HF_HUB_CACHE} here. A folder with {_CONFIG} and weights works as well:\n"
        f"  MRAG_ENCODER=local-dir:FOLDER"
    )


def _load(source: _Source, device: torch.device, precision: Precision) -> Parts:
    """Build model, preprocessing and tokenizer by open_clip's own loaders."""
    import open_clip
    import torch

    try:
        with _hub_if_needed(source):
            config = open_clip.get_model_config(source.name)
            chosen = choose_precision(precision, device, config["embed_dim"])
            model, prepare = _create(source, device, chosen)
            tokenize = open_clip.get_tokenizer(source.name)
    except InvalidInput:
        raise
    except torch.OutOfMemoryError as error:
        raise InvalidInput(
            f"{source.id} does not fit into the memory of {device}; choose a smaller model or "
            "device cpu"
        ) from error
    except Exception as error:  # open_clip raises whatever its parts raise
        if source.name.startswith(_REPOSITORY):
            repository = source.name.removeprefix(_REPOSITORY)
            raise ModelMissing(_how_to_get(source.id, repository, error)) from error
        raise ModelMissing(
            f"{source.id} cannot be loaded ({type(error).__name__}: {first_line(error)}); its "
            f"files are damaged or incomplete, get them again: "
            f"{source.weights or source.name.removeprefix(_FOLDER)}"
        ) from error
    resize_mode = str(model.visual.preprocess_cfg["resize_mode"])
    return Parts(
        source.id, config["embed_dim"], model.eval(), prepare, tokenize, chosen, resize_mode
    )


def _create(source: _Source, device: torch.device, precision: str) -> tuple[Any, Any]:
    """The model and its preprocessing.

    The tag's activation is forced: with the wrong GELU the same weights silently give worse
    vectors, and open_clip only warns.
    """
    import open_clip

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


def _hub_if_needed(source: _Source) -> AbstractContextManager[None]:
    """Access to the hub for models whose tokenizer or text tower comes from there."""
    import open_clip

    if source.name.startswith(_REPOSITORY):
        return _hub()
    text = open_clip.get_model_config(source.name)["text_cfg"]
    local = source.name.startswith(_FOLDER)
    from_hub = "hf_model_name" in text or ("hf_tokenizer_name" in text and not local)
    return _hub() if from_hub else nullcontext()


@contextmanager
def _hub() -> Iterator[None]:
    """Let the hub's client use its cache alone while the hub cannot be reached.

    It would otherwise try each file for half a minute.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or _hub_answers():
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False


def _hub_answers() -> bool:
    import httpx
    from huggingface_hub import constants, get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=HUB_TIMEOUT_S)
    except httpx.HTTPError:
        return False
    return True


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
