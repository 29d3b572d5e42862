"""What decides an outcome beside data and options: the code, its libraries, and the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from engine.describe.prompts import TEMPLATES
from engine.models.device import choose_device, cpu_has_bf16_units
from engine.settings import Settings
from evaluation.reports.provenance import versions_of

_ROOT = Path(__file__).resolve().parent.parent
_DECIDING = (
    "corpus/captions.py",
    "corpus/examples.py",
    "engine/alignment",
    "engine/describe",
    "engine/identity.py",
    "engine/models",
    "engine/types.py",
    "evaluation/ablation",
    "evaluation/corrected.py",
    "evaluation/evaluate.py",
    "evaluation/maps.py",
    "evaluation/matrix_captions.py",
    "evaluation/metrics",
    "evaluation/written.py",
)
_LIBRARIES = ("numpy", "open_clip_torch", "pycocoevalcap", "scipy", "torch", "transformers")


def conditions(settings: Settings) -> dict[str, str]:
    """What must be the same for an outcome to be the same, by name.

    Raises InvalidInput where the device is not there.
    """
    device = choose_device(settings.device)
    precision: str = settings.precision
    if precision == "auto" and device.type == "cpu":
        precision += f", bf16 units: {cpu_has_bf16_units()}"
    return {
        "code": code_digest(),
        "templates": _digest(TEMPLATES),
        "device": str(device),
        "precision": precision,
    } | versions_of(_LIBRARIES)


@cache
def code_digest(root: Path = _ROOT) -> str:
    """32 hex digits of the source files that decide what a measurement comes to.

    They lie under `root` in a checkout as in an installed package.
    """
    digest = sha256()
    for path in _sources(root):
        for part in (path.relative_to(root).as_posix().encode(), path.read_bytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]


def _sources(root: Path) -> Iterator[Path]:
    for place in _DECIDING:
        yield from [root / place] if place.endswith(".py") else sorted((root / place).rglob("*.py"))


def _digest(texts: Mapping[str, str]) -> str:
    return sha256(repr(sorted(texts.items())).encode()).hexdigest()[:32]
