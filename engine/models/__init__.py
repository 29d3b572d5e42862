"""Encoder and generator: loaded once, behind a queue each."""
