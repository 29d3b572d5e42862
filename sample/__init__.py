"""The sample world: emoji scenes with captions, two tiny models, and the scripts that made them."""
