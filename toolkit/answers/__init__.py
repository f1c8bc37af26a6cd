"""Turns arrays into a verdict: says whether an output is right. It runs no runtime."""
