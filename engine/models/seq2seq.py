"""Loads transformers encoder-decoder models: from a folder, the hub's cache or the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InvalidInput
from engine.models.device import Precision, cpu_has_bf16_units
from engine.models.hub_cache import Needed
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

if TYPE_CHECKING:
    import torch

BF16_MIN_WIDTH = 512
"""Hidden size from which bfloat16 is worth it on a CPU that has units for it: measured on one
core, twice as fast as float32 at 512 and above, mixed at 256, a third slower at 128."""
_KIND = Kind("generator", "an encoder-decoder model")
_T5_FAMILY = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})


class Parts(NamedTuple):
    """A loaded model; `source` is the hub name or the folder it came from."""

    source: str
    model: Any
    tokenizer: Any


def needed(spec: str) -> Iterator[Needed]:
    """What a generator needs of the hub; nothing where it is a folder."""
    if not Path(spec).expanduser().is_dir():
        yield Needed(spec, spec, (CONFIG, WEIGHTS, TOKENIZER), ("*.json", "*.model", "*.txt"))


def load_seq2seq(spec: str, device: torch.device, precision: Precision) -> Parts:
    """Load a model by folder or hub name; see `engine.models.generator.load_generator`."""

    def read(source: str, folder: Path) -> Parts:
        return Parts(source, *_load(source, folder, device, precision))

    parts: Parts = load(spec, _KIND, needed, read)
    return parts._replace(model=parts.model.to(device).eval())


def _load(source: str, folder: Path, device: torch.device, precision: Precision) -> tuple[Any, Any]:
    """Load model and tokenizer from a folder's files; OSError if one is not there."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    config = AutoConfig.from_pretrained(folder, **OPTIONS)
    dtype = choose_dtype(precision, device, config)
    model, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        output_loading_info=True,
        attn_implementation=_attention(dtype, device),
        **OPTIONS,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, **OPTIONS)
    check_vocabulary(folder, tokenizer)
    check_whole(source, report)
    return model, tokenizer


def _attention(dtype: torch.dtype, device: torch.device) -> str | None:
    """The attention to ask transformers for; None: its own choice, torch's fused kernel.

    On a CPU that kernel takes three times as long as plain products for bfloat16 and one new
    token at a time, a fifth of a batch's time; in float32 there is no difference.
    """
    import torch

    return "eager" if device.type == "cpu" and dtype == torch.bfloat16 else None


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
