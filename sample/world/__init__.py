"""The scenes of the sample world: what is in them, how they look, what is said of them."""
