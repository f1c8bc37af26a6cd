"""Exports an entry as bare PyTorch does.

python -m benchmarks.zoo.bare families hf_bert bert.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.scale import bare
from benchmarks.zoo import listing

if __name__ == "__main__":
    group, name, out = sys.argv[1:]
    entry = listing.one(group, name)
    module = entry.factory()
    bare.export(module, listing.inputs_of(entry, module), Path(out))
