"""What a model is made from. torch is imported inside functions only."""
