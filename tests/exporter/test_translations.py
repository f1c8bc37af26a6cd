"""Operators that torch's exporter lacks are exported, proven at dynamic sizes, and named."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.exporter import models
from toolkit.errors import ExportError
from toolkit.exporter import convert, translations
from toolkit.exporter.translations import families
from toolkit.pipelines.export import Exported, export

pytestmark = pytest.mark.export

NET = """
import torch
import torch.nn.functional as F
from torch import linalg, nn, special

def mixed(x):
    "A spectral convolution (Li et al. 2021): few waves of a picture, the others zero."
    waves = torch.fft.rfft2(x)
    kept = torch.zeros(x.shape[0], 3, x.shape[2], waves.shape[3], dtype=torch.cfloat)
    kept[:, :, :2, :2] = waves[:, :, :2, :2] * 2
    kept[:, :, -2:, :2] = waves[:, :, -2:, :2] * 3
    return torch.fft.irfft2(kept, s=x.shape[-2:])

def resounded(x, signal=None, **kind):
    "The waves of a signal, which become a signal again."
    kind["window"] = torch.hann_window(kind.get("win_length", 32))
    waves = torch.stft(x, 32, 8, return_complex=True, **kind)
    return torch.istft(waves, 32, 8, length=signal, **kind)

class Net(nn.Module):
    def forward(self, {names}):
        return {expression}
"""
EXPERTS = """
from transformers import MixtralConfig, MixtralModel

def net():
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 30}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    experts = {"num_local_experts": 4, "num_experts_per_tok": 2}
    other = {"use_cache": False, "pad_token_id": 0}
    return MixtralModel(MixtralConfig(**size, **heads, **experts, **other))
"""
X = "x:float32[batch,n=5]"
LONG = "x:float32[batch,n=40]"
IDS = "ids:int64[batch,n=5]"
PLANE = "x:float32[batch,3,h=5,w=7]"
SQUARE = "x:float32[batch,n=4,n]"
POSITIVE = "x @ x.mT + torch.eye(x.shape[-1])"

TOGETHER = 14
"""Cases of CASES in one export."""
AT_ONCE = 24
"""Cases of SPECIAL in one file."""

CASES: dict[str, tuple[tuple[str, ...], str]] = {
    # Order
    "kthvalue": ((X,), "*torch.kthvalue(x, 2, -1), *torch.kthvalue(x, 1, 0, keepdim=True)"),
    "median": ((X,), "x.median(), *x.median(-1), *x.median(0, keepdim=True)"),
    "nanmedian": (
        (X,),
        "*torch.where(x > 0.5, torch.nan, x).nanmedian(-1), x.nanmedian(),"
        " *x.nanmedian(0, keepdim=True)",
    ),
    "mode": ((IDS,), "*torch.mode(ids % 3, -1), *torch.mode(ids % 3, 0, keepdim=True)"),
    "sort": (
        (IDS,),
        "*torch.sort(ids % 3, dim=-1, stable=True),"
        " *torch.sort(ids % 3, dim=0, stable=True, descending=True),"
        " torch.argsort(ids % 2 == 0, dim=1, stable=True)",
    ),
    # Runs
    "cummax": ((X,), "*torch.cummax(x, 1), *torch.cummax(x, -2)"),
    "cummin": ((X,), "*torch.cummin(x, 1), *torch.cummin(x, -2)"),
    "cumprod": ((X,), "torch.cumprod(x, 1), torch.cumprod(x, 0), linalg.vander(x, N=4)"),
    # Searches
    "searchsorted": (
        (X, "y:float32[batch,m=6]"),
        "torch.searchsorted(x.sort(-1)[0], y),"
        " torch.searchsorted(x[0].sort()[0], y, right=True),"
        " torch.searchsorted(x[0].sort()[0], 0.25, out_int32=True)",
    ),
    "bucketize": (("x:float32[n=5]",), "torch.bucketize(0.25, x.sort()[0], right=True)"),
    "isin": (
        (IDS, "among:int64[m=3]"),
        "torch.isin(ids, among), torch.isin(ids, among, invert=True), torch.isin(3, ids)",
    ),
    "masked_select": ((X,), "x.masked_select(x > 0), x.masked_select(x[0] > 0)"),
    "nonzero_static": ((X,), "torch.nonzero_static(x > 0, size=6)"),
    "unique_consecutive": (
        (IDS,),
        "*torch.unique_consecutive(ids % 2, return_inverse=True, return_counts=True),"
        " *torch.unique_consecutive(ids % 2, return_counts=True, dim=0)",
    ),
    # Distances
    "_cdist_forward": (
        (X, "y:float32[m=6,n]"),
        ", ".join(f"torch.cdist(x, y, p={p})" for p in ("2", "1", "0", "torch.inf", "3")),
    ),
    "_pdist_forward": ((X,), "F.pdist(x), F.pdist(x, p=1)"),
    # Matrices
    "linalg_inv": ((SQUARE,), f"linalg.inv({POSITIVE})"),
    "inverse": ((SQUARE,), f"torch.inverse({POSITIVE})"),
    "linalg_inv_ex": ((SQUARE,), f"linalg.inv_ex({POSITIVE})[0]"),
    "linalg_solve": (
        (SQUARE, "y:float32[batch,n,2]"),
        f"linalg.solve({POSITIVE}, y), linalg.solve({POSITIVE}, y.mT, left=False),"
        f" linalg.solve({POSITIVE}, y[..., 0])",
    ),
    "_linalg_solve_ex": ((SQUARE, "y:float32[batch,n,2]"), f"linalg.solve_ex({POSITIVE}, y)[0]"),
    "_linalg_slogdet": ((SQUARE,), "linalg.slogdet(x)"),
    "linalg_cholesky": (
        (SQUARE,),
        f"linalg.cholesky({POSITIVE}), linalg.cholesky({POSITIVE}, upper=True)",
    ),
    "linalg_cholesky_ex": ((SQUARE,), f"linalg.cholesky_ex({POSITIVE})[0]"),
    "cholesky": ((SQUARE,), f"torch.cholesky({POSITIVE})"),
    "cholesky_solve": (
        (SQUARE, "y:float32[batch,n,2]"),
        "torch.cholesky_solve(y, x.tril() + 9 * torch.eye(x.shape[-1])),"
        " torch.cholesky_solve(y, x.triu() + 9 * torch.eye(x.shape[-1]), upper=True)",
    ),
    "cholesky_inverse": (
        (SQUARE,),
        "torch.cholesky_inverse(x.tril() + 9 * torch.eye(x.shape[-1]))",
    ),
    "linalg_solve_triangular": (
        (SQUARE, "y:float32[batch,n,2]"),
        "linalg.solve_triangular(x.tril() + 9 * torch.eye(x.shape[-1]), y, upper=False),"
        " linalg.solve_triangular(x.triu() + 9 * torch.eye(x.shape[-1]), y, upper=True),"
        " linalg.solve_triangular(x.triu(1) / 9, y.mT, upper=True, left=False,"
        " unitriangular=True)",
    ),
    "triangular_solve": (
        (SQUARE, "y:float32[batch,n,2]"),
        "torch.triangular_solve(y, x + 9 * torch.eye(x.shape[-1]), transpose=True)[0]",
    ),
    "linalg_matrix_exp": ((SQUARE,), "torch.matrix_exp(x), torch.matrix_exp(x / 99)"),
    # Functions of one number
    "lgamma": ((LONG,), "torch.lgamma(x), torch.lgamma(x * 9)"),
    "digamma": ((LONG,), "torch.digamma(x.abs() + 0.1), torch.digamma(x.abs() * 9 + 1)"),
    "erfinv": ((LONG,), "torch.erfinv(x.tanh())"),
    "special_ndtri": ((LONG,), "special.ndtri(x.sigmoid())"),
    "special_erfcx": ((LONG,), "special.erfcx(x), special.log_ndtr(3 * x)"),
    "i0": ((LONG,), "torch.i0(x), torch.i0(x * 9)"),
    "special_i0e": ((LONG,), "special.i0e(x), special.i0e(x * 20)"),
    "special_i1": ((LONG,), "special.i1(x), special.i1(x * 9)"),
    "special_i1e": ((LONG,), "special.i1e(x), special.i1e(x * 20)"),
    "special_modified_bessel_i0": ((LONG,), "special.modified_bessel_i0(x)"),
    "special_modified_bessel_i1": ((LONG,), "special.modified_bessel_i1(x)"),
    # Functions of two
    "hypot": ((X, "y:float32[batch,n]"), "torch.hypot(x, y)"),
    "copysign": ((X, "y:float32[batch,n]"), "torch.copysign(x, y)"),
    "fmin": ((X, "y:float32[batch,n]"), "torch.fmin(torch.log(x), torch.log(y))"),
    "fmax": ((X, "y:float32[batch,n]"), "torch.fmax(torch.log(x), torch.log(y))"),
    "gcd": ((IDS,), "torch.gcd(ids * 6, ids + 4), torch.lcm(ids, ids + 1)"),
    # Reductions by index
    "scatter_reduce": (
        (X, "y:float32[batch,n]"),
        ", ".join(
            f"x.scatter_reduce(0, (y > 0).long() * (x.shape[0] - 1), y, '{how}',"
            f" include_self={own})"
            for how in ("sum", "prod", "mean", "amax", "amin")
            for own in (True, False)
        ),
    ),
    "index_reduce": (
        (X, "y:float32[m=6,n]"),
        ", ".join(
            f"x.index_reduce(0, (y[:, 0] > 0).long() * (x.shape[0] - 1), y, '{how}',"
            f" include_self={own})"
            for how in ("prod", "mean", "amax", "amin")
            for own in (True, False)
        ),
    ),
    "put": (
        (X,),
        "x.put(torch.tensor([0, 1]), x[0, :2]),"
        " x.put(torch.tensor([1, 1]), x[0, :2], accumulate=True)",
    ),
    "histc": ((X,), "torch.histc(x, 7), torch.histc(x, 5, -1, 1)"),
    # Pools and windows
    "adaptive_avg_pool1d": (("x:float32[batch,3,n=7]",), "F.adaptive_avg_pool1d(x, 3)"),
    "_adaptive_avg_pool2d": (
        (PLANE,),
        "F.adaptive_avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, (3, None)),"
        " F.interpolate(x, size=(3, 4), mode='area'),"
        " F.interpolate(x, scale_factor=0.5, mode='area')",
    ),
    "_adaptive_avg_pool3d": (
        ("x:float32[1,2,h=5,w=7,4]",),
        "F.adaptive_avg_pool3d(x, (2, 3, 2))",
    ),
    "adaptive_max_pool2d": (
        (PLANE,),
        "*F.adaptive_max_pool2d(x, (2, 3), return_indices=True), F.adaptive_max_pool1d(x[0], 3)",
    ),
    "adaptive_max_pool3d": (
        ("x:float32[1,2,h=5,w=7,4]",),
        "F.adaptive_max_pool3d(x, (2, 3, 2), return_indices=True)",
    ),
    "diagonal": (
        (PLANE,),
        "x.tril().masked_fill(x < 0.5, -torch.inf).diagonal(0, 2, 3), x.diagonal(1, -2, -1),"
        " x.diagonal(-2, 0, 2), torch.diagonal(x, 9, 2, 3)",
    ),
    "_neg_view": ((X,), "torch.view_as_complex(torch.stack([x, x + 1], -1)).conj().imag"),
    "im2col": (
        (PLANE,),
        "F.unfold(x, (2, 3), dilation=(1, 2), padding=(1, 2), stride=2),"
        " F.unfold(x[0], 2, padding=1)",
    ),
}

COMPLEX: dict[str, tuple[tuple[str, ...], str, str]] = {
    "rotary": (
        ("x:float32[batch,seq=6,2,8]", "angles:float32[seq,4]"),
        "torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))"
        " * torch.polar(torch.ones_like(angles), angles)[:, None]).flatten(3)",
        "aten.unsqueeze",
    ),
    "einsum": (
        ("x:float32[batch,seq=6,4,2]", "y:float32[4,3,seq,2]"),
        "torch.view_as_real(torch.einsum('bsi,ios->bos', torch.view_as_complex(x),"
        " torch.view_as_complex(y)))",
        "aten.einsum",
    ),
    "irfft": (
        ("x:float32[batch,n=6,9]",),
        "torch.fft.irfft(torch.fft.rfft(x, dim=1), n=x.shape[1], dim=1),"
        " torch.fft.irfft(torch.fft.rfft(x), n=9, norm='ortho'),"
        " torch.fft.irfft(torch.fft.rfft(x), n=5, norm='forward'),"
        " torch.fft.irfft2(torch.fft.rfft2(x, dim=(0, 1)), s=x.shape[:2], dim=(0, 1))",
        "aten._fft_c2r",
    ),
    "pad": (
        ("x:float32[batch,6]",),
        "torch.fft.irfft(torch.fft.rfft(x), n=12)",
        "aten._fft_c2r, aten.constant_pad_nd",
    ),
    "assigned": (
        ("x:float32[batch,3,h=16,w=16]",),
        "mixed(x)",
        "aten._fft_c2r, aten.copy, aten.slice_scatter, aten.zeros",
    ),
    "exp": (("x:float32[batch,seq=6,2]",), "torch.view_as_complex(x).exp().abs()", "aten.exp"),
    "places": (
        ("x:float32[batch=3,seq=6,2]",),
        "torch.view_as_real(torch.view_as_complex(x)[torch.tensor([0, 0])]),"
        " torch.view_as_real(torch.view_as_complex(x).select(1, -1)),"
        " torch.view_as_real(torch.view_as_complex(x).index_select(1, torch.tensor([0])))",
        "aten.index, aten.index_select, aten.select",
    ),
    "numbers": (
        ("x:float32[batch=3,seq=6,2]",),
        "torch.view_as_real((1j * x[..., 0] + x[..., 1] - 2) * torch.view_as_complex(x)),"
        " torch.view_as_real((2 - torch.view_as_complex(x)) * 3 / (1 + 2j)),"
        " torch.view_as_real(1 / (torch.view_as_complex(x) + 3))",
        "",
    ),
    "istft": (
        ("x:float32[batch,samples=100]",),
        "resounded(x), resounded(x, win_length=24), resounded(x, normalized=True),"
        " resounded(x, onesided=False), resounded(x, signal=x.shape[1]),"
        " resounded(x, signal=170), resounded(x[0])",
        "aten._fft_c2r, aten.unsqueeze",
    ),
    "copies": (
        ("x:float32[batch=3,seq=6,2]",),
        "torch.view_as_real(torch.view_as_complex(x).expand(2, -1, -1)),"
        " torch.view_as_real(torch.view_as_complex(x).repeat(2, 1, 3))",
        "aten.expand, aten.repeat",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def proven(folder: Path, case: str, stated: tuple[str, ...], expression: str) -> Exported:
    names = ", ".join(text.partition(":")[0] for text in stated)
    source = folder / f"net_{case}.py"
    source.write_text(NET.format(names=names, expression=expression))
    return export(f"{source.name}:Net", folder / "net.onnx", input=stated)


def groups() -> dict[str, tuple[str, ...]]:
    """The cases whose inputs are alike, TOGETHER in one module: an export costs the same for one
    operator as for six."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for case, (stated, _) in CASES.items():
        alike.setdefault(stated, []).append(case)
    chunks = [
        tuple(cases[at : at + TOGETHER])
        for cases in alike.values()
        for at in range(0, len(cases), TOGETHER)
    ]
    return {f"{chunk[0]} to {chunk[-1]}": chunk for chunk in chunks}


@pytest.mark.parametrize("group", groups().values(), ids=groups())
def test_operators_are_proven_at_dynamic_sizes_and_named(
    folder: Path, group: tuple[str, ...]
) -> None:
    expressions = ", ".join(CASES[case][1] for case in group)

    exported = proven(folder, group[0], CASES[group[0]][0], expressions)

    assert [step.outcome for step in exported.proof.steps] == ["holds"] * 3
    assert len(exported.proof.compared) > 3
    named = exported.facts.metadata["toolkit.translations"].split(", ")
    assert {f"aten.{case}" for case in group} <= set(named)
    assert not any("." in name or "::" in name for name in exported.facts.operators)


def test_the_experts_of_the_transformers_library_are_one_product_each(folder: Path) -> None:
    pytest.importorskip("transformers")
    (folder / "net.py").write_text(EXPERTS)

    exported = export("net.py:net", folder / "net.onnx", input=["input_ids:int64[batch,seq=7]"])

    assert exported.proof.holds
    named = exported.facts.metadata["toolkit.translations"].split(", ")
    assert "transformers.grouped_mm_fallback" in named


@pytest.mark.parametrize("case", COMPLEX)
def test_complex_numbers_are_proven_at_dynamic_sizes(folder: Path, case: str) -> None:
    stated, expression, names = COMPLEX[case]

    exported = proven(folder, case, stated, expression)

    assert [step.outcome for step in exported.proof.steps] == ["holds"] * 3
    assert exported.facts.metadata.get("toolkit.translations", "") == names


def test_torchs_own_list_of_forms_is_left_as_it_was() -> None:
    from onnxscript.function_libs.torch_lib import ops, registration

    del ops
    forms = registration.default_registry["aten::unsqueeze"].complex

    models.converted(models.Even(), "x:float32[batch,seq=16]")

    assert forms == []


def test_every_translation_is_tried() -> None:
    packets = {name.partition(".")[0] for name in families.ALL}

    assert packets - set(CASES) == {"unique_dim_consecutive"}
    assert set(CASES) <= packets


def test_the_documentation_names_every_translation() -> None:
    page = Path(__file__, "../../../docs/translations.md").resolve().read_text("utf-8")

    assert [name for name in families.ALL if f"`{name}`" not in page] == []


def test_what_torch_exports_itself_names_no_translation() -> None:
    converted = models.converted(models.Even(), "x:float32[batch,seq=16]")

    assert converted.translated == ()


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


NAN, INF = float("nan"), float("inf")
FLOATS = "x:float32[n=4]"
INTEGERS = "x:int64[n=4]"
LOW = [[1.0, 2.0], [2.0, 4.0]]
"""A matrix without an inverse."""

TILTED = torch.tensor([[9.0, 1.0], [2.0, 16.0]])
"""A matrix whose halves disagree."""

SPECIAL: dict[str, tuple[Callable[[Tensor], Any], str, list[Any]]] = {
    "kthvalue of equal ones": (lambda x: x.kthvalue(2)[0], FLOATS, [1.0, 0.0, 1.0, 1.0]),
    "kthvalue before NaN": (lambda x: x.kthvalue(3), FLOATS, [NAN, 3.0, 1.0, 2.0]),
    "kthvalue at NaN": (lambda x: x.kthvalue(4), FLOATS, [NAN, 3.0, 1.0, 2.0]),
    "median with NaN": (lambda x: x.median(0), FLOATS, [3.0, NAN, 1.0, 2.0]),
    "median of all with NaN": (lambda x: x.median(), FLOATS, [3.0, NAN, 1.0, 2.0]),
    "median of integers": (lambda x: x.median(0), INTEGERS, [9, 7, 8, 6]),
    "nanmedian of NaN alone": (lambda x: x.nanmedian(), FLOATS, [NAN, NAN, NAN]),
    "nanmedian with infinity": (lambda x: x.nanmedian(0), FLOATS, [INF, NAN, 1.0, INF, -INF]),
    "mode of equal counts": (lambda x: x.mode(0), INTEGERS, [2, 1, 2, 1, 3]),
    "sort of equal ones": (
        lambda x: x.sort(stable=True, descending=True),
        INTEGERS,
        [1, 2, 1, 2, 0, 2],
    ),
    "sort with NaN": (lambda x: x.sort(stable=True), FLOATS, [2.0, NAN, 1.0, 3.0]),
    "cummax of equal ones": (lambda x: x.cummax(0), FLOATS, [1.0, 3.0, 3.0, 2.0, 3.0]),
    "cummax with NaN": (lambda x: x.cummax(0), FLOATS, [1.0, NAN, 3.0, NAN, 9.0]),
    "cummax of booleans": (lambda x: (x > 0).cummax(0), INTEGERS, [0, 3, 0, 2]),
    "cummin of integers": (lambda x: x.cummin(0), INTEGERS, [3, 3, 1, 2, 1]),
    "cumprod of integers": (lambda x: x.cumprod(0), INTEGERS, [3, 3, 1, 2, 0, 7]),
    "cumprod of booleans": (lambda x: (x > 0).cumprod(0), INTEGERS, [3, 3, 0, 2]),
    "searchsorted of equal ones": (
        lambda x: (
            torch.searchsorted(torch.tensor([1.0, 2.0, 2.0, 3.0]), x),
            torch.searchsorted(torch.tensor([1.0, 2.0, 2.0, 3.0]), x, right=True),
        ),
        FLOATS,
        [2.0, NAN, INF, -INF, 3.0],
    ),
    "searchsorted by a sorter": (
        lambda x: torch.searchsorted(x, torch.tensor([2.0]), sorter=x.argsort()),
        FLOATS,
        [3.0, 1.0, 2.0, 5.0],
    ),
    "isin of nothing": (lambda x: torch.isin(x, x[:0]), INTEGERS, [1, 2, 3]),
    "isin of another type": (
        lambda x: torch.isin(x, torch.tensor([1.5, 2.0])),
        INTEGERS,
        [1, 2, 3],
    ),
    "masked_select of none": (lambda x: x.masked_select(x > 9), FLOATS, [1.0, 2.0]),
    "nonzero_static of too few": (
        lambda x: torch.nonzero_static(x, size=4, fill_value=-7),
        FLOATS,
        [0.0, 2.0, 0.0],
    ),
    "unique_consecutive of nothing": (
        lambda x: torch.unique_consecutive(x, return_inverse=True, return_counts=True),
        INTEGERS,
        [],
    ),
    "unique_consecutive of one run": (
        lambda x: torch.unique_consecutive(x, return_inverse=True, return_counts=True),
        INTEGERS,
        [5, 5, 5],
    ),
    "cdist of equal rows": (
        lambda x: torch.cdist(x, x),
        "x:float32[n=3,2]",
        [[1e3, 1.0], [1e3, 1.0], [1e3, 1.001]],
    ),
    "slogdet without an inverse": (lambda x: torch.linalg.slogdet(x), "x:float32[n=2,n]", LOW),
    "inv that swaps rows": (
        lambda x: torch.linalg.inv(x),
        "x:float32[n=3,n]",
        [[0.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 4.0]],
    ),
    "cholesky reads one half": (
        lambda x: (
            torch.linalg.cholesky(TILTED + x),
            torch.linalg.cholesky(TILTED + x, upper=True),
        ),
        "x:float32[2,1]",
        [[0.0], [0.0]],
    ),
    "lgamma at its poles": (
        lambda x: x.lgamma(),
        FLOATS,
        [0.0, -1.0, -3.0, INF, -INF, NAN, 1.0, 2.0],
    ),
    "digamma at its poles": (lambda x: x.digamma(), FLOATS, [0.0, -0.0, -1.0, -2.5, INF, NAN]),
    "erfinv at its ends": (lambda x: x.erfinv(), FLOATS, [-1.0, 0.0, 1.0, 2.0, NAN]),
    "ndtri at its ends": (torch.special.ndtri, FLOATS, [0.0, 1e-30, 0.5, 1.0, -1.0, NAN]),
    "erfcx far out": (torch.special.erfcx, FLOATS, [-20.0, 0.0, 1e6, NAN]),
    "i1e far out": (torch.special.i1e, FLOATS, [-1e6, 0.0, 18.0, 1e6, NAN]),
    "copysign of a negative zero": (
        lambda x: torch.copysign(torch.ones(()), x),
        FLOATS,
        [0.0, -0.0, -2.0, INF],
    ),
    "hypot of huge ones": (lambda x: torch.hypot(x, x), FLOATS, [1e30, 0.0, -INF, NAN, 1e-30]),
    "hypot of infinity and NaN": (
        lambda x: torch.hypot(x, torch.tensor([NAN])),
        FLOATS,
        [1.0, INF, -INF],
    ),
    "fmin of NaN": (
        lambda x: (torch.fmin(x, x.flip(0)), torch.fmax(x, x.flip(0))),
        FLOATS,
        [NAN, 1.0, 2.0, NAN],
    ),
    "gcd with zero and below": (
        lambda x: torch.gcd(x, torch.tensor([12])),
        INTEGERS,
        [0, -8, 7, 36, 2**40],
    ),
    "mean of integers": (
        lambda x: x.scatter_reduce(0, torch.zeros_like(x), x, "mean"),
        INTEGERS,
        [-7, 2, 3, -4, 1],
    ),
    "amax of integers": (
        lambda x: x.scatter_reduce(0, torch.zeros_like(x), x, "amax", include_self=False),
        INTEGERS,
        [-7, -2, -3],
    ),
    "scatter_reduce of fewer indices": (
        lambda x: x.scatter_reduce(0, torch.tensor([1, 1]), x, "sum"),
        FLOATS,
        [1.0, 2.0, 3.0, 4.0],
    ),
    "histc of one value": (lambda x: torch.histc(x, 4), FLOATS, [2.0, 2.0, 2.0]),
    "histc beyond its bounds": (lambda x: torch.histc(x, 4, 0, 2), FLOATS, [-1.0, 0.0, 2.0, 3.0]),
    "pools below their size": (
        lambda x: (
            nn.functional.adaptive_avg_pool2d(x, 3),
            *nn.functional.adaptive_max_pool2d(x, 3, return_indices=True),
        ),
        "x:float32[1,2,h=5,w=7]",
        [[[[1.0, 2.0]], [[4.0, 3.0]]]],
    ),
    "pools of NaN and of equal ones": (
        lambda x: nn.functional.adaptive_max_pool2d(x, 2, return_indices=True),
        "x:float32[1,1,h=5,w=7]",
        [[[[1.0, 1.0, NAN, INF], [1.0, 1.0, INF, NAN], [-INF, -INF, 0.0, 0.0]]]],
    ),
}


def answers(
    folder: Path,
    function: Callable[[Tensor], Any],
    stated: str,
    x: Tensor,
    opset: int | None = None,
) -> list[Any]:
    """What ONNX Runtime makes of the exported function."""
    import onnxruntime

    converted = models.converted(Of(function), stated, opset=opset)
    convert.write(converted.model, folder / "special.onnx")
    session = onnxruntime.InferenceSession(
        folder / "special.onnx", providers=["CPUExecutionProvider"]
    )
    outputs: list[Any] = session.run(None, {"x": x.numpy()})
    return outputs


def expected(function: Callable[[Tensor], Any], x: Tensor) -> list[Any]:
    results = function(x)
    return [each.numpy() for each in ([results] if isinstance(results, Tensor) else results)]


def of_stated(stated: str, values: list[Any]) -> Tensor:
    return torch.tensor(values, dtype=torch.int64 if "int64" in stated else torch.float32)


class Several(nn.Module):
    """Functions in one module, each of an input of its own."""

    def __init__(self, functions: Sequence[Callable[[Tensor], Any]]) -> None:
        super().__init__()
        self.functions = tuple(functions)

    def forward(self, *xs: Tensor) -> Any:
        return [function(x) for function, x in zip(self.functions, xs, strict=True)]


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Any]]:
    """Gives ONNX Runtime's outputs for a case of SPECIAL. AT_ONCE of them stand in one file: a
    trace costs the same for one operator as for many."""
    import onnxruntime

    folder = tmp_path_factory.mktemp("special")
    known: dict[str, list[Any]] = {}

    def outputs(case: str) -> list[Any]:
        if case not in known:
            at = list(SPECIAL).index(case) // AT_ONCE * AT_ONCE
            chosen = dict(itertools.islice(SPECIAL.items(), at, at + AT_ONCE))
            # Sizes of the same name would be one size.
            stated = [
                re.sub(r"\b([xnhw])\b", rf"\g<1>{place}", text)
                for place, (_, text, _) in enumerate(chosen.values())
            ]
            functions = [function for function, _, _ in chosen.values()]
            converted = models.converted(Several(functions), *stated)
            file = folder / f"{at}.onnx"
            convert.write(converted.model, file)
            session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            feeds = {
                text.partition(":")[0]: of_stated(text, values).numpy()
                for text, (_, _, values) in zip(stated, chosen.values(), strict=True)
            }
            left = iter(session.run(None, feeds))
            for name, (function, text, values) in chosen.items():
                count = len(expected(function, of_stated(text, values)))
                known[name] = [*itertools.islice(left, count)]
        return known[case]

    return outputs


@pytest.mark.parametrize("case", SPECIAL)
def test_special_values_are_those_of_pytorch(
    special: Callable[[str], list[Any]], case: str
) -> None:
    function, stated, values = SPECIAL[case]

    got = special(case)

    for mine, right in zip(got, expected(function, of_stated(stated, values)), strict=True):
        assert mine.dtype == right.dtype
        np.testing.assert_allclose(mine, right, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [lambda x: x.kthvalue(2), torch.lgamma, torch.erfinv, torch.i0],
    ids=["kthvalue", "lgamma", "erfinv", "i0"],
)
def test_float16_stays_float16(tmp_path: Path, function: Callable[[Tensor], Any]) -> None:
    x = torch.tensor([0.5, -0.25, 0.75], dtype=torch.float16)

    got = answers(tmp_path, function, "x:float16[n=4]", x)

    for mine, right in zip(got, expected(function, x), strict=True):
        assert mine.dtype == right.dtype
        np.testing.assert_allclose(mine, right, rtol=2e-3)


@pytest.mark.parametrize("opset", [18, 21, 23])
def test_bodies_and_reductions_hold_at_every_opset(tmp_path: Path, opset: int) -> None:
    x = torch.linspace(-2, 3, 16).reshape(4, 4)
    x = x + 9 * torch.eye(4)

    def function(x: Tensor) -> Any:
        sums = x.scatter_reduce(0, (x > 0).long(), x, "mean")
        return (*x.cummax(1), torch.linalg.inv(x), *x.kthvalue(2), sums, x.lgamma())

    got = answers(tmp_path, function, "x:float32[n=4,n]", x, opset)

    for mine, right in zip(got, expected(function, x), strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-5)


def test_each_translation_is_of_the_default_domain_alone() -> None:
    converted = models.converted(Of(lambda x: torch.linalg.inv(x.cumprod(0))), "x:float32[n=4,n]")

    assert {node.domain for node in converted.model.graph.all_nodes()} == {""}
    assert converted.translated == ("aten.cumprod", "aten.linalg_inv")


def test_a_name_that_this_torch_does_not_have_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    known = translations.table()
    monkeypatch.setitem(families.ALL, "no_such_operator", families.ALL["i0"])
    monkeypatch.setitem(families.BEYOND, "no_such_library.operator", families.ALL["i0"])

    assert translations.table().keys() == known.keys()


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (
            torch.linalg.svdvals,
            "torch.linalg.svd (also behind pinv, matrix_rank, cond and two norms)",
        ),
        (torch.linalg.eigvalsh, "torch.linalg.eigh"),
        (lambda x: torch.linalg.qr(x)[0], "torch.linalg.qr"),
        (lambda x: torch.histogram(x, 4)[0], "the operator aten.histogram"),
    ],
    ids=["svd", "eigh", "qr", "histogram"],
)
def test_what_has_no_form_is_refused_by_name(function: Callable[[Tensor], Any], what: str) -> None:
    with pytest.raises(ExportError) as refused:
        models.converted(Of(function), "x:float32[n=4,n]")

    assert refused.value.what == f"torch cannot export this module: {what} has no ONNX form"


def test_what_has_no_form_for_complex_numbers_is_told_so() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.view_as_real(torch.polar(x, x).sqrt())

    with pytest.raises(ExportError, match="sqrt has no ONNX form for complex numbers"):
        models.converted(Of(function), "x:float32[n=4]")
