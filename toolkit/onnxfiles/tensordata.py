"""Holds the numbers of one stored tensor: where they lie, or how they are made."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles import storedtensors
from toolkit.tensors import Array
from toolkit.units import Bytes

PACKED = {TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2}
PACKED |= {TensorProto.FLOAT4E2M1}
"""Types of which a byte holds several elements."""


@dataclass(frozen=True)
class Stored:
    """The place of a tensor's bytes, as ONNX lays them out."""

    file: Path
    offset: Bytes
    length: Bytes

    def read(self) -> Array:
        """Reads the bytes, as uint8."""
        return np.fromfile(self.file, np.uint8, self.length, offset=self.offset)

    def mapped(self) -> Array:
        """Maps the bytes, as uint8, for whoever takes a few of them: what is looked at is read."""
        if not self.length:  # nothing cannot be mapped
            return np.empty(0, np.uint8)
        return np.memmap(self.file, np.uint8, "r", self.offset, (self.length,))


@dataclass
class Inside:
    """A tensor whose bytes are in memory, inside a model that was read."""

    tensor: TensorProto
    stored: Stored | None = None
    """The file that its bytes were written to, once a changed copy of the model was saved."""


@dataclass(frozen=True)
class Weight:
    """A large tensor: where it lies, or how it is made."""

    kind: int
    """ONNX's element type."""
    dims: tuple[int, ...]
    source: Stored | Inside | Callable[[], Array]

    def array(self, *, few: bool = False) -> Array:
        """Reads it in its own type, or makes it. What was read may not be written.

        Where `few` numbers of it are wanted it is mapped, not read. Raises KeyError for external
        data whose folder is not known.
        """
        if isinstance(self.source, Inside):
            return _values(self.source.tensor)
        if not isinstance(self.source, Stored):
            return self.source()
        data = self.source.mapped() if few else self.source.read()
        if self.kind in PACKED:
            return numpy_helper.to_array(self._with(data.tobytes()))
        values = data.view(helper.tensor_dtype_to_np_dtype(self.kind)).reshape(self.dims)
        return values if values.flags.aligned else values.copy()

    def tensor(self, name: str) -> TensorProto:
        """Gives it with its data inside, under this name."""
        result = self._with(self.bytes().tobytes())
        result.name = name
        return result

    def bytes(self) -> Array:
        """Gives its bytes as ONNX lays them out, as uint8."""
        if isinstance(self.source, Stored):
            return self.source.read()
        if isinstance(self.source, Inside):
            return _raw(self.source.tensor)
        return np.ascontiguousarray(self.source()).reshape(-1).view(np.uint8)

    def then(self, step: Callable[[Array], Array]) -> Weight:
        """Gives the float32 tensor that a step makes of this one, whenever it is asked for."""
        return Weight(TensorProto.FLOAT, self.dims, lambda: step(self.array()))

    def _with(self, data: builtins.bytes) -> TensorProto:
        return TensorProto(data_type=self.kind, dims=self.dims, raw_data=data)


def of_tensor(tensor: TensorProto, folder: Path | None = None) -> Weight:
    """Gives a stored tensor as it is read from its model, or from its file in this folder."""
    source: Stored | Inside = Inside(tensor)
    if tensor.data_location == TensorProto.EXTERNAL and folder is not None:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        # Not its own "length": padding may stand behind the values.
        length = storedtensors.needed(tensor)
        file = (folder / entries["location"]).resolve()
        source = Stored(file, int(entries.get("offset", 0)), length)
    return Weight(tensor.data_type, tuple(tensor.dims), source)


def bring_inside(model: ModelProto, folder: Path) -> None:
    """Brings the external data of all tensors that a model stores into it, in place.

    Not by onnx's own function: that refuses files that have a second link, as caches have them.
    """
    for tensor in storedtensors.stored(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.CopyFrom(of_tensor(tensor, folder).tensor(tensor.name))


def _values(tensor: TensorProto) -> Array:
    """Gives the values of a tensor in memory."""
    if tensor.data_location == TensorProto.EXTERNAL:
        raise KeyError(f"{tensor.name} lies in another file, and the model's folder is not known")
    return numpy_helper.to_array(tensor)


def _raw(tensor: TensorProto) -> Array:
    """Gives a tensor's bytes as ONNX lays them out, whichever field holds it."""
    if not tensor.HasField("raw_data"):
        tensor = numpy_helper.from_array(_values(tensor))
    return np.frombuffer(tensor.raw_data, np.uint8)
