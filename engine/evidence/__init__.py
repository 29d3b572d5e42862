"""Refines what goes into a prompt: near copies, contradictions, what one caption alone says."""
