"""Calls to the hub: again where it is busy, and what goes wrong in words, with the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from engine.errors import ModelMissing, first_line
from engine.models.hub_cache import Needed, repository_folder

_TRIES = 4
_WAIT_S = 1.0
"""How long a busy hub is left alone before the second try; twice as long before each other."""

Answer = TypeVar("Answer")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask the hub, again where it is busy."""
    attempts = Retrying(
        retry=retry_if_exception(_is_busy),
        stop=stop_after_attempt(_TRIES),
        wait=wait_exponential(multiplier=_WAIT_S),
        reraise=True,
    )
    return attempts(ask)


def _is_busy(error: BaseException) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    return status in {408, 429} or status >= 500


@contextmanager
def explained(needed: Needed) -> Iterator[None]:
    """Say what went wrong with the hub, and what to do; its client raises what its parts raise."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    name = needed.repository
    try:
        yield
    except GatedRepoError as error:
        raise ModelMissing(
            f"{name} is given only to who has accepted its licence: do so at {ENDPOINT}/{name}, "
            "then log in with: hf auth login (or set HF_TOKEN)"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelMissing(
            f"neither is {name!r} a folder here nor has the hub a model of that name that you "
            "may read; check the name, or log in with: hf auth login"
        ) from error
    except Exception as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in {401, 403}:
            raise ModelMissing(
                f"{ENDPOINT} refuses {name} to you ({first_line(error)}); log in anew with: hf "
                "auth login (or set HF_TOKEN)"
            ) from error
        if isinstance(error, OSError) and error.filename:  # of the cache, not of the hub
            raise
        raise ModelMissing(_how_to_get(needed, error)) from error


def _how_to_get(needed: Needed, error: Exception) -> str:
    from huggingface_hub.constants import ENDPOINT

    folder = repository_folder(needed.repository)
    return (
        f"the files of {needed.of} are not all in the cache {folder.parent}, and the hub "
        f"{ENDPOINT} cannot be reached ({first_line(error) or type(error).__name__}).\n"
        f"Where it can be reached they are fetched at first use, or with:\n"
        f"  {needed.command}\n"
        f"Or run that on another machine, and copy its folder {folder.name}\n"
        f"into {folder.parent} here. A folder with the files works as well:\n"
        f"  MRAG_ENCODER=local-dir:FOLDER, MRAG_GENERATOR=FOLDER or MRAG_RERANKER=FOLDER"
    )


def elsewhere(needed: Needed) -> str:
    """How to get a repository by way of another machine."""
    folder = repository_folder(needed.repository)
    return f"with `{needed.command}`, and copy its folder {folder.name} into {folder.parent} here"
