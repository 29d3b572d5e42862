"""Has the graph of a generation built in a child process, and copies a generation for that."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.collection import CollectionFolder
from engine.disk import FREE_SPACE, free_bytes, in_words
from engine.store.generations import GenerationFolder, GenerationState, Hold
from engine.store.holes import copy_with_holes
from engine.store.interface import INDEXES

_TICK_S = 0.2
_ROOT = Path(__file__).parents[2]
_TOLD = 400


def build_graph(generation: GenerationFolder, hold: Hold, tick: Callable[[], None]) -> str:
    """Build the graphs of a generation that nobody has open; "" or why that failed.

    A failure costs speed alone: without a graph the search is exact. `tick` is called several
    times a second; if it raises, the child is ended. The child keeps the hold too, so that what
    it writes to is not removed should this process die first.
    """
    command = [sys.executable, "-m", "engine.store.build_graph"]
    command += [str(generation.index(name)) for name in INDEXES]
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    kept = () if hold.handle is None else (hold.handle,)
    with tempfile.TemporaryFile("w+", errors="replace") as told:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=told,
                env={**os.environ, "PYTHONPATH": path},
                pass_fds=kept,
            )
        except OSError as error:
            return f"no process for it could be started: {error}"
        try:
            while _is_running(child):
                tick()
        except BaseException:
            child.kill()
            child.wait()
            raise
        if child.returncode == 0:
            return ""
        if -child.returncode == getattr(signal, "SIGBUS", 0):
            free = in_words(free_bytes(generation.path))
            return f"the disk of {generation.path} is full: {free} free; {FREE_SPACE}"
        told.seek(0)
        last = (told.read().strip().splitlines() or [""])[-1][:_TOLD]
        return f"the process that built it ended with status {child.returncode}: {last}"


def copy_generation(
    folder: CollectionFolder, whole: GenerationFolder, number: int, state: GenerationState
) -> GenerationFolder:
    """Copy a generation whose indexes have been flushed and that nobody writes to."""
    made = GenerationFolder(folder, number)
    made.path.mkdir(parents=True)
    made.write_state(state)
    for path in whole.path.iterdir():
        if path.is_dir():
            shutil.copytree(path, made.path / path.name, copy_function=copy_with_holes)
        elif not (made.path / path.name).exists() and not path.name.startswith("."):
            copy_with_holes(str(path), str(made.path / path.name))
    return made


def _is_running(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=_TICK_S)
    except subprocess.TimeoutExpired:
        return True
    return False
