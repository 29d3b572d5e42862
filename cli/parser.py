"""Fetches the parser of SPICE with the user's knowledge: it is large."""

from __future__ import annotations

from collections.abc import Collection

from cli.output import say
from cli.progress import progress_bars
from engine.errors import MetricUnavailable
from engine.progress import Progress
from evaluation.metrics.java import find_java
from evaluation.metrics.spice import bytes_to_fetch, fetch_parser

_MB = 1_000_000


def fetch_parser_for(metrics: Collection[str]) -> None:
    """Fetch the parser if SPICE is asked for and lacks it; where it fails, the scores say why."""
    size = bytes_to_fetch() if "spice" in metrics else 0
    if not size or not _has_java():
        return
    say(
        f"spice needs the parser CoreNLP: fetching {size / _MB:,.0f} MB, once. Ctrl-C stops it; "
        "to do without, leave spice out of the metrics."
    )
    with progress_bars() as show:

        def on_bytes(have: int, of: int) -> None:
            show(Progress(f"fetch a file of {of / _MB:,.1f} MB", have, of, "bytes"))

        try:
            fetch_parser(on_bytes)
        except MetricUnavailable:
            return  # which the score raises again, as the reason that it is missing


def _has_java() -> bool:
    try:
        find_java()
    except MetricUnavailable:
        return False
    return True
