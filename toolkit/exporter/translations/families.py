"""All translations by the name of their operator in torch.ops.aten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.exporter.translations import distances, factors, matrices, ordering, running, searching

ALL: dict[str, Callable[..., Any]] = {
    "kthvalue": ordering.kthvalue,
    "median": ordering.median,
    "median.dim": ordering.median_dim,
    "nanmedian": ordering.nanmedian,
    "nanmedian.dim": ordering.nanmedian_dim,
    "mode": ordering.mode,
    "sort.stable": ordering.sort_stable,
    "cummax": running.cummax,
    "cummin": running.cummin,
    "cumprod": running.cumprod,
    "searchsorted.Tensor": searching.searchsorted,
    "searchsorted.Scalar": searching.searchsorted_scalar,
    "bucketize.Scalar": searching.bucketize_scalar,
    "isin.Tensor_Tensor": searching.isin,
    "isin.Scalar_Tensor": searching.isin_of_scalar,
    "masked_select": searching.masked_select,
    "nonzero_static": searching.nonzero_static,
    "unique_consecutive": searching.unique_consecutive,
    "unique_dim_consecutive": searching.unique_dim_consecutive,
    "_cdist_forward": distances.cdist,
    "_pdist_forward": distances.pdist,
    "linalg_inv": matrices.inverse,
    "inverse": matrices.inverse,
    "linalg_inv_ex": matrices.inverse_ex,
    "linalg_solve": matrices.solve,
    "_linalg_solve_ex": matrices.solve_ex,
    "_linalg_slogdet": matrices.slogdet,
    "linalg_cholesky": factors.cholesky_linalg,
    "linalg_cholesky_ex": factors.cholesky_ex,
    "cholesky": factors.cholesky,
    "cholesky_solve": factors.cholesky_solve,
    "cholesky_inverse": factors.cholesky_inverse,
    "linalg_solve_triangular": factors.solve_triangular,
    "triangular_solve": factors.triangular_solve,
    "linalg_matrix_exp": factors.matrix_exp,
}
