"""The page collections."""
