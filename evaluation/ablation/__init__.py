"""Grids of settings, measured cell by cell."""
