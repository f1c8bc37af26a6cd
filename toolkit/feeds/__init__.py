"""The inputs that a model is run with: the user's own, real samples, or draws that make sense."""
