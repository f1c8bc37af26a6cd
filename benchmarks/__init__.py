"""Measures the tool itself: against planted truths, against its peers, against a bare loop."""
