"""Answers: describes pictures and finds them over what `ingest` has filled."""
