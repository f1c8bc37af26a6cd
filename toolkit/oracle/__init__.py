"""Says what is right for a feed: the outputs of the same model in float64."""
