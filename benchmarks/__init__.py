"""The tool measured against planted truths, against its peers and against a bare loop."""
