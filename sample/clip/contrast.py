"""The contrastive loss that the CLIP is trained with, and what it must not be told is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from sample.world.places import PLACES
from sample.world.reading import read_caption
from sample.world.scenes import Scene

_NEVER = -1e4


@dataclass(frozen=True)
class Facts:
    """Of n scenes and a text of each: numbers by which to see which text fits which scene."""

    arrangement: npt.NDArray[np.int64]  # the same number for the same groups and relation
    place: npt.NDArray[np.int64]
    placeless: npt.NDArray[np.bool_]  # the text does not say where

    @classmethod
    def of(cls, scenes: Sequence[Scene], texts: Sequence[str]) -> Facts:
        """Read them off scenes and texts."""
        return cls(
            np.array([hash((scene.groups, scene.relation)) for scene in scenes]),
            np.array([PLACES.index(scene.place) for scene in scenes]),
            np.array([not read_caption(text).place for text in texts]),
        )

    def fit(self, others: Facts) -> npt.NDArray[np.bool_]:
        """Mask (n, m), true where the other's text (column) fits the scene (row)."""
        alike = self.arrangement[:, None] == others.arrangement
        somewhere = others.placeless | (self.place[:, None] == others.place)
        return np.asarray(alike & somewhere)


@dataclass(frozen=True)
class Embedded:
    """A batch's unit embeddings of pictures and texts, and the facts about them."""

    image: torch.Tensor
    text: torch.Tensor
    facts: Facts

    def detached(self) -> Embedded:
        """The same without gradients."""
        return Embedded(self.image.detach(), self.text.detach(), self.facts)


def _ignored(now: Facts, other: Facts, same: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Negatives that are none, for picture -> other texts and text -> other pictures."""
    texts, pictures = now.fit(other), other.fit(now).T
    if same:
        np.fill_diagonal(texts, False)
        np.fill_diagonal(pictures, False)
    return torch.from_numpy(texts), torch.from_numpy(pictures.copy())


def contrastive_loss(
    scale: torch.Tensor, now: Embedded, earlier: Iterable[Embedded]
) -> torch.Tensor:
    """CLIP's symmetric loss, with earlier batches as further negatives.

    Texts that happen to fit another scene as well are no negatives of it.
    """
    to_text, to_image = [], []
    for other in (now, *earlier):
        no_text, no_image = _ignored(now.facts, other.facts, same=other is now)
        to_text.append((scale * now.image @ other.text.T).masked_fill(no_text, _NEVER))
        to_image.append((scale * now.text @ other.image.T).masked_fill(no_image, _NEVER))
    labels = torch.arange(len(now.image))
    both = (cross_entropy(torch.cat(logits, 1), labels) for logits in (to_text, to_image))
    return sum(both, torch.zeros(())) / 2
