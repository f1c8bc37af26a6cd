"""What a model is fed: what the user gave, real samples, or draws that make sense."""
