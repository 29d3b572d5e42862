"""The web front end: one file per page."""
