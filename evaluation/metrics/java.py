"""Runs the scorers that are Java programs: finds Java, bounds its memory and its time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.errors import MetricUnavailable

OLDEST = 8
_HOW = "install a Java runtime, 8 to 21 (Debian: apt-get install default-jre-headless)"


@dataclass(frozen=True)
class Java:
    """A Java runtime: its program and its major version (8, 11, 17, …)."""

    program: str
    version: int

    def command(
        self, classpath: Sequence[Path], main: str, *, heap_mb: int, options: Sequence[str] = ()
    ) -> list[str]:
        """The start of a command line that runs the class `main`; its arguments follow.

        Texts go in and out as UTF-8 and numbers have a decimal point, whatever the locale is.
        """
        return [
            self.program,
            f"-Xmx{heap_mb}m",
            "-XX:+UseSerialGC",
            "-Dfile.encoding=UTF-8",
            "-Dstdout.encoding=UTF-8",
            "-Duser.language=en",
            "-Duser.country=US",
            *options,
            "-cp",
            os.pathsep.join(map(str, classpath)),
            main,
        ]


def find_java() -> Java:
    """The Java of `JAVA_HOME`, else the one on the path.

    Raises MetricUnavailable where there is none, or one older than 8.
    """
    home = os.environ.get("JAVA_HOME", "")
    program = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    program = program or shutil.which("java")
    if program is None:
        raise MetricUnavailable(f"needs Java, and there is none on the path; {_HOW}")
    java = Java(program, _version(program))
    if java.version < OLDEST:
        raise MetricUnavailable(f"needs Java 8 or newer, and {program} is {java.version}; {_HOW}")
    return java


@cache
def _version(program: str) -> int:
    """The major version that a Java says it is."""
    try:
        said = subprocess.run(
            [program, "-version"], capture_output=True, timeout=60, check=False
        ).stderr.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MetricUnavailable(f"{program} does not start: {error}; {_HOW}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if found is None:
        raise MetricUnavailable(f"{program} does not say its version: {last_line(said)}; {_HOW}")
    return int(found[1])


def run_java(command: Sequence[str], text: str, *, what: str, seconds: float) -> str:
    """What a Java program answers on its output to `text` on its input.

    Raises MetricUnavailable if it does not start, dies, or takes longer than `seconds`; it is
    ended then, as it is at an interrupt.
    """
    try:
        done = subprocess.run(
            command,
            input=text.encode(errors="replace"),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MetricUnavailable(f"{what} took longer than {seconds:.0f} s and was ended") from error
    except OSError as error:
        raise MetricUnavailable(f"{what} did not start: {error}") from error
    if done.returncode:
        raise MetricUnavailable(died(what, done.returncode, done.stderr))
    return done.stdout.decode(errors="replace")


def died(what: str, status: int, errors: bytes) -> str:
    """The sentence that says how a Java program ended before its work was done."""
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    said = last_line(errors.decode(errors="replace"))
    return f"{what} (Java) {how}" + (f": {said}" if said else "")


def last_line(text: str) -> str:
    """The last line of a program's errors that says something, cut to what is readable."""
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(("at ", "..."))]
    return said[-1][:300] if said else ""
