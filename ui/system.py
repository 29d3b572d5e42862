"""The page system."""
