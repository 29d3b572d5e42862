"""Measurements beside what one would use instead; run one with `python -m benchmarks.NAME`."""
