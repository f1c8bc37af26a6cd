"""toolkit takes a PyTorch model to a proven, measured .onnx on any runtime.

The Python API is a function for each pipeline: `train`, `export`, `check`, `bench`, `compare`,
`deploy`, `conformance`, and `assert_right` for tests. Each is loaded when it is first used, so that
`import toolkit` needs neither torch nor any runtime. All but `train` run in a process that the
calling one watches over.
"""

from typing import TYPE_CHECKING

# Its only home: setup.cfg reads it here without an import, since this is a literal. No metadata of
# a distribution is asked, because workers run a copy of this file where none is installed.
__version__ = "0.1.0"
__all__ = [
    "__version__",
    "assert_right",
    "bench",
    "check",
    "compare",
    "conformance",
    "deploy",
    "export",
    "train",
]

if TYPE_CHECKING:
    from toolkit.api.asserting import assert_right
    from toolkit.api.functions import bench, check, compare, conformance, deploy, export
    from toolkit.pipelines.train import train
else:
    _HOMES = {"assert_right": "toolkit.api.asserting", "train": "toolkit.pipelines.train"}

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
        import importlib

        return getattr(importlib.import_module(_HOMES.get(name, "toolkit.api.functions")), name)

    def __dir__() -> list[str]:
        """Names what is loaded when it is first used too: notebooks complete by it."""
        return sorted({*globals(), *__all__})
