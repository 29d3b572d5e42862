"""Nucleus sampling (Holtzman et al., 2020) in which each row of a batch has its own numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.types import Decoding

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def random_numbers(tokens: Sequence[int], n: int, decoding: Decoding) -> NDArray[np.float32]:
    """(n, max_new_tokens) uniform in [0, 1), the same for the same prompt and seed."""
    digest = hashlib.sha256(f"{decoding.seed} {tokens}".encode()).digest()
    source = np.random.default_rng(list(digest))
    return source.random((n, decoding.max_new_tokens), dtype=np.float32)


class NucleusDraw:
    """A logits processor that samples with given random numbers and leaves one token possible.

    transformers samples a whole batch from torch's global random state; this way a prompt's
    draws depend neither on the rest of its batch nor on other threads.
    """

    def __init__(
        self,
        decoding: Decoding,
        numbers: NDArray[np.float32],
        end: int | list[int],
        device: torch.device,
    ) -> None:
        import torch
        from transformers import (
            LogitsProcessorList,
            TemperatureLogitsWarper,
            TopPLogitsWarper,
        )

        self._warp = LogitsProcessorList(
            [
                TemperatureLogitsWarper(float(decoding.temperature)),
                TopPLogitsWarper(float(decoding.top_p)),
            ]
        )
        self._numbers = torch.from_numpy(numbers).to(device)
        self._end = torch.tensor(end, device=device)
        self._step = 0
        self._running = torch.ones((len(numbers), 1), dtype=torch.bool, device=device)
        self._total = torch.zeros((len(numbers), 1), device=device)
        self._length = torch.zeros((len(numbers), 1), device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Choose the next token of each row; all others get -inf."""
        import torch

        cumulative = self._warp(input_ids, scores).softmax(dim=-1).cumsum(dim=-1)
        targets = self._numbers[:, self._step, None] * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, targets, right=True)
        gained = scores.log_softmax(dim=-1).gather(1, chosen)
        self._total += gained.where(self._running, 0.0)
        self._length += self._running
        self._running &= ~torch.isin(chosen, self._end)
        self._step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    def log_probability(self) -> Tensor:
        """The mean log-probability of each row's tokens, as the untempered model sees it."""
        return (self._total / self._length).squeeze(1)
