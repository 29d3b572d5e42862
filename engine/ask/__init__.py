"""Answers questions about pictures from captions that were found."""
