"""Where models run, and which number formats are fast there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.errors import InvalidInput

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def choose_device(name: str) -> torch.device:
    """The device of that name, or the best there is for `auto`; InvalidInput if not there."""
    import torch

    usable = ["cpu"]
    if torch.cuda.is_available():
        usable = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    elif torch.backends.mps.is_available():
        usable = ["mps", "cpu"]
    if name == "auto":
        return torch.device(usable[0])
    if name not in usable:
        raise InvalidInput(f"device {name!r} is not here; choose auto, {', '.join(usable)}")
    return torch.device(name)


def cpu_has_bf16_units() -> bool:
    """Whether this processor multiplies bfloat16 itself; else it is slower than float32."""
    import torch

    units = torch.cpu.get_capabilities()
    return bool(units.get("avx512_bf16", False) or units.get("amx_bf16", False))
