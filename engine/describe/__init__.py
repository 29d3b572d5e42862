"""From a picture to a description: retrieval, prompt, candidates, choice."""
