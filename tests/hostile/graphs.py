"""Graphs that mean nothing, or that no memory holds."""

# A kind is a line, however long: broken up, hundreds of lines would show less.
# ruff: noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from onnx import FunctionProto, GraphProto, ModelProto, TensorProto, helper, numpy_helper

from tests.hostile.kind import Kind, Make, each
from tests.hostile.modelfiles import BOTH, HEAD, put, sound, text
from tests.hostile.modelfiles import ENDLESS as ENDLESS_LOOP

# fmt: off
NODES = {
    "an operator that there is not": ("float[2] x", "float[2] y", "", "NoSuch (x)"),
    "an operator of a domain that nobody knows": ("float[2] x", "float[2] y", "", "some.where.Op (x)"),
    "an attribute that is missing": ("float[2] x", "float[4] y", "", "Concat (x, x)"),
    "an attribute of another type": ("float[2] x", "float[4] y", "", 'Concat <axis = "one"> (x, x)'),
    "an attribute that it has not": ("float[2] x", "float[2] y", "", "Relu <alpha = 1.0> (x)"),
    "too many inputs": ("float[2] x", "float[2] y", "", "Relu (x, x)"),
    "too few inputs": ("float[2] x", "float[2] y", "", "MatMul (x)"),
    "an input that nothing makes": ("float[2] x", "float[2] y", "", "Add (x, nobody)"),
    "its own output as its input": ("float[2] x", "float[2] y", "", "Add (x, y)"),
    "ranks that do not fit": ("float[3, 4] x", "float[3, 6] y", "float[1, 2] w = {1, 2}", "MatMul (x, w)"),
    "sizes that do not fit": ("float[2] x", "float[2] y", "float[3] w = {1, 2, 3}", "Add (x, w)"),
    "types that do not fit": ("float[2] x", "float[2] y", "int64[2] w = {1, 2}", "Add (x, w)"),
    "a shape below zero": ("float[2] x", "float[2] y", "int64[1] s = {-7}", "Reshape (x, s)"),
    "a shape with two open sizes": ("float[2] x", "float[n, m] y", "int64[2] s = {-1, -1}", "Reshape (x, s)"),
    "a shape of more elements": ("float[2] x", "float[3] y", "int64[1] s = {3}", "Reshape (x, s)"),
    "an axis that is not there": ("float[2] x", "float[4] y", "", "Concat <axis = 99> (x, x)"),
    "a permutation that is none": ("float[2, 3] x", "float[3, 2] y", "", "Transpose <perm = [5, 5]> (x)"),
    "a slice with steps of zero": ("float[4] x", "float[n] y", "int64[1] a = {0}", "Slice (x, a, a, a, a)"),
    "an index beyond the end": ("float[2] x", "float[1] y", "int64[1] i = {99}", "Gather (x, i)"),
    "no group of channels": ("float[1, 1, 4, 4] x", "float[1, 1, 2, 2] y", "float[1, 1, 3, 3] w = {1,1,1,1,1,1,1,1,1}", "Conv <group = 0> (x, w)"),
    "a kernel of no size": ("float[1, 1, 4, 4] x", "float[1, 1, a, b] y", "", "MaxPool <kernel_shape = [0, 0]> (x)"),
    "strides of zero": ("float[1, 1, 4, 4] x", "float[1, 1, a, b] y", "", "MaxPool <kernel_shape = [2, 2], strides = [0, 0]> (x)"),
    "pads of a terabyte": ("float[1, 1, 4, 4] x", "float[1, 1, a, b] y", "", "MaxPool <kernel_shape = [2, 2], pads = [1000000, 1000000, 1000000, 1000000]> (x)"),
    "a squeeze of four": ("float[4] x", "float[] y", "int64[1] a = {0}", "Squeeze (x, a)"),
    "parts that are not the whole": ("float[4] x", "float[9] y", "int64[1] s = {9}", "Split (x, s)"),
    "an expansion to 5 GiB": ("float[2] x", "float[n, 2] y", "int64[2] s = {671088640, 2}", "Expand (x, s)"),
    "an expansion beyond int64": ("float[2] x", "float[n, m, 2] y", "int64[3] s = {9000000000000000000, 9000000000000000000, 2}", "Expand (x, s)"),
    "tiles of a terabyte": ("float[2] x", "float[n] y", "int64[1] s = {1000000000000}", "Tile (x, s)"),
    "tiles below zero": ("float[2] x", "float[n] y", "int64[1] s = {-3}", "Tile (x, s)"),
    "a pad of a terabyte": ("float[2] x", "float[n] y", "int64[2] s = {0, 1000000000000}", "Pad (x, s)"),
    "a pad that takes more than there is": ("float[2] x", "float[n] y", "int64[2] s = {-9, -9}", "Pad (x, s)"),
    "a depth of a trillion": ("int64[2] x", "float[2, n] y", "int64[1] d = {1000000000000}, float[2] v = {0, 1}", "OneHot (x, d, v)"),
    "a range of 10^15": ("int64 x", "int64[n] y", "int64 a = {0}, int64 b = {1000000000000000}, int64 c = {1}", "Range (a, b, c)"),
    "a range with steps of zero": ("int64 x", "int64[n] y", "int64 a = {0}, int64 b = {5}, int64 c = {0}", "Range (a, b, c)"),
    "a constant of 10^15 elements": ("float[2] x", "float[n] y", "int64[1] s = {1000000000000000}", "ConstantOfShape (s)"),
    "a constant below zero": ("float[2] x", "float[n] y", "int64[1] s = {-4}", "ConstantOfShape (s)"),
    "a picture of 10^9 by 10^9": ("float[1, 1, 2, 2] x", "float[1, 1, a, b] y", "float[4] s = {1, 1, 1e9, 1e9}", "Resize (x, , s)"),
    "a picture of no size": ("float[1, 1, 2, 2] x", "float[1, 1, a, b] y", "float[4] s = {1, 1, 0, 0}", "Resize (x, , s)"),
    "the best nine of four": ("float[4] x", "float[n] y", "int64[1] k = {9}", "TopK (x, k)"),
    "the best minus one": ("float[4] x", "float[n] y", "int64[1] k = {-1}", "TopK (x, k)"),
    "a sum along no axis": ("float[4] x", "float[4] y", "int64 a = {9}", "CumSum (x, a)"),
    "an equation that is none": ("float[2, 2] x", "float[2, 2] y", "", 'Einsum <equation = "ij,,->>k"> (x)'),
    "an equation that is empty": ("float[2, 2] x", "float[2, 2] y", "", 'Einsum <equation = ""> (x)'),
    "a cast to the type 99": ("float[2] x", "float[2] y", "", "Cast <to = 99> (x)"),
    "a condition that is no bool": ("float[2] x", "float[2] y", "", "If <then_branch = a () => (float[2] p) { p = Identity (x) }, else_branch = b () => (float[2] q) { q = Neg (x) }> (x)"),
    "branches with different outputs": ("bool x", "float[2] y", "float[2] w = {1, 2}", "If <then_branch = a () => (float[2] p) { p = Identity (w) }, else_branch = b () => () { }> (x)"),
    "a branch without an output": ("bool x", "float[2] y", "float[2] w = {1, 2}", "If <then_branch = a () => () { }, else_branch = b () => () { }> (x)"),
    "a loop whose body has another number of inputs": ("float[2] x", "float[2] y", "int64 m = {3}", "Loop <body = b (int64 i) => (float[2] t) { t = Identity (x) }> (m, , x)"),
    "a scan of two lengths": ("float[2] x", "float[2] y", "float[3] w = {1, 2, 3}", "Scan <body = b (float s, float t) => (float u) { u = Add (s, t) }, num_scan_inputs = 2> (x, w)"),
    "random numbers": ("float[2] x", "float[2] y", "", "RandomUniformLike (x)"),
    "a random choice": ("float[2] x", "float[2] y", "", "Bernoulli (x)"),
    "scales that are no vector": ("float[2, 2] x", "uint8[2, 2] y", "float[3] s = {1, 1, 1}", "QuantizeLinear <axis = 1> (x, s)"),
    "a zero point of another type": ("uint8[2] x", "float[2] y", "float s = {1}, int8 z = {0}", "DequantizeLinear (x, s, z)"),
    "an axis of scales that is not there": ("uint8[2] x", "float[2] y", "float[2] s = {1, 1}", "DequantizeLinear <axis = 99> (x, s)"),
    "a recurrence without a state": ("float[2, 1, 3] x", "float[2, 1, 1, h] y", "float[1, 4, 3] w = {1,1,1,1,1,1,1,1,1,1,1,1}, float[1, 4, 1] r = {1,1,1,1}", "LSTM <hidden_size = 0> (x, w, r)"),
    "a direction that there is not": ("float[2, 1, 3] x", "float[2, 1, 1, 1] y", "float[1, 4, 3] w = {1,1,1,1,1,1,1,1,1,1,1,1}, float[1, 4, 1] r = {1,1,1,1}", 'LSTM <hidden_size = 1, direction = "sideways"> (x, w, r)'),
    "a norm of no groups": ("float[1, 4] x", "float[1, 4] y", "float[4] s = {1, 1, 1, 1}", "GroupNormalization <num_groups = 0> (x, s, s)"),
    "a window longer than the signal": ("float[1, 4, 1] x", "float[1, a, b, 2] y", "int64 s = {1}, int64 l = {1000000000000}", "STFT (x, s, , l)"),
    "a transform of a trillion": ("float[1, 4, 1] x", "float[1, a, 2] y", "int64 l = {1000000000000}", "DFT (x, l)"),
    "a matrix of 10^6 by 10^6": ("float[2] x", "float[a, b] y", "int64[2] s = {1000000, 1000000}", "ConstantOfShape (s)"),
    "a depth that does not divide": ("float[1, 3, 2, 2] x", "float[1, a, b, c] y", "", "DepthToSpace <blocksize = 0> (x)"),
    "letters that are numbers": ("float[2] x", "string[2] y", "", "StringConcat (x, x)"),
}
"""Kind → the inputs, the outputs, the weights and the one node of a graph."""
# fmt: on


def _node(inputs: str, outputs: str, stored: str, node: str) -> Make:
    kept = f"<{stored}>" if stored else ""
    head = '<ir_version: 10, opset_import: ["" : 20, "some.where" : 1]>'
    return text(f'g ({inputs}) => ({outputs}) {kept} {{ ["bad"] y = {node} }}', head)


def _operator(node: str) -> str:
    """What the error of a node has to name: its operator, or itself; the checker names the file,
    and ONNX Runtime in words of its own what is wrong."""
    operator = node.partition("(")[0].partition("<")[0].strip().rpartition(".")[2]
    return rf"m\.onnx is refused by the ONNX checker|cannot be run in float32|{operator}|bad"


# fmt: off
TEXTS = {
    "a circle of two nodes": ("g (float[2] x) => (float[2] y) { a = Relu (b) b = Neg (a) y = Add (a, x) }", r"m\.onnx"),
    "nodes in the wrong order": ("g (float[2] x) => (float[2] y) { y = Neg (a) a = Relu (x) }", r"m\.onnx"),
    "a name that two nodes make": ("g (float[2] x) => (float[2] y) { y = Neg (x) y = Relu (x) }", r"m\.onnx"),
    "an output that nothing makes": ("g (float[2] x) => (float[2] z) { y = Neg (x) }", r"m\.onnx"),
    "an input listed twice": ("g (float[2] x, float[2] x) => (float[2] y) { y = Neg (x) }", r"m\.onnx"),
    "an output listed twice": ("g (float[2] x) => (float[2] y, float[2] y) { y = Neg (x) }", r"lists the output 'y' twice"),
    "a weight twice": ("g (float[2] x) => (float[2] y) <float[2] w = {1, 2}, float[2] w = {3, 4}> { y = Add (x, w) }", "m.onnx has the tensor 'w' twice"),
    "no outputs": ("g (float[2] x) => () { y = Neg (x) }", "has no outputs"),
    "no nodes and no outputs": ("g (float[2] x) => () { }", r"m\.onnx"),
    "an input of 4 GiB": ("g (float[1073741824] x) => (float[1073741824] y) { y = Neg (x) }", "'x'|x:"),
    "an input of 2^40 elements": ("g (float[1099511627776] x) => (float[1099511627776] y) { y = Neg (x) }", "'x'|x:"),
    "an input of 10^6 by 10^6": ("g (float[1000000, 1000000] x) => (float[1000000, 1000000] y) { y = Neg (x) }", "'x'|x:"),
    "an input beyond int64": ("g (float[9000000000000000000, 9000000000000000000] x) => (float[a, b] y) { y = Neg (x) }", "'x'|x:"),
    "a sequence as an input": ("g (seq(float[2]) x) => (float[2] y) { y = ConcatFromSequence <axis = 0> (x) }", "the input 'x' is a sequence"),
    "an optional as an input": ("g (optional(float[2]) x) => (float[2] y) { y = OptionalGetElement (x) }", "the input 'x' is an optional"),
    "a map as an input": ("g (map(int64, float) x) => (float[2] y) { y = Cast (x) }", "m.onnx|the input 'x'"),
    "a batch that is fixed though it is declared open": ("g (float[batch, 4] x) => (float[batch, 4] y) <int64[2] s = {2, 2}> { y = Reshape (x, s) }", "batch|m.onnx"),
    "a product of bytes": ("g (uint8[2, 2] x) => (int32[2, 2] y) <float[2, 2] w = {1, 2, 3, 4}> { y = MatMulInteger (x, w) }", r"m\.onnx|MatMulInteger"),
}
# fmt: on


def _changed(change: Callable[[ModelProto], object]) -> Make:
    def make(place: object) -> None:
        model = sound()
        change(model)
        put(place, model)  # type: ignore[arg-type]

    return make


def _opsets(*pairs: tuple[str, int]) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)

    return change


def calling(depth: int, times: int, last: str) -> ModelProto:
    """Functions of which each calls the next one so often; the last one calls `last`."""
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("d", 1)]
    functions: list[FunctionProto] = []
    for number in range(depth):
        inner = f"F{number + 1}" if number < depth - 1 else last
        names = [f"v{k}" for k in range(times + 1)]
        domain = "" if inner == "Neg" else "d"
        nodes = [
            helper.make_node(inner, [a], [b], domain=domain) for a, b in itertools.pairwise(names)
        ]
        made = helper.make_function("d", f"F{number}", names[:1], names[-1:], nodes, opsets)
        functions.append(made)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("F0", ["x"], ["y"], domain="d")], "g", [x], [y])
    return helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)


def _functions(change: Callable[[ModelProto], object]) -> Make:
    def make(place: object) -> None:
        model = calling(2, 1, "Neg")
        change(model)
        put(place, model)  # type: ignore[arg-type]

    return make


def _forgotten_inputs(model: ModelProto) -> None:
    model.functions[0].node[0].input[0] = "nobody"


def _renamed(model: ModelProto, name: str) -> None:
    """Another name for the input, wherever it stands."""
    model.graph.input[0].name = name
    model.graph.node[0].input[0] = name


def _bytes_as(field: bytes, other: bytes) -> Make:
    """Other bytes of the same length in place of a name: protobuf itself takes only UTF-8."""

    def make(place: object) -> None:
        model = sound()
        _renamed(model, field.decode())
        whole = model.SerializeToString()
        place.model.write_bytes(whole.replace(field, other))  # type: ignore[attr-defined]

    return make


def _trees(**changed: list[int]) -> Make:
    """A forest of one tree of three nodes, with other fields."""
    fields = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        **changed,
    }
    given = ", ".join(f"{key} = {value}" for key, value in fields.items())
    body = f"""
    g (float[1, 1] x) => (float[1, 1] y) {{
        ["bad"] y = ai.onnx.ml.TreeEnsembleRegressor <
            {given}, nodes_values = [0.5, 0.0, 0.0], target_weights = [1.0, 2.0], n_targets = 1,
            nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"]
        > (x)
    }}
    """
    return text(body, BOTH)


def _graph(change: Callable[[GraphProto], object]) -> Make:
    return _changed(lambda model: change(model.graph))


def _without_type(graph: GraphProto) -> None:
    graph.input[0].ClearField("type")


def _of_rank_1000(graph: GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.ClearField("dim")
    for _ in range(1000):
        graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1


def _attribute_twice(graph: GraphProto) -> None:
    graph.node[0].op_type = "Concat"
    graph.node[0].attribute.extend(helper.make_attribute("axis", n) for n in (0, 1))


def _weights_as_a_string(graph: GraphProto) -> None:
    graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.array(["a"] * 12, object).reshape(4, 3), "w")
    )


def _without_the_ir_version(model: ModelProto) -> None:
    model.ClearField("ir_version")


GRAPHS = {
    **{name: (_node(*parts), _operator(parts[-1])) for name, parts in NODES.items()},
    **{name: (text(body, HEAD), says) for name, (body, says) in TEXTS.items()},
    "no graph": (_changed(lambda model: model.ClearField("graph")), r"m\.onnx"),
    "no opset": (_changed(_opsets()), "states no opset"),
    "the opset 0": (_changed(_opsets(("", 0))), r"m\.onnx"),
    "the opset -1": (_changed(_opsets(("", -1))), r"m\.onnx"),
    "the opset 999": (_changed(_opsets(("", 999))), "has opset 999"),
    "the opset 2^63 - 1": (_changed(_opsets(("", 2**63 - 1))), r"m\.onnx has opset"),
    "two opsets of one domain": (
        _changed(_opsets(("", 20), ("", 7))),
        "states two opsets of 'ai.onnx'",
    ),
    "an opset of another domain alone": (_changed(_opsets(("com.x", 1))), r"m\.onnx"),
    "the IR version 99": (_changed(lambda m: setattr(m, "ir_version", 99)), "has IR version 99"),
    "the IR version -1": (_changed(lambda m: setattr(m, "ir_version", -1)), r"m\.onnx"),
    "no IR version": (_changed(_without_the_ir_version), r"m\.onnx"),
    "an input without a name": (_changed(lambda m: _renamed(m, "")), r"m\.onnx"),
    "a name that is no UTF-8": (_bytes_as(b"caf--", b"caf\xe9\xe9"), r"a name in it is no text"),
    "an input without a type": (_graph(_without_type), "the input 'x'|m.onnx"),
    "an input of rank 1000": (_graph(_of_rank_1000), "'x'|MatMul|m.onnx"),
    "an input of the type 77": (
        _graph(lambda g: setattr(g.input[0].type.tensor_type, "elem_type", 77)),
        "'x' is of the type 77",
    ),
    "an input of no type": (
        _graph(lambda g: setattr(g.input[0].type.tensor_type, "elem_type", 0)),
        "x",
    ),
    "an output of another type": (
        _graph(lambda g: setattr(g.output[0].type.tensor_type, "elem_type", TensorProto.INT64)),
        "'y'|y|m.onnx",
    ),
    "an operator without a name": (_graph(lambda g: setattr(g.node[0], "op_type", "")), "m.onnx"),
    "an attribute twice": (_graph(_attribute_twice), r"m\.onnx"),
    "words times numbers": (_graph(_weights_as_a_string), r"m\.onnx|MatMul"),
    "functions that call each other twice, thirty deep": (
        lambda place: put(place, calling(30, 2, "Neg")),
        "1,073,741,824 nodes",
    ),
    "functions that call each other in a circle": (
        lambda place: put(place, calling(3, 1, "F1")),
        "its function 'F[012]' calls itself",
    ),
    "a function that calls itself": (
        lambda place: put(place, calling(1, 1, "F0")),
        "its function 'F0' calls itself",
    ),
    "a function of an input that nothing makes": (_functions(_forgotten_inputs), r"m\.onnx"),
    "a function twice": (
        _functions(lambda m: m.functions.append(m.functions[0])),
        r"m\.onnx|F0",
    ),
    "a function without opsets": (
        _functions(lambda m: m.functions[0].ClearField("opset_import")),
        r"m\.onnx|F0",
    ),
    "a function that is not there": (
        _functions(lambda m: m.functions.pop()),
        r"m\.onnx|F1",
    ),
    "a tree whose branch leads nowhere": (_trees(nodes_truenodeids=[9, 0, 0]), "TreeEnsemble|bad"),
    "a tree with a field too short": (_trees(nodes_featureids=[0]), "TreeEnsemble|bad"),
    "a tree of a feature that is not there": (
        _trees(nodes_featureids=[99, 0, 0]),
        "TreeEnsemble|bad",
    ),
}
KINDS: dict[str, Kind] = each(GRAPHS)

ENDLESS: dict[str, tuple[str, str]] = {
    "a loop without an end": (ENDLESS_LOOP, "Loop 'turn'"),
    "a loop of 10^9 turns": (
        """
        g (float[2] x) => (float[2] y) <int64 m = {1000000000}> {
            ["turn"] y = Loop <body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t) {
                d = Identity (c) t = Neg (s)
            }> (m, , x)
        }""",
        "Loop 'turn'",
    ),
    "a loop of 200,000 turns that keeps what each gives": (
        """
        g (float[2] x) => (float[2] y, float[k, 2] z) <int64 m = {200000}> {
            ["turn"] y, z = Loop <
                body = b (int64 i, bool c, float[2] s) => (bool d, float[2] t, float[2] u) {
                    d = Identity (c) t = Neg (s) u = Identity (s)
                }
            > (m, , x)
        }""",
        "Loop 'turn'",
    ),
    "an operator that is computed element by element": (
        """
        g (float[1, 64, 100, 100] x, float[1000, 4] r) => (float[1000, 64, 50, 50] y) {
            k = Constant <value_ints = [1000]> ()
            j = ConstantOfShape <value = int64[1] {0}> (k)
            ["slow"] y = RoiAlign <output_height = 50, output_width = 50, sampling_ratio = 2>
                (x, r, j)
        }""",
        "RoiAlign 'slow'",
    ),
    "a loop that doubles what it holds": (
        """
        g (float[n] x) => (float[m] y) <int64 m = {1000000}> {
            ["turn"] y = Loop <body = b (int64 i, bool c, float[k] s) => (bool d, float[l] t) {
                d = Identity (c) t = Concat <axis = 0> (s, s)
            }> (m, , x)
        }""",
        "Loop 'turn'|Concat",
    ),
    "a product of constants of terabytes": (
        """
        g (float[2] x) => (float[a, b] y) <int64[2] s = {1000000, 1}, int64[2] t = {1, 1000000}> {
            u = ConstantOfShape (s) v = ConstantOfShape (t) ["fold"] w = MatMul (u, v)
            y = Add (w, x)
        }""",
        "MatMul .fold.",
    ),
}
"""Kind → the text of a model that needs a deadline or a limit, and what its error has to name."""
CIRCLE = _trees(nodes_truenodeids=[0, 0, 0], nodes_falsenodeids=[0, 0, 0])
"""A tree whose root is its own branch."""
