"""The truth on disk: what is embedded, who may write it, and what is read from it."""
