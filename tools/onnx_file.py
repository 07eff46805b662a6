"""Write ONNX files, without the package onnx: the few parts of the format that our models need.

    graph = Graph("double")
    x = graph.input("x", FLOAT, ["T"])
    graph.output(graph.node("Mul", x, graph.constant("two", np.float32(2))), "y", FLOAT, ["T"])
    file.write_bytes(graph.model())

ONNX is a protocol buffer: fields with a number, each a number or some bytes
(onnx.proto3 in https://github.com/onnx/onnx). Large weights stay in a file of their own, which
several models may share.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

FLOAT, INT8, INT32, INT64 = 1, 3, 6, 7  # TensorProto.DataType
UINT8 = 2
TYPES = {"float32": FLOAT, "int8": INT8, "uint8": UINT8, "int32": INT32, "int64": INT64}
IR_VERSION, OPSET = 10, 20
EXTERNAL = 1  # TensorProto.DataLocation
ALIGNMENT = 64  # bytes: where a weight begins in its file


def varint(value: int) -> bytes:
    """A whole number, seven bits a byte, the lowest first."""
    value &= (1 << 64) - 1  # negative ones as two's complement
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | float | str | bytes) -> bytes:
    """One field of a message; a float has four bytes."""
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(number: int, values: Sequence[int | str | bytes]) -> bytes:
    """The same field several times."""
    return b"".join(field(number, value) for value in values)


def attribute(name: str, value: int | float | Sequence[int]) -> bytes:
    """AttributeProto: a setting of a node."""
    if isinstance(value, float):
        return field(1, name) + field(2, value) + field(20, 1)
    if isinstance(value, int):
        return field(1, name) + field(3, value) + field(20, 2)
    return field(1, name) + fields(8, value) + field(20, 7)


def value_info(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    """ValueInfoProto: an input or output, with the names of axes of any length."""
    axes = (field(2, axis) if isinstance(axis, str) else field(1, axis) for axis in shape)
    tensor = field(1, kind) + field(2, fields(1, list(axes)))
    return field(1, name) + field(2, field(1, tensor))


class Weights:
    """A file of weights, which models refer to by name: `add` them, then write `data`."""

    def __init__(self, file: str):
        self.file = file
        self.data = bytearray()
        self.places: dict[str, bytes] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # what they are made into, where it differs

    def add(self, name: str, array: np.ndarray) -> str:
        """Put an array at the end of the file; returns its name."""
        array = np.ascontiguousarray(array)
        self.data += bytes(-len(self.data) % ALIGNMENT)
        place = {"location": self.file, "offset": len(self.data), "length": array.nbytes}
        entries = [field(1, key) + field(2, str(value)) for key, value in place.items()]
        self.data += array.tobytes()
        head = fields(1, array.shape) + field(2, TYPES[array.dtype.name]) + field(8, name)
        self.places[name] = head + fields(13, entries) + field(14, EXTERNAL)
        return name


class Graph:
    """A computation: nodes in the order in which they run, each with names for what it gives."""

    def __init__(self, name: str):
        self.name = name
        self._nodes: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []
        self._initializers: dict[str, bytes] = {}

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """Declare an input; returns its name."""
        self._inputs.append(value_info(name, kind, shape))
        return name

    def output(self, value: str, name: str, kind: int, shape: Sequence[int | str]) -> None:
        """Give a value out under a name."""
        self._nodes.append(self._node("Identity", [value], [name], {}))
        self._outputs.append(value_info(name, kind, shape))

    def constant(self, name: str, array: np.ndarray) -> str:
        """A small array within the file; returns its name."""
        array = np.asarray(array)
        head = fields(1, array.shape) + field(2, TYPES[array.dtype.name]) + field(8, name)
        self._initializers[name] = head + field(9, array.tobytes())
        return name

    def weight(self, weights: Weights, name: str) -> str:
        """A weight in a file of weights; returns its name."""
        self._initializers[name] = weights.places[name]
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **settings) -> str | list[str]:
        """Add a node; returns the name of what it gives, or names where there are several."""
        number = len(self._nodes)
        names = [f"{kind}_{number}" + (f"_{i}" if i else "") for i in range(outputs)]
        self._nodes.append(self._node(kind, inputs, names, settings))
        return names[0] if outputs == 1 else names

    @staticmethod
    def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], settings: Mapping) -> bytes:
        made = [attribute(name, value) for name, value in settings.items()]
        return fields(1, inputs) + fields(2, outputs) + field(4, kind) + fields(5, made)

    def model(self) -> bytes:
        """The whole file."""
        graph = fields(1, self._nodes) + field(2, self.name)
        graph += fields(5, list(self._initializers.values()))
        graph += fields(11, self._inputs) + fields(12, self._outputs)
        opset = field(1, "") + field(2, OPSET)
        return field(1, IR_VERSION) + field(8, opset) + field(7, graph)
