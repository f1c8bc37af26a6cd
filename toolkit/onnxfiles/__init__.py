"""ONNX files on disk, read as untrusted input: facts, tensors, graphs, the reference contract."""
