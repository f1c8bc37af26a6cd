"""A plug-in that runs ONNX Runtime, slowed down by a known share."""
