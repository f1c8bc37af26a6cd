"""Makes a PyTorch module compute in float64 whatever it asks for.

`module.double()` is not enough: a `.float()` or a `torch.zeros(…)` in a user's forward leaves
float64 or raises. Under the mode of dispatch.py every operation that PyTorch dispatches takes and
makes float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def float64() -> Iterator[None]:
    """Makes all floats of torch's operations float64, complex numbers complex128, while it lasts.

    Whoever reads the bits of a float (`view` as another type) gets a TypeError. The default type is
    float64 meanwhile, since `torch.zeros(3)` and the quotient of two integers take it before
    anything is dispatched.
    """
    import torch

    from toolkit.oracle.dispatch import RaiseFloats

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with RaiseFloats():
            yield
    finally:
        torch.set_default_dtype(before)
