"""The console command `mrag`, also `python -m mrag`."""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run the command line; Ctrl-C ends it as quietly while it is still being loaded."""
    # OpenBLAS's idle threads spin for some 30 ms after each product; beside other work, or
    # between products of small matrices, that is most of what they do. Read by numpy's import.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    # Of all that is imported nothing becomes garbage: to look through it, while more comes in and
    # once more when the process ends, would be a quarter of a short command. Where triton was
    # loaded it must be, as it tells of what is left over.
    gc.set_threshold(50_000, 20, 100)
    try:
        from cli.main import main as run

        return run()
    except KeyboardInterrupt:
        return 130
    finally:
        if "triton" not in sys.modules:
            gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
