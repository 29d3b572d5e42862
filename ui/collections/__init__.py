"""The page Collections."""
