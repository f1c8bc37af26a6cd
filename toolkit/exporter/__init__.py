"""From a PyTorch module to a proven file."""
