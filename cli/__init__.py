"""The terminal front end: one file per family of commands, nothing but input and output."""
