"""The contrastive loss that the CLIP is trained with, and what it must not be told is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from sample.world.places import PLACES
from sample.world.queries import ANY, Query
from sample.world.scenes import RELATIONS, Group, Scene
from sample.world.things import THINGS

_NEVER = -1e4
_NOTHING, _ANYWHERE = -1, -1
_SIZES = ("", "big", "small")
_NUMBER_OF = {thing.name: number for number, thing in enumerate(THINGS)}
_DETAIL = re.compile(
    r"\b(big|large|small|little|next to|left of|right of|beside|near|above|over|on top of"
    r"|below|under(?! the (?:night sky|stars))|underneath)\b"
)


def _group_number(name: str, count: int) -> int:
    return _NUMBER_OF[name] * 4 + count


def _pair(numbers: Sequence[int]) -> list[int]:
    """One or two numbers as two, the smaller first; the second is `_NOTHING` if there is none."""
    return [*sorted(numbers), _NOTHING, _NOTHING][:2]


def _arrangement(scene: Scene) -> int:
    """A number that scenes share if they have the same groups, sizes and relation."""

    def number(group: Group) -> int:
        return _group_number(group.thing.name, group.count) * 3 + _SIZES.index(group.size)

    relation = ("", *RELATIONS).index(scene.relation)
    second = number(scene.groups[1]) + 1 if len(scene.groups) > 1 else 0
    return (number(scene.groups[0]) * 1024 + second) * 3 + relation


Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Facts:
    """Of n scenes and a text of each: numbers by which to see which text fits which scene."""

    arrangement: Numbers  # the same number for the same groups, sizes and relation
    groups: Numbers  # (n, 2) a number for each group of the scene
    place: Numbers
    wanted: Numbers  # (n, 2) a number for each group that the text names
    wanted_place: Numbers  # _ANYWHERE if the text does not say where
    only: Mask  # the text is a caption: it names all that there is
    detailed: Mask  # the text tells sizes or who stands where

    @classmethod
    def of(cls, scenes: Sequence[Scene], texts: Sequence[Query]) -> Facts:
        """Read them off scenes and texts."""
        names = [place.name for place in PLACES]
        return cls(
            np.array([_arrangement(scene) for scene in scenes]),
            np.array([_pair([_group_number(*one) for one in s.meaning.things]) for s in scenes]),
            np.array([PLACES.index(scene.place) for scene in scenes]),
            np.array([_pair([_group_number(*one) for one in t.wanted.things]) for t in texts]),
            np.array([names.index(t.wanted.place) if t.wanted.place else _ANYWHERE for t in texts]),
            np.array([text.wanted.only for text in texts]),
            np.array([bool(_DETAIL.search(text.text)) for text in texts]),
        )

    def fit(self, others: Facts) -> Mask:
        """Mask (n, m), true where the other's text (column) fits the scene (row)."""
        somewhere = (others.wanted_place == _ANYWHERE) | (
            self.place[:, None] == others.wanted_place
        )
        same_groups = (self.groups[:, None] == others.wanted).all(-1)
        same_arrangement = self.arrangement[:, None] == others.arrangement
        as_caption = np.where(others.detailed, same_arrangement, same_groups)
        as_caption[:, ~others.only] = self._holds(others.wanted[~others.only])
        return np.asarray(somewhere & as_caption)

    def _holds(self, wanted: Numbers) -> Mask:
        """Mask (n, m), true where the scene (row) has all that is wanted (column)."""
        held = np.concatenate([self.groups, self.groups // 4 * 4 + ANY], axis=1)
        each = (held[:, None, :, None] == wanted[None, :, None, :]).any(2)
        return np.asarray((each | (wanted == _NOTHING)).all(-1))


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
        texts, pictures = texts.copy(), pictures.copy()
        np.fill_diagonal(texts, False)
        np.fill_diagonal(pictures, False)
    return torch.from_numpy(texts), torch.from_numpy(pictures.copy())


def contrastive_loss(
    scale: torch.Tensor, now: Embedded, earlier: Iterable[Embedded]
) -> torch.Tensor:
    """CLIP's symmetric loss, with earlier batches as further negatives.

    Texts that happen to fit another scene as well are no negatives of it. Short queries look for
    their pictures, but no picture looks for its short query: it is to say more than one word.
    """
    to_text, to_image = [], []
    for other in (now, *earlier):
        no_text, no_image = _ignored(now.facts, other.facts, same=other is now)
        to_text.append((scale * now.image @ other.text.T).masked_fill(no_text, _NEVER))
        to_image.append((scale * now.text @ other.image.T).masked_fill(no_image, _NEVER))
    labels = torch.arange(len(now.image))
    told = torch.from_numpy(now.facts.only)
    by_text = cross_entropy(torch.cat(to_text, 1)[told], labels[told])
    return (by_text + cross_entropy(torch.cat(to_image, 1), labels)) / 2
