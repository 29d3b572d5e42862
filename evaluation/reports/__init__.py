"""What an evaluation found, as a table, JSON and HTML."""
