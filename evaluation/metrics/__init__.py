"""What captions and rankings score, with intervals."""
