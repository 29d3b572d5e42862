"""The page Describe."""
