"""The way from a PyTorch module to a proven file."""
