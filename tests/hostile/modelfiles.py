"""Models that never end, or that no memory holds, as ONNX's text."""

from __future__ import annotations

HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
ENDLESS = """
g (float[2] x) => (float[2] y) {
    ["turn"] y = Loop <
        body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t) {
            d = Identity (c)
            t = Neg (s)
        }
    > (, , x)
}
"""
HUGE = """
g (float[2] x) => (float[n, 2] y) <int64[2] s = {500000000, 2}> { ["grow"] y = Expand (x, s) }
"""
