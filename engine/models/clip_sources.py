"""Where the files of an open_clip model are: open_clip's own list, a hub repository, a folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import InvalidInput, ModelMissing
from engine.models import hub
from engine.models.hub_cache import Needed, OneOf, cached
from engine.models.lean_clip import import_open_clip

FOLDER, REPOSITORY = "local-dir:", "hf-hub:"
_CONFIG = "open_clip_config.json"
_WEIGHTS = OneOf("weights", ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"))
_WEIGHTS_OF_FOLDERS = ("*.safetensors", "*.bin", "*.pth")
_TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")
_ANY_TOKENIZER = OneOf(
    "tokenizer",
    ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"),
)


class Source(NamedTuple):
    """What open_clip is asked for, and the files that it loads.

    `weights` is a file for registered models, else None; `tokenizer` a folder where it lies in a
    repository of its own. `has_tower`: the text tower is one of transformers', by its name.
    """

    id: str
    name: str
    files: tuple[Path, ...]
    weights: str | None = None
    registered: Mapping[str, Any] | None = None
    tokenizer: Path | None = None
    has_tower: bool = False


def find(spec: str) -> Source:
    """The model of a spec, fetched if need be; see `engine.models.clip_loader.load_clip`."""
    if spec.startswith(FOLDER):
        source = _find_folder(Path(spec.removeprefix(FOLDER)).expanduser())
    elif spec.startswith(REPOSITORY):
        source = _find_repository(spec)
    else:
        source = _find_registered(spec)
    text = _text_config(spec, source.files[0])
    tower, tokenizer = _tower(spec, text), _tokenizer(spec, text)
    if tower:
        hub.get(tower)
    folder = hub.get(tokenizer)[0].parent if tokenizer else None
    return source._replace(tokenizer=folder, has_tower=tower is not None)


def _find_repository(spec: str) -> Source:
    """A model of the hub, from its folder in the cache."""
    whole = _repository(spec)
    config, weights = hub.get(whole)
    return Source(spec, f"{FOLDER}{config.parent}", (config, weights))


def _find_folder(folder: Path) -> Source:
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
    weights = _files(folder, _WEIGHTS_OF_FOLDERS)
    if not weights:
        raise ModelMissing(f"the folder {folder} holds no weights; {needs}")
    tokenizer = _files(folder, _TOKENIZER) if text_config.get("hf_tokenizer_name") else []
    digest = _digest([folder / _CONFIG, *weights, *tokenizer])
    files = (folder / _CONFIG, *weights)
    return Source(f"{FOLDER.rstrip(':')}@{digest[:12]}", f"{FOLDER}{folder}", files)


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def _digest(files: list[Path]) -> str:
    """Hex sha256 over names and contents, in this order."""
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            whole.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _find_registered(spec: str) -> Source:
    """A model of open_clip's own list and the file of its weights, fetched if need be."""
    model, tag, registered = _registered(spec)
    weights = hub.get(_weights_of(f"{model}/{tag}", registered))[0]
    return Source(f"{model}/{tag}", model, (weights,), str(weights), registered)


def _registered(spec: str) -> tuple[str, str, Mapping[str, Any]]:
    """The model, the tag and what open_clip knows of it; raises InvalidInput."""
    open_clip = import_open_clip()
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
    return model, tag, open_clip.get_pretrained_cfg(model, tag)


def _weights_of(of: str, registered: Mapping[str, Any]) -> Needed:
    repository, name = os.path.split(registered["hf_hub"])
    if not name:
        return Needed(of, repository, (_WEIGHTS,))
    safe = str(Path(name).with_suffix(".safetensors"))
    return Needed(of, repository, (OneOf("weights", (safe, name)),))


def needed(spec: str) -> Iterator[Needed]:
    """What a spec needs of the hub; of what a configuration names only where that is here."""
    config = Path(spec.removeprefix(FOLDER)).expanduser() / _CONFIG
    if spec.startswith(REPOSITORY):
        whole = _repository(spec)
        yield whole
        config = (cached(whole) or [config])[0]
    elif not spec.startswith(FOLDER):
        model, tag, registered = _registered(spec)
        yield _weights_of(f"{model}/{tag}", registered)
    text = _text_config(spec, config)
    yield from filter(None, (_tower(spec, text), _tokenizer(spec, text)))


def _repository(spec: str) -> Needed:
    config = OneOf("open_clip model", (_CONFIG,))
    return Needed(spec, spec.removeprefix(REPOSITORY), (config, _WEIGHTS), _TOKENIZER)


def _text_config(spec: str, config: Path) -> Mapping[str, Any]:
    """The text tower's part of a configuration; empty where that cannot be read."""
    if spec.startswith((FOLDER, REPOSITORY)):
        try:
            return dict(json.loads(config.read_text(encoding="utf-8"))["model_cfg"]["text_cfg"])
        except (OSError, ValueError, LookupError, TypeError):
            return {}
    open_clip = import_open_clip()
    return dict(open_clip.get_model_config(_registered(spec)[0])["text_cfg"])


def _tower(spec: str, text: Mapping[str, Any]) -> Needed | None:
    """The configuration of a text tower that is one of transformers'."""
    name = text.get("hf_model_name")
    return Needed(spec, name, (OneOf("configuration", ("config.json",)),)) if name else None


def _tokenizer(spec: str, text: Mapping[str, Any]) -> Needed | None:
    """The tokenizer, where it is neither CLIP's own nor lies beside the weights."""
    name = text.get("hf_tokenizer_name")
    if not name or spec.startswith(FOLDER) or name == spec.removeprefix(REPOSITORY):
        return None
    return Needed(spec, name, (_ANY_TOKENIZER,), ("*.json", "*.txt", "*.model"))
