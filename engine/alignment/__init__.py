"""The map across the modality gap: moments, closed forms, and how one is chosen."""
