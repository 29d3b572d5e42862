"""What loading any model of transformers takes: its files, and what to say where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.errors import InvalidInput, ModelMissing, MragError, first_line
from engine.models import hub
from engine.models.hub_cache import Needed, OneOf
from engine.models.soundness import flaw
from engine.progress import ticking

CONFIG = OneOf("configuration", ("config.json",))
WEIGHTS = OneOf("safetensors weights", ("model.safetensors", "model.safetensors.index.json"))
TOKENIZER = OneOf(
    "tokenizer",
    ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"),
)
OPTIONS: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""False, not the default None: that one asks on the terminal whether to run a model's code."""

_REPAIR = {
    "generator": "mrag doctor --repair --generator {}",
    "reranker": "mrag doctor --repair --reranker {}",
    "answerer": "mrag doctor --repair --answerer {}",
}
"""What gets the files of a model again, by what it is for."""

Needs = Callable[[str], Iterator[Needed]]


class Kind(NamedTuple):
    """What a model is for, as in "generator", and what it has to be, as in "a seq2seq model"."""

    role: Literal["generator", "reranker", "answerer"]
    what: str


def load(spec: str, kind: Kind, needed: Needs, read: Callable[[str, Path], Any]) -> Any:
    """What `read` makes of the source's name and the folder of its files.

    `spec` is a folder or a name of the hub, from which the files are fetched if need be. Raises
    ModelMissing and InvalidInput with the remedy.
    """
    source, folder = spec, Path(spec).expanduser().resolve()
    for one in needed(spec):
        folder = hub.get(one)[0].parent
    if not any(needed(spec)):
        source = str(folder)
    try:
        with quietly(), ticking(f"load {source} (seconds)"):
            _check_config(folder)
            return read(source, folder)
    except MragError:
        raise
    except Exception as error:  # transformers raises whatever its parts raise
        raise _explained(source, folder, error, kind) from error


def _check_config(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise FileNotFoundError("it has no config.json.")


def check_whole(source: str, report: Mapping[str, Any]) -> None:
    """Raise ModelMissing for a model that lacks tensors.

    transformers only logs this, and fills the gaps with random numbers.
    """
    if missing := report["missing_keys"]:
        raise ModelMissing(
            f"the weights of {source} lack {len(missing)} of the model's tensors, "
            f"{min(missing)} among them; get weights that belong to its config.json"
        )


def check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """OSError if the tokenizer's files are not there: transformers then makes an empty one."""
    names = sorted(set(tokenizer.vocab_files_names.values()) | {"tokenizer.json"})
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(f"it has no tokenizer ({' or '.join(names)}).")


def _explained(source: str, folder: Path, error: Exception, kind: Kind) -> MragError:
    """Why a model whose files should all be there cannot be loaded, and what to do."""
    own = source == str(folder)
    repair = "get them again" if own else _REPAIR[kind.role].format(source)
    files = [*folder.glob("*.json"), *folder.glob("*.safetensors")]
    if flaws := [f"{path} {found}" for path in sorted(files) if (found := flaw(path))]:
        return ModelMissing(
            f"{source} cannot be loaded, files of it are damaged: {'; '.join(flaws)}. "
            f"Mend it: {repair}"
        )
    if isinstance(error, ImportError):  # it names the package, and how to install it
        return ModelMissing(f"{source} cannot be loaded: {' '.join(str(error).split())[:300]}")
    if isinstance(error, OSError):
        return ModelMissing(
            f"the folder {folder} holds no complete {kind.role}: {first_line(error)} It needs "
            "config.json, model.safetensors and the tokenizer's files, as save_pretrained "
            "writes them (weights in other formats are not read)"
        )
    if isinstance(error, ValueError):
        return InvalidInput(
            f"{source} is not {kind.what} that transformers can load: {first_line(error)}"
        )
    return ModelMissing(
        f"{source} cannot be loaded ({type(error).__name__}: {first_line(error)[:200]}): its "
        f"weights, tokenizer and config.json do not belong together, or are damaged where it does "
        f"not show. Choose another model, or mend it: {repair}"
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers from drawing bars for seconds of loading, and from its advice.

    The advice concerns files that a user cannot change; what matters of it, missing tensors, is
    looked for in `check_whole`.
    """
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
