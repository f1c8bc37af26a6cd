"""The Python API: each pipeline as a function that runs it in a process that the caller watches.

Rules, cited in the code:

A1  The process that works opens models that may be hostile, so nothing that it writes is unpickled
    by the caller: it is read strictly, by the types in the signature of the task.
A2  A process that is watched already starts no other: there a function calls its pipeline.
A3  The process runs this copy of toolkit and finds modules where the caller does; it never imports
    the caller's program, which so needs no `if __name__ == "__main__"`.
"""
