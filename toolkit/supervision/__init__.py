"""Bounds a command in time and memory: it runs in a process that another one watches over.

A model may be hostile, or merely too large: a Loop without an end, a constant that folds to
terabytes. No Python code can end a library's call that hangs. So the command that a user typed is a
small process that starts the real one, waits, and ends it with all that it started.
"""
