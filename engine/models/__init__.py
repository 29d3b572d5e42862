"""Encoder and generator: loaded once, behind a queue each."""

import os

# Threads that wait for each other shall sleep: spinning, they take the core that the one they
# wait for needs, and beside other work that makes a model many times slower. OpenMP reads this
# when torch is imported, which happens later than this everywhere.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
