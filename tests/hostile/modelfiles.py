"""Models as ONNX's text, and in bytes: the parts of which the bad files are made."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from tests.hostile.kind import Make, Place

HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
BOTH = '<ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 3]>'
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
SOUND = """
g (float[batch, 4] x) => (float[batch, 3] y) <float[4, 3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> {
    y = MatMul (x, w)
}
"""
"""Four numbers times twelve; its weights may be put elsewhere."""


def parsed(body: str, head: str = HEAD) -> ModelProto:
    """A model from its text. Nothing checks what it means."""
    return onnx.parser.parse_model(f"{head} {body}")


def sound() -> ModelProto:
    """SOUND, whose weights are 48 raw bytes."""
    model = parsed(SOUND)
    (tensor,) = model.graph.initializer
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "w"))
    return model


def put(place: Place, model: ModelProto) -> None:
    """Writes a model without a look at it."""
    place.model.write_bytes(model.SerializeToString())


def text(body: str, head: str = HEAD) -> Make:
    """Makes a model from its text."""
    return lambda place: put(place, parsed(body, head))


def data(content: bytes) -> Make:
    """Makes a file of these bytes."""
    return lambda place: place.model.write_bytes(content)


def weights() -> bytes:
    """The bytes of SOUND's weights."""
    return np.arange(1, 13, dtype=np.float32).tobytes()
