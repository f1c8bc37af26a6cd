"""A plug-in: ONNX Runtime, slowed down by a share that is known."""
