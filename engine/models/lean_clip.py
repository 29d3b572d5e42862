"""Imports open_clip without what most of its models never use: that takes two thirds as long again.

open_clip takes timm and transformers in where they are installed, for towers that few of its
models have; torchvision takes in torch's compiler for one question about it. All three are loaded
here when they are needed, and not before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib import import_module, reload
from threading import RLock, get_ident
from types import FunctionType, ModuleType
from typing import Any

_COMPILER = ("torch._dynamo", "torch._dynamo.utils")
_TOWERS = {"vision_cfg": "timm_model_name", "text_cfg": "hf_model_name"}
"""Where the configuration of a model names a tower of another library."""

_OF_TOWERS = {"timm": "open_clip.timm_model", "transformers": "open_clip.hf_model"}
_ALONE = RLock()


def import_open_clip() -> ModuleType:
    """open_clip, which builds all of its own towers; see `load_towers` for those of others."""
    with _ALONE:
        if "open_clip" not in sys.modules:
            import_module("torch")  # whose own import is to find no stand-in

            with _compiler_later():
                import_module("torchvision")
            with _held_back():
                import_module("open_clip")
        return import_module("open_clip")


def load_towers(config: Mapping[str, Any]) -> None:
    """Give open_clip the libraries that a model of this configuration has towers of."""
    if not any(config.get(part, {}).get(name) for part, name in _TOWERS.items()):
        return
    with _ALONE, _compiler_later():
        for library, user in _OF_TOWERS.items():
            module = sys.modules[user]
            if getattr(module, library, None) is None:
                reload(module)  # its classes look into the same module, those made before, too


class _HoldBack:
    """Lets nobody of one thread import certain libraries, as if they were not installed."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None, target: Any = None) -> None:
        """Raise for what is held back; leave the rest to the finders that come after."""
        del path, target
        if get_ident() == self._thread and name.partition(".")[0] in _OF_TOWERS:
            raise ModuleNotFoundError(f"{name} is loaded when a model needs it", name=name)


@contextmanager
def _held_back() -> Iterator[None]:
    finder = _HoldBack()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Later(ModuleType):
    """Stands in for a part of torch's compiler, and is that part to whoever asks for anything.

    Only what torchvision and timm ask while they are imported waits until it is called.
    """

    def __getattr__(self, name: str) -> Any:
        # What Python itself asks of all modules, and of a package alone where its parts are wanted.
        if name.startswith("__") and (name, self.__name__) != ("__path__", _COMPILER[0]):
            raise AttributeError(name)
        if name == "is_compile_supported":
            return lambda device: _loaded(self.__name__).is_compile_supported(device)
        if name == "disable":
            return _disabled_later
        return getattr(_loaded(self.__name__), name)


def _disabled_later(function: Any, *args: Any, **named: Any) -> Any:
    """The function, kept from being compiled once it is called."""
    if not isinstance(function, FunctionType):
        return _loaded(_COMPILER[0]).disable(function, *args, **named)
    made: list[Any] = []

    @wraps(function)
    def run(*given: Any, **options: Any) -> Any:
        if not made:
            made.append(_loaded(_COMPILER[0]).disable(function, *args, **named))
        return made[0](*given, **options)

    return run


def _loaded(name: str) -> ModuleType:
    _remove_stand_ins()
    return import_module(name)


def _remove_stand_ins() -> None:
    for name in _COMPILER:
        if isinstance(sys.modules.get(name), _Later):
            del sys.modules[name]
    torch = sys.modules["torch"]
    if isinstance(torch.__dict__.get("_dynamo"), _Later):
        del torch.__dict__["_dynamo"]


@contextmanager
def _compiler_later() -> Iterator[None]:
    """What is imported inside gets torch's compiler when it first uses it."""
    if not any(name in sys.modules for name in _COMPILER):
        for name in _COMPILER:
            sys.modules[name] = _Later(name)
        sys.modules["torch"].__dict__.setdefault("_dynamo", sys.modules[_COMPILER[0]])
    try:
        yield
    finally:
        _remove_stand_ins()
