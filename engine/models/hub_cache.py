"""The hub's cache on this machine: what is needed of a repository, and what of it is here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ModelMissing

INDEX = ".safetensors.index.json"


@dataclass(frozen=True)
class OneOf:
    """A file that a model cannot do without, under the names that it may have, the best first."""

    what: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Needed:
    """What the model `of` needs of a repository; small files that match `also` are taken with it.

    An index of weights in several files stands for all of them.
    """

    of: str
    repository: str
    files: tuple[OneOf, ...]
    also: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What fetches it by hand."""
        names = [one.names[0] for one in self.files]
        if not self.also:
            return f"hf download {self.repository} {' '.join(names)}"
        wanted = " ".join(f"--include '{pattern}'" for pattern in (*names, *self.also))
        return f"hf download {self.repository} {wanted}"


def cached(needed: Needed) -> list[Path] | None:
    """The cache's files, one for each that is needed, or None if it is not all there."""
    found = [first_cached(needed.repository, one.names) for one in needed.files]
    whole = [path for path in found if path and _has_shards(path)]
    return whole if len(whole) == len(found) else None


def snapshot(repository: str) -> Path | None:
    """The folder of the cache with what is there of a repository."""
    folder = repository_folder(repository)
    try:
        commit = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return folder / "snapshots" / commit


def repository_folder(repository: str) -> Path:
    """Where the cache keeps a repository, there or not."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    return Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


def first_cached(repository: str, names: tuple[str, ...]) -> Path | None:
    """The first of the names that the cache holds."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = [try_to_load_from_cache(repository, name) for name in names]
    except HFValidationError as error:
        raise ModelMissing(
            f"there is no folder {repository!r}, and it is no name of the hub like "
            "google/flan-t5-base"
        ) from error
    return next((Path(path) for path in found if isinstance(path, str)), None)


def _has_shards(path: Path) -> bool:
    """Whether all files that an index of weights names lie beside it."""
    if not path.name.endswith(INDEX):
        return True
    try:
        named = set(json.loads(path.read_bytes())["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError):
        return True  # it is damaged: whoever loads it says so
    return all((path.parent / str(name)).is_file() for name in named)
