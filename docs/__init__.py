"""What the documents show, and how it is made."""
