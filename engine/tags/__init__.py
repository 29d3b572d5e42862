"""Labels of a list that pictures get from the space they lie in: zero-shot, and from examples."""
