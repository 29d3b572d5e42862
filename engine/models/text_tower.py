"""Encodes texts at the length of the longest of them, not of the model's context."""

from __future__ import annotations

from typing import Any

import torch
from open_clip import CLIP


class TextTower(torch.nn.Module):
    """The `encode_text` of an open_clip model, without the padding behind the texts.

    Texts are padded to the model's context, mostly 77 tokens, where a caption has about 13. In
    a causal tower no token looks at what follows it, so that all behind the last end token
    changes nothing. Other towers get their texts as they are.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._causal = (
            type(model) is CLIP
            and model.attn_mask is not None
            and model.text_pool_type in {"argmax", "eos"}
        )

    def encode(self, tokens: torch.Tensor) -> torch.Tensor:
        """Features (n, dim), not normalised, of tokens (n, context)."""
        length = int(self._ends(tokens).max()) + 1 if self._causal else tokens.shape[1]
        if length == tokens.shape[1]:
            return self.forward(tokens)
        features: torch.Tensor = torch.func.functional_call(
            self,
            {
                "model.positional_embedding": self.model.positional_embedding[:length],
                "model.attn_mask": self.model.attn_mask[:length, :length],
            },
            (tokens[:, :length],),
        )
        return features

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The features of tokens that are as many as the model's positions."""
        features: torch.Tensor = self.model.encode_text(tokens)
        return features

    def _ends(self, tokens: torch.Tensor) -> torch.Tensor:
        """Where the feature of each text is read: at its end token, as open_clip finds it."""
        if self.model.text_pool_type == "eos":
            tokens = (tokens == self.model.text_eos_id).int()
        return tokens.argmax(dim=-1)
