"""Where figures come from: the versions of all that had a part in them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "mrag",
    "matplotlib",
    "numpy",
    "open_clip_torch",
    "pycocoevalcap",
    "safetensors",
    "scipy",
    "torch",
    "transformers",
)


def versions() -> dict[str, str]:
    """The versions of Python, the system and the packages that figures depend on."""
    about = {"python": platform.python_version(), "system": platform.platform()}
    return about | versions_of(PACKAGES)


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """The version of each package."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
