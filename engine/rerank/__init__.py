"""Puts what was found into a better order, by a model that reads query and caption together."""
