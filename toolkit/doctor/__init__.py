"""Findings about an installation and a machine, each with its cure as a command."""
