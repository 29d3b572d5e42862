"""Where models run, on how many threads, and which number formats are fast there."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Literal

from engine.errors import InvalidInput

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]

WEIGHTS_PER_THREAD = 10_000_000
"""Weights that give a thread enough to do between two points where all threads meet."""


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


def choose_threads(model: torch.nn.Module, asked: int) -> int:
    """Threads for a model on the CPU: those asked for, or OMP_NUM_THREADS's, or by its size.

    torch keeps the number by thread, not by model: `use_threads` sets it before each run.
    """
    if asked:
        return asked
    if "OMP_NUM_THREADS" in os.environ:
        return most_threads()
    weights = sum(parameter.numel() for parameter in model.parameters())
    return max(1, min(most_threads(), weights // WEIGHTS_PER_THREAD))


def use_threads(number: int) -> None:
    """Have what this thread runs next run on so many threads.

    A thread that has not asked torch for its number yet would later take, by itself, the one that
    any thread set last: so it is asked first.
    """
    import torch

    torch.get_num_threads()
    torch.set_num_threads(number)


@cache  # what torch says later is what some model was given
def most_threads() -> int:
    """Threads that torch takes by itself: one for each core, or OMP_NUM_THREADS."""
    import torch

    return torch.get_num_threads()


def cpu_has_bf16_units() -> bool:
    """Whether this processor multiplies bfloat16 itself; else it is slower than float32."""
    import torch

    units = torch.cpu.get_capabilities()
    return bool(units.get("avx512_bf16", False) or units.get("amx_bf16", False))
