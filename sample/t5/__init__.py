"""The sample world's tiny T5, and how it was trained."""
