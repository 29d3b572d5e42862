"""The sample world's tiny CLIP, and how it was trained."""
