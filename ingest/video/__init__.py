"""Reads videos: where one shot ends and the next begins, and a few frames of each."""
