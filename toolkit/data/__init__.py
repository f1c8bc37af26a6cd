"""Labelled data of the user's own: examples and their labels, metrics, and what these can show.

Nothing here runs a model: `engine/datapass.py` does, and gives the outputs back batch by batch.
"""
