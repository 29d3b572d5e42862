"""Loads transformers encoder-decoder models: from a folder, the hub's cache or the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InvalidInput, ModelMissing, MragError, first_line
from engine.models import hub
from engine.models.device import Precision, cpu_has_bf16_units
from engine.models.hub_cache import Needed, OneOf
from engine.models.soundness import flaw
from engine.progress import ticking

if TYPE_CHECKING:
    import torch

_CONFIG = OneOf("configuration", ("config.json",))
_WEIGHTS = OneOf("safetensors weights", ("model.safetensors", "model.safetensors.index.json"))
_TOKENIZER = OneOf(
    "tokenizer",
    ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"),
)
BF16_MIN_WIDTH = 512
"""Hidden size from which bfloat16 is worth it on a CPU that has units for it: measured on one
core, twice as fast as float32 at 512 and above, mixed at 256, a third slower at 128."""
_T5_FAMILY = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})


class Parts(NamedTuple):
    """A loaded model; `source` is the hub name or the folder it came from."""

    source: str
    model: Any
    tokenizer: Any


def needed(spec: str) -> Iterator[Needed]:
    """What a generator needs of the hub; nothing where it is a folder."""
    if not Path(spec).expanduser().is_dir():
        yield Needed(spec, spec, (_CONFIG, _WEIGHTS, _TOKENIZER), ("*.json", "*.model", "*.txt"))


def load_seq2seq(spec: str, device: torch.device, precision: Precision) -> Parts:
    """Load a model by folder or hub name; see `engine.models.generator.load_generator`."""
    source, folder = spec, Path(spec).expanduser().resolve()
    for one in needed(spec):
        folder = hub.get(one)[0].parent
    if not any(needed(spec)):
        source = str(folder)
    try:
        with _quietly(), ticking(f"load {source} (seconds)"):
            model, tokenizer = _load(source, folder, device, precision)
    except MragError:
        raise
    except Exception as error:  # transformers raises whatever its parts raise
        raise _explained(source, folder, error) from error
    return Parts(source, model.to(device).eval(), tokenizer)


def _load(source: str, folder: Path, device: torch.device, precision: Precision) -> tuple[Any, Any]:
    """Load model and tokenizer from a folder's files; OSError if one is not there."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise FileNotFoundError("it has no config.json.")
    # False, not the default None: that one asks on the terminal whether to run a model's code.
    options = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(folder, **options)
    dtype = choose_dtype(precision, device, config)
    model, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        attn_implementation=_attention(dtype, device),
        **options,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    _check_vocabulary(folder, tokenizer)
    # transformers only logs this, and fills the gaps with random numbers.
    if report["missing_keys"]:
        raise ModelMissing(
            f"the weights of {source} lack {len(report['missing_keys'])} of the model's tensors, "
            f"{min(report['missing_keys'])} among them; get weights that belong to its config.json"
        )
    return model, tokenizer


def _attention(dtype: torch.dtype, device: torch.device) -> str | None:
    """The attention to ask transformers for; None: its own choice, torch's fused kernel.

    On a CPU that kernel takes three times as long as plain products for bfloat16 and one new
    token at a time, a fifth of a batch's time; in float32 there is no difference.
    """
    import torch

    return "eager" if device.type == "cpu" and dtype == torch.bfloat16 else None


def _check_vocabulary(folder: Path, tokenizer: Any) -> None:
    """OSError if the tokenizer's files are not there: transformers then makes an empty one."""
    names = sorted(set(tokenizer.vocab_files_names.values()) | {"tokenizer.json"})
    if not any((folder / name).is_file() for name in names):
        raise FileNotFoundError(f"it has no tokenizer ({' or '.join(names)}).")


def _explained(source: str, folder: Path, error: Exception) -> MragError:
    """Why a model whose files should all be there cannot be loaded, and what to do."""
    own = source == str(folder)
    repair = "get them again" if own else f"mrag doctor --repair --generator {source}"
    files = [*folder.glob("*.json"), *folder.glob("*.safetensors")]
    if flaws := [f"{path} {found}" for path in sorted(files) if (found := flaw(path))]:
        return ModelMissing(
            f"{source} cannot be loaded, files of it are damaged: {'; '.join(flaws)}. "
            f"Mend it: {repair}"
        )
    if isinstance(error, OSError):
        return ModelMissing(
            f"the folder {folder} holds no complete generator: {first_line(error)} It needs "
            "config.json, model.safetensors and the tokenizer's files, as save_pretrained "
            "writes them (weights in other formats are not read)"
        )
    if isinstance(error, ValueError):
        return InvalidInput(
            f"{source} is not an encoder-decoder model that transformers can load: "
            f"{first_line(error)}"
        )
    return ModelMissing(
        f"{source} cannot be loaded ({type(error).__name__}: {first_line(error)[:200]}): its "
        f"weights, tokenizer and config.json do not belong together, or are damaged where it does "
        f"not show. Choose another model, or mend it: {repair}"
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
