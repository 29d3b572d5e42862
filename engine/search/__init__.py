"""From words or a picture to pictures."""
