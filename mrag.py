"""The console command `mrag`, also `python -m mrag`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; Ctrl-C ends it as quietly while it is still being loaded."""
    # OpenBLAS's idle threads spin for some 30 ms after each product; beside other work, or
    # between products of small matrices, that is most of what they do. Read by numpy's import.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    try:
        from cli.main import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
