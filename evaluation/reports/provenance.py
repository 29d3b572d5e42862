"""Where figures come from: the versions of all that had a part in them."""

from __future__ import annotations

import platform
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


def program_version() -> str:
    """The version of this program."""
    return _version("mrag")


def versions() -> dict[str, str]:
    """The versions of Python, the system and the packages that figures depend on."""
    about = {"python": platform.python_version(), "system": platform.platform()}
    return about | {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
