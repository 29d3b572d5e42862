"""Small changes to pictures in training, so that the CLIP leans less on exact pixels.

What any camera and any file does: compression, light, tint, grain, a little blur. Nothing of it
is a frame, a card or another scale: the look of the postcards stays unseen. Nothing is cut or
zoomed: how large a thing is helps to tell how many there are.
"""

from __future__ import annotations

from io import BytesIO
from random import Random

import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

_COMPRESSED = 0.85
_QUALITIES = (70, 95)


def compressed(picture: Image.Image, rng: Random) -> Image.Image:
    """The picture as it comes back from a WebP file of some quality; now and then as it was."""
    if rng.random() > _COMPRESSED:
        return picture
    file = BytesIO()
    picture.save(file, "WEBP", quality=rng.randint(*_QUALITIES), method=1)
    with Image.open(file) as again:
        return again.convert("RGB")


def _some(images: torch.Tensor, share: float, noise: torch.Generator) -> torch.Tensor:
    """Which of the pictures are changed: a share of them, at random."""
    return (torch.rand(len(images), generator=noise) < share).nonzero().flatten()


def _uniform(count: int, low: float, high: float, noise: torch.Generator) -> torch.Tensor:
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=noise)


def _blurred(images: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    soft = avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    return torch.lerp(images, soft, _uniform(len(images), 0.0, 0.5, noise))


def _relit(images: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    tint = _uniform(3 * len(images), -0.04, 0.04, noise).view(len(images), 3, 1, 1)
    return (images * _uniform(len(images), 0.85, 1.15, noise) + tint).clamp(0, 1)


def _grained(images: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    grain = torch.randn(images.shape, generator=noise)
    return (images + _uniform(len(images), 0.0, 0.04, noise) * grain).clamp(0, 1)


_CHANGES = ((_blurred, 0.1), (_relit, 0.25), (_grained, 0.1))


def varied(images: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    """Pictures (n, 3, size, size) with values from 0 to 1, some of them changed a little."""
    images = images.clone()
    for change, share in _CHANGES:
        some = _some(images, share, noise)
        if len(some):
            images[some] = change(images[some], noise)
    return images
