from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import MetricUnavailable
from evaluation.metrics.java import Java, find_java, run_java

FakeJava = Callable[[str], Path]


def test_java_home_comes_before_the_path(fake_java: FakeJava) -> None:
    program = fake_java("")
    assert find_java() == Java(str(program), 17)


@pytest.mark.parametrize(
    ("said", "version"),
    [('"1.8.0_442"', 8), ('"11.0.13" 2021-10-19', 11), ('"21" 2023-09-19', 21), ('"25-ea"', 25)],
)
def test_versions_of_old_and_new_kind_are_read(
    fake_java: Callable[[str, str], Path], said: str, version: int
) -> None:
    fake_java("", said)
    assert find_java().version == version


def test_a_java_too_old_is_refused(fake_java: Callable[[str, str], Path]) -> None:
    fake_java("", '"1.7.0_80"')
    with pytest.raises(MetricUnavailable, match=r"Java 8 or newer, and .* is 7"):
        find_java()


def test_a_program_that_is_not_java_is_named(
    fake_java: Callable[[str, str], Path],
) -> None:
    program = fake_java("", "none")
    with pytest.raises(MetricUnavailable, match="does not say its version") as raised:
        find_java()
    assert str(program) in str(raised.value)


def test_without_java_the_reason_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MetricUnavailable, match=r"none on the path; install a Java.*apt-get"):
        find_java()


def test_memory_is_bounded_and_the_class_comes_last() -> None:
    command = Java("java", 17).command([], "Main", heap_mb=10, options=["-Da=b"])
    assert "-Xmx10m" in command
    assert command.index("-Da=b") < command.index("Main") == len(command) - 1


def test_jars_are_joined_as_the_system_does() -> None:
    command = Java("java", 17).command([Path("a b.jar"), Path("c.jar")], "Main", heap_mb=10)
    assert command[command.index("-cp") + 1] == f"a b.jar{os.pathsep}c.jar"


def test_what_a_dying_program_said_last_is_the_reason() -> None:
    script = "cat >/dev/null; echo 'java.lang.OutOfMemoryError: Java heap space' >&2; exit 3"
    with pytest.raises(MetricUnavailable, match=r"METEOR .* status 3: .*OutOfMemoryError"):
        run_java(["sh", "-c", script], "text", what="METEOR", seconds=60)


def test_a_program_that_is_killed_midway_is_a_reason() -> None:
    with pytest.raises(MetricUnavailable, match="signal 9"):
        run_java(["sh", "-c", "kill -9 $$"], "text" * 10**6, what="METEOR", seconds=60)


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ > {pid}; exec sleep 600"]
    with pytest.raises(MetricUnavailable, match=r"longer than .* s"):
        run_java(command, "text", what="METEOR", seconds=0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_program_that_never_reads_and_floods_its_errors_does_not_block() -> None:
    script = "yes | head -c 3000000 >&2; yes | head -c 3000000; exit 0"
    out = run_java(["sh", "-c", script], "text" * 10**6, what="METEOR", seconds=60)
    assert len(out) == 3_000_000


def ended(pid: int) -> bool:
    """Whether a process is gone; one that was killed takes a moment."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_an_interrupt_leaves_no_program_behind(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (  # a background process may have been told to ignore interrupts
        "import signal\n"
        "from evaluation.metrics.java import run_java\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"run_java(['sh', '-c', 'read x; echo $$ > {pid}; exec sleep 600'], 'go\\n',"
        " what='x', seconds=600)"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stderr=subprocess.PIPE) as python:
        while not (pid.exists() and pid.read_text()):
            assert python.poll() is None
            time.sleep(0.02)
        python.send_signal(2)
        python.communicate()
    assert ended(int(pid.read_text()))
