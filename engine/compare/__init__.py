"""Raw CLIP beside mapped: rankings, the modality gap, and who wins."""
