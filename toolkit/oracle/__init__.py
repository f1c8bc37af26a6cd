"""What is right for a feed: the outputs in float64."""
