"""The one process: pages, API and agents behind one door, and who may come in."""
