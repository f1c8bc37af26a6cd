"""Runs ONNX's own operator tests on the oracle and on runtimes: what is right, wrong or refused."""
