"""Fills: reads sources, embeds, fits the map, pushes to the indexes."""
