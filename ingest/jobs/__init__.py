"""Ingests in the background, and what they may read."""
