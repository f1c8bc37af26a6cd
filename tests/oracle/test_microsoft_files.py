"""Whole files that ONNX Runtime's optimizers and onnxscript's fusions for it wrote: the oracle says
of each what it says of the file before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto

from tests.oracle import (
    test_microsoft_activations,
    test_microsoft_arrays,
    test_microsoft_attention,
    test_microsoft_branches,
    test_microsoft_grouped,
    test_microsoft_norms,
    test_microsoft_replaced,
    test_microsoft_states,
)
from tests.oracle.onenode import Drawn
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators import microsoft
from toolkit.oracle.operators.microsoft import nchwc
from toolkit.tensors import Array, Feed

CLOSE = 1e-6
"""Most that an optimized file may be from the one before, as a share of the largest value: its
constants are folded in float32, and those of FastGelu are rounded."""
HEADS, HIDDEN, BATCH, TOKENS = 4, 32, 2, 7
DRAWN = Drawn(6)


def feed() -> dict[str, Array]:
    mask = np.ones((BATCH, TOKENS), np.int64)
    mask[1, 4:] = 0
    return {
        "input_ids": DRAWN.below(50, BATCH, TOKENS, dtype=np.int64),
        "attention_mask": mask,
        "token_type_ids": DRAWN.below(2, BATCH, TOKENS, dtype=np.int64),
    }


def exported(build: Callable[[], Any], names: list[str], path: Path, old: bool = False) -> None:
    """Exports a seeded module of transformers, with torch's old exporter where `old`: the patterns
    of ONNX Runtime's fusions are those of that one."""
    import torch

    torch.manual_seed(0)

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = build()

        def forward(self, *inputs: Any) -> Any:
            return self.module(**dict(zip(names, inputs, strict=True)), use_cache=False)[0]

    how = {"dynamo": False, "opset_version": 14} if old else {"dynamo": True, "opset_version": 18}
    more = {} if old else {"external_data": False, "verbose": False}
    inputs = tuple(torch.from_numpy(feed()[name]) for name in names)
    torch.onnx.export(Plain().eval(), inputs, path, input_names=names, **how, **more)  # type: ignore[arg-type]


def bert() -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=50,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=64,
        max_position_embeddings=16,
    )
    config._attn_implementation = "eager"  # the one whose pattern the fusions know
    return BertModel(config)


def gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=50, n_embd=HIDDEN, n_layer=2, n_head=HEADS, n_positions=16, bos_token_id=0,
        eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=HEADS,
            num_key_value_heads=2,
            intermediate_size=64,
            max_position_embeddings=16,
        )
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = {name: folder / f"{name}.onnx" for name in ("bert", "gpt2", "llama")}
    exported(bert, ["input_ids", "attention_mask", "token_type_ids"], paths["bert"], old=True)
    exported(gpt2, ["input_ids"], paths["gpt2"])
    exported(llama, ["input_ids"], paths["llama"])
    return paths


def answers(model: ModelProto, given: Feed) -> list[Array]:
    """Computes a model in float64; an optimizer may have made its inputs int32."""
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    typed = {
        name: given[name].astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
        for name, kind in kinds.items()
    }
    return list(Evaluator(model).run(typed).values())


def assert_the_same(before: ModelProto, after: ModelProto, given: Feed | None = None) -> None:
    given = given or feed()
    for old, new in zip(answers(before, given), answers(after, given), strict=True):
        assert np.abs(new - old).max() <= CLOSE * np.abs(old).max()


def fused(model: ModelProto) -> set[str]:
    standard = {operator.__name__ for operator in microsoft.OWN if not operator.op_domain}
    return {
        node.op_type
        for node in model.graph.node
        if node.domain == "com.microsoft" or node.op_type in standard
    }


def optimized(path: Path, level: Any, folder: Path) -> ModelProto:
    """Gives what ONNX Runtime itself writes at a level of optimization."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3  # it warns that a file of the highest level is for this machine
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "optimized.onnx")


EXPORTED = [
    pytest.mark.export,
    # Both exporters, transformers and onnxruntime.transformers warn of what they will do some day.
    pytest.mark.filterwarnings("ignore"),
]
LEVELS = onnxruntime.GraphOptimizationLevel


class TestExported:
    pytestmark = EXPORTED

    @pytest.mark.parametrize(
        ("name", "kind", "level", "expected"),
        [
            ("bert", "bert", 0, {"Attention", "BiasGelu", "SkipLayerNormalization"}),
            ("bert", "bert", 2, {"BiasGelu", "SkipLayerNormalization"}),
            # Its fusions for gpt2 fail on what transformers 5 is exported to.
            ("gpt2", "bert", 0, {"FastGelu", "SkipLayerNormalization"}),
        ],
    )
    def test_of_the_optimizer_for_transformers(
        self,
        files: dict[str, Path],
        name: str,
        kind: str,
        level: int,
        expected: set[str],
        tmp_path: Path,
    ) -> None:
        from onnxruntime.transformers import optimizer

        result = optimizer.optimize_model(
            str(files[name]),
            model_type=kind,
            num_heads=HEADS,
            hidden_size=HIDDEN,
            opt_level=level,
        )
        result.save_model_to_file(str(tmp_path / "optimized.onnx"))
        after = onnx.load(tmp_path / "optimized.onnx")

        assert fused(after) >= expected
        assert_the_same(onnx.load(files[name]), after)

    def test_of_the_tool_that_removes_padding(self, files: dict[str, Path], tmp_path: Path) -> None:
        from onnxruntime.transformers import convert_to_packing_mode, onnx_model, optimizer

        result = optimizer.optimize_model(
            str(files["bert"]), model_type="bert", num_heads=HEADS, hidden_size=HIDDEN, opt_level=0
        )
        # It declares the domain of its operators, and sorts its nodes, when it saves a file.
        result.save_model_to_file(str(tmp_path / "optimized.onnx"))
        packed = onnx_model.OnnxModel(onnx.load(tmp_path / "optimized.onnx"))
        convert_to_packing_mode.PackingMode(packed).convert(True)
        packed.save_model_to_file(str(tmp_path / "packed.onnx"))
        after = onnx.load(tmp_path / "packed.onnx")

        given = feed()
        is_token = given["attention_mask"] == 1
        assert fused(after) >= {"PackedAttention", "RemovePadding", "RestorePadding"}
        (right, *_), (mine, *_) = answers(onnx.load(files["bert"]), given), answers(after, given)
        close = CLOSE * np.abs(right).max()
        np.testing.assert_allclose(mine[is_token], right[is_token], rtol=0, atol=close)
        assert not mine[~is_token].any()

    @pytest.mark.parametrize("level", [LEVELS.ORT_ENABLE_EXTENDED, LEVELS.ORT_ENABLE_ALL], ids=str)
    @pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
    def test_of_onnxruntime_itself(
        self, files: dict[str, Path], name: str, level: Any, tmp_path: Path
    ) -> None:
        after = optimized(files[name], level, tmp_path)

        assert fused(after)
        assert_the_same(onnx.load(files[name]), after)

    def test_of_onnxscript_s_fusions(self, files: dict[str, Path]) -> None:
        import onnxscript.ir as ir
        from onnxscript.rewriter.ort_fusions import optimize_for_ort

        rewritten, _ = optimize_for_ort(ir.load(files["llama"]))
        after = ir.to_proto(rewritten)

        expected = {"SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"}
        assert fused(after) >= expected
        assert_the_same(onnx.load(files["llama"]), after)


def convolutions(folder: Path) -> Path:
    model = onnx.parser.parse_model(
        """
        <ir_version: 9, opset_import: ["" : 18]>
        g (float[1, 3, 9, 9] x, float[8, 3, 3, 3] w, float[8, 8, 1, 1] v) => (float[1, 8, 7, 7] y)
        {
            a = Conv (x, w)
            b = Relu (a)
            c = Conv (b, v)
            d = Add (c, b)
            y = Relu (d)
        }
        """
    )
    for value in list(model.graph.input)[1:]:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(DRAWN.floats(*shape), value.name)
        )
        model.graph.input.remove(value)
    path = folder / "convolutions.onnx"
    onnx.save(model, path)
    return path


def test_of_onnxruntime_with_convolutions(tmp_path: Path) -> None:
    path = convolutions(tmp_path)
    after = optimized(path, LEVELS.ORT_ENABLE_EXTENDED, tmp_path)

    assert fused(after) == {"FusedConv"}
    assert_the_same(onnx.load(path), after, {"x": DRAWN.floats(1, 3, 9, 9)})


def test_every_operator_of_ours_is_tested() -> None:
    cases = [
        *test_microsoft_activations.CASES,
        *(case for case, _ in test_microsoft_activations.EXPANDED),
        *test_microsoft_arrays.CASES,
        *test_microsoft_attention.CASES,
        *test_microsoft_branches.CASES,
        *test_microsoft_grouped.CASES,
        *test_microsoft_grouped.SPARSE,
        *test_microsoft_norms.CASES,
        *test_microsoft_states.CASES,
        *(case for case, _ in test_microsoft_replaced.CASES),
    ]
    alone = {"GatedRelativePositionBias", "Irfft", "RelativePositionBias", "Rfft"}
    alone |= {"PackedAttention", "PackedMultiHeadAttention", "RemovePadding", "RestorePadding"}
    in_blocks = {operator.__name__ for operator in nchwc.OWN}  # test_microsoft_nchwc.py

    tested = {case.operator for case in cases} | alone | in_blocks

    assert tested == {operator.__name__ for operator in microsoft.OWN}
