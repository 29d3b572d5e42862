from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import MetricUnavailable
from evaluation.metrics.java import find_java

FakeJava = Callable[[str], Path]


@pytest.fixture(scope="session")
def java() -> None:
    """Skip where there is no Java."""
    try:
        find_java()
    except MetricUnavailable as error:
        pytest.skip(f"the scorers in Java cannot run here: {error}")


@pytest.fixture
def fake_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJava:
    """Puts a shell script in Java's place; it says it is 17 and then does as told."""

    def install(script: str, version: str = '"17.0.15" 2025-04-15') -> Path:
        program = tmp_path / "jdk" / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(
            "#!/bin/sh\n"
            f"""if [ "$1" = -version ]; then echo 'openjdk version {version}' >&2; exit; fi\n"""
            f"{script}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
        return program

    return install
