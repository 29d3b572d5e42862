"""Measures: caption metrics, ranking metrics, ablations, reports."""
