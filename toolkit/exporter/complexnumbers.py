"""Has torch trace arithmetic of complex tensors and Python's numbers by pairs of parts.

Its ONNX forms of such sums add the number to both parts, those of products want a tensor, and a
complex number of Python has no form at all (torch 2.13). While torch traces, the number is written
as a complex tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OPERATORS = ("add", "sub", "mul", "div", "true_divide")
DUNDERS = ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "rdiv", "div")


def written() -> Mapping[Any, tuple[tuple[str, ...], Callable[..., bool], Callable[..., Any]]]:
    """Function → the names of its arguments, whether a call is written, and how."""
    import torch

    own = torch.Tensor
    functions = [getattr(home, name) for home in (torch, own) for name in OPERATORS]
    functions += [getattr(own, f"__{name}__", None) for name in DUNDERS]
    names = ("input", "other")
    return {each: (names, _is_mixed, partial(_paired, each)) for each in functions if each}


def _is_mixed(input: object = None, other: object = None, **kept: object) -> bool:
    """Says whether a tensor meets a number of Python's, and one of them is complex."""
    import torch

    if isinstance(input, torch.Tensor) == isinstance(other, torch.Tensor):
        return False
    tensor, number = (input, other) if isinstance(input, torch.Tensor) else (other, input)
    is_complex = isinstance(tensor, torch.Tensor) and tensor.is_complex()
    return isinstance(number, complex) or (is_complex and isinstance(number, int | float))


def _paired(function: Callable[..., Any], input: Any, other: Any, **kept: Any) -> Any:
    """The call with a complex tensor in place of the number."""
    import torch

    if isinstance(input, torch.Tensor):
        return function(input, _tensor(other, input), **kept)
    return function(_tensor(input, other), other, **kept)


def _tensor(number: complex, beside: torch.Tensor) -> torch.Tensor:
    import torch

    kind = torch.result_type(beside, number).to_real()
    real, imaginary = (
        torch.full((), part, dtype=kind, device=beside.device)
        for part in (complex(number).real, complex(number).imag)
    )
    return torch.complex(real, imaginary)
