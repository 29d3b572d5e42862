"""Descriptions that leave the program: into tables, sidecars, text files and pictures."""
