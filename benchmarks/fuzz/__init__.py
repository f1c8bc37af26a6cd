"""Damages what toolkit reads from strangers, by seed, and sees what it makes of it.

    python -m benchmarks.fuzz models --cases 5000
    python -m benchmarks.fuzz records samples replies --cases 3500
    python -m benchmarks.fuzz --table

models   the tests of the onnx package, read and judged as `toolkit check` does
records  run.json and the parts of a run, as `report`, `compare` and `bench --resume` read them
samples  the archives of its samples, likewise
replies  what a worker answers, and the files of its outputs

Right is that a case is read to its end, or refused in one line. A process serves many cases, with a
limit on its memory, and is replaced after a crash or a time-out; the ledgers go on where they
stopped. A case is made from its seed alone: `--show SEED` writes its files.
"""
