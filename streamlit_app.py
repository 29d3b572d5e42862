"""The web front end: page config and navigation."""
