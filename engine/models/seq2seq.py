"""Loads transformers encoder-decoder models: from a folder, the hub's cache or the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InvalidInput, ModelMissing, first_line
from engine.models.device import Precision, cpu_has_bf16_units

if TYPE_CHECKING:
    import torch

HUB_TIMEOUT_S = 5.0
BF16_MIN_WIDTH = 512
"""Hidden size from which bfloat16 is worth it on a CPU that has units for it: measured on one
core, twice as fast as float32 at 512 and above, mixed at 256, a third slower at 128."""
_T5_FAMILY = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})


class Parts(NamedTuple):
    """A loaded model; `source` is the hub name or the folder it came from."""

    source: str
    model: Any
    tokenizer: Any


def load_seq2seq(spec: str, device: torch.device, precision: Precision) -> Parts:
    """Load a model by folder or hub name; see `engine.models.generator.load_generator`."""
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return _from_folder(folder.resolve(), device, precision)
    return _from_hub(spec, device, precision)


def _from_folder(folder: Path, device: torch.device, precision: Precision) -> Parts:
    try:
        if not (folder / "config.json").is_file():
            raise FileNotFoundError("it has no config.json.")
        with _quietly():
            return _load(str(folder), device, precision, local=True)
    except OSError as error:
        raise ModelMissing(
            f"the folder {folder} holds no complete generator: {first_line(error)} It needs "
            "config.json, model.safetensors and the tokenizer's files, as save_pretrained "
            "writes them (weights in other formats are not read)"
        ) from error


def _from_hub(name: str, device: torch.device, precision: Precision) -> Parts:
    try:
        with _quietly():
            return _load(name, device, precision, local=True)
    except OSError:
        _ask_hub(name)
    try:
        return _load(name, device, precision, local=False)
    except OSError as error:
        reason = f"and could not be fetched ({first_line(error)})"
        raise ModelMissing(_how_to_get(name, reason)) from error


def _load(source: str, device: torch.device, precision: Precision, *, local: bool) -> Parts:
    """Load config, weights and tokenizer; OSError if a file is not there."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    # False, not the default None: that one asks on the terminal whether to run a model's code.
    options = {"local_files_only": local, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(source, **options)
        dtype = choose_dtype(precision, device, config)
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            source,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        _check_vocabulary(source, tokenizer, local=local)
    except SafetensorError as error:
        raise ModelMissing(
            f"the weights of {source} are damaged ({error}); delete them and get them again"
        ) from error
    except ValueError as error:
        raise InvalidInput(
            f"{source} is not an encoder-decoder model that transformers can load: "
            f"{first_line(error)}"
        ) from error
    # transformers only logs this, and fills the gaps with random numbers.
    if report["missing_keys"]:
        raise ModelMissing(
            f"the weights of {source} lack {len(report['missing_keys'])} of the model's tensors, "
            f"{min(report['missing_keys'])} among them; get weights that belong to its config.json"
        )
    return Parts(source, model.to(device).eval(), tokenizer)


def _check_vocabulary(source: str, tokenizer: Any, *, local: bool) -> None:
    """OSError if the tokenizer's files are not there: transformers then makes an empty one."""
    from transformers.utils import cached_file

    names = sorted(set(tokenizer.vocab_files_names.values()) | {"tokenizer.json"})
    options = {"local_files_only": local, "_raise_exceptions_for_missing_entries": False}
    if not any(cached_file(source, name, **options) for name in names):
        raise FileNotFoundError(f"it has no tokenizer ({' or '.join(names)}).")


def _ask_hub(name: str) -> None:
    """Raise ModelMissing, within seconds, unless the hub has safetensors weights of that name.

    Without this question the hub's loaders would try each file for half a minute.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        files = HfApi().model_info(name, timeout=HUB_TIMEOUT_S).siblings or []
    except HFValidationError as error:
        raise ModelMissing(
            f"there is no folder {name!r}, and it is not a hub name like google/flan-t5-base"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelMissing(
            f"neither is {name!r} a folder here nor has the hub a model of that name that you "
            "may read; check the name, or log in with: hf auth login"
        ) from error
    except Exception as error:  # however asking fails, the remedy is the same
        reason = f"and the hub cannot be reached ({first_line(error)})"
        raise ModelMissing(_how_to_get(name, reason)) from error
    if not any(file.rfilename.endswith(".safetensors") for file in files):
        raise ModelMissing(
            f"{name} has no safetensors weights on the hub, and others are not read; choose "
            "another model, or convert it with save_pretrained and give the folder"
        )


def _how_to_get(name: str, reason: str) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = name.rpartition("/")[2]
    wanted = " ".join(f"--include '*.{suffix}'" for suffix in ("json", "model", "safetensors"))
    command = f"hf download {name} {wanted}"
    return (
        f"the generator {name} is neither a folder nor complete in the cache {HF_HUB_CACHE}, "
        f"{reason}.\n"
        f"Where there is a network:  {command}\n"
        f"Or on another machine:     {command} --local-dir {folder}\n"
        f"then copy the folder here and set  MRAG_GENERATOR=/path/to/{folder}"
    )


def choose_dtype(precision: Precision, device: torch.device, config: Any) -> torch.dtype:
    """The number format for a model of this config; InvalidInput if it would overflow."""
    import torch

    if precision == "auto":
        precision = "bf16" if _gains_from_bf16(device, config) else "fp32"
    if precision == "fp16" and config.model_type in _T5_FAMILY:
        raise InvalidInput(
            f"precision fp16 overflows in {config.model_type} models, which then write nonsense; "
            "choose bf16, fp32 or auto"
        )
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in dtypes:
        raise InvalidInput(f"unknown precision {precision!r}; choose auto, {', '.join(dtypes)}")
    return dtypes[precision]


def _gains_from_bf16(device: torch.device, config: Any) -> bool:
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    wide: bool = config.hidden_size >= BF16_MIN_WIDTH
    return device.type == "cpu" and wide and cpu_has_bf16_units()


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers from drawing bars for seconds of loading, and from its advice.

    The advice concerns files that a user cannot change; what matters of it, missing tensors, is
    checked in `_load`.
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
