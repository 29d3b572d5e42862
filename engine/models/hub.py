"""The model hub: what its cache holds of a repository, and how the rest gets there.

Models are loaded from files of the cache alone, so nothing is asked about what is here already.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from engine.download import as_progress, fetch
from engine.errors import ModelMissing
from engine.models.hub_cache import INDEX, Needed, cached, first_cached, repository_folder
from engine.models.hub_calls import elsewhere, explained, patiently
from engine.progress import Progress, check_cancelled, tell, ticking

if TYPE_CHECKING:
    from huggingface_hub.file_download import HfFileMetadata

_TIMEOUT_S = 10.0
_ALONE = RLock()
"""Held by who fetches, and by who keeps the hub's client, in all threads, from asking."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository; its size in bytes is 0 where the hub does not say it."""

    name: str
    size: int


def get(needed: Needed) -> list[Path]:
    """As `cached`, after what is not there has been fetched; raises Missing with the remedy.

    Each file is told as a stage, resumed where it was cut, and checked by the hub's SHA-256.
    """
    if found := cached(needed):
        return found
    fetch_all(needed)
    if found := cached(needed):
        return found
    raise ModelMissing(f"{needed.repository} has changed on the hub in between; try once more")


def fetch_all(needed: Needed) -> None:
    """Fetch all of it that is not in the cache, small files included; raises Missing."""
    with _ALONE, _quietly(), _one_process(needed):
        for file in listed(needed):
            _fetch(needed, file.name)


def listed(needed: Needed) -> list[HubFile]:
    """The files that the hub has of what is needed; raises ModelMissing."""
    with ticking(f"ask the hub for {needed.repository} (seconds)"), explained(needed):
        from huggingface_hub import HfApi

        info = patiently(
            lambda: HfApi().model_info(needed.repository, timeout=_TIMEOUT_S, files_metadata=True)
        )
    there = {file.rfilename: file.size or 0 for file in info.siblings or []}
    return [HubFile(name, there[name]) for name in _chosen(needed, list(there))]


def missing_bytes(needed: Needed) -> int:
    """How much `get` would fetch; raises ModelMissing where it could not."""
    files = [file for file in listed(needed) if not first_cached(needed.repository, (file.name,))]
    return sum(file.size for file in files)


@contextmanager
def cache_alone() -> Iterator[None]:
    """Let the hub's client, which other loaders ask, use its cache alone."""
    from huggingface_hub import constants

    with _ALONE:
        before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = before


def _chosen(needed: Needed, there: list[str]) -> list[str]:
    """The names to fetch, of those that are there."""
    names: list[str] = []
    for one in needed.files:
        best = next((name for name in one.names if name in there), None)
        if best is None:
            raise ModelMissing(
                f"{needed.repository} has no {one.what} on the hub ({' or '.join(one.names)}), and "
                "others are not read; choose another model, or convert it and give its folder"
            )
        shards = f"{best.removesuffix(INDEX)}-*-of-*.safetensors"
        names += [
            best,
            *(name for name in there if best.endswith(INDEX) and fnmatch(name, shards)),
        ]
    more = (name for name in there for pattern in needed.also if fnmatch(name, pattern))
    return list(dict.fromkeys([*names, *(name for name in more if "/" not in name)]))


def _fetch(needed: Needed, name: str) -> None:
    """Bring one file into the cache, as the hub's own client keeps it."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_download, hf_hub_url

    check_cancelled()
    url = hf_hub_url(needed.repository, name)
    with explained(needed):
        about = patiently(lambda: get_hf_file_metadata(url, timeout=_TIMEOUT_S))
    # The client would begin at 0 after a kill, and take what arrives on trust.
    if about.size and re.fullmatch(r"[\w-]+", about.etag or ""):
        short = needed.repository.rpartition("/")[2]
        fetch(
            url,
            repository_folder(needed.repository) / "blobs" / str(about.etag),
            size=about.size,
            checksum=_checksum(about),
            by_hand=elsewhere(needed),
            headers={"Authorization": f"Bearer {token}"} if (token := get_token()) else {},
            on_bytes=as_progress(f"fetch {name} ({short})", tell),
        )
    with explained(needed), ticking(f"take {name} into the cache (seconds)"):
        patiently(lambda: hf_hub_download(needed.repository, name, etag_timeout=_TIMEOUT_S))


def _checksum(about: HfFileMetadata) -> str:
    """The SHA-256 of a file that the hub keeps as a large one; "" for others."""
    return f"sha256:{about.etag}" if re.fullmatch("[0-9a-f]{64}", about.etag or "") else ""


@contextmanager
def _one_process(needed: Needed) -> Iterator[None]:
    """Let one process at a time fetch a repository, and tell the others that they wait."""
    folder = repository_folder(needed.repository)
    path = folder.parent / ".locks" / folder.name / "mrag.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    waited, lock = 0, FileLock(path)
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            check_cancelled()
            waited += 1
            tell(Progress(f"wait for the process that fetches {needed.repository}", waited))
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the hub's client from bars and notes of its own: the errors here say it better."""
    from huggingface_hub.utils import logging as notes
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    level, bare = notes.get_verbosity(), are_progress_bars_disabled()
    notes.set_verbosity(logging.ERROR)
    if not bare:
        disable_progress_bars()
    try:
        yield
    finally:
        notes.set_verbosity(level)
        if not bare:
            enable_progress_bars()
