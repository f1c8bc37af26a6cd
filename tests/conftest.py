"""What all tests share."""

from __future__ import annotations

import os

# One thread: the tests run side by side, and no number here may depend on the number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
