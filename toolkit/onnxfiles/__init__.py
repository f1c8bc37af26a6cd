"""Reads ONNX files as untrusted input: facts, tensors, graphs, the reference model's contract."""
