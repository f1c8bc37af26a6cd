"""Large memory is given out again, and never while anything refers to it."""

from __future__ import annotations

import numpy as np
import torch

from toolkit.oracle.operators import kernels

SHAPE = (kernels.LARGE // 8,)


def where(tensor: torch.Tensor) -> int:
    return tensor.data_ptr()


def test_memory_that_nobody_refers_to_is_given_out_again() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    with kernels.reusing():
        first = kernels.room(like, SHAPE)
        place = where(first)
        del first
        again = kernels.room(like, (SHAPE[0] // 2, 2))
        assert where(again) == place
        assert again.shape == (SHAPE[0] // 2, 2)


def test_memory_that_a_view_of_numpys_or_of_torchs_refers_to_is_not() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    with kernels.reusing():
        first, second = kernels.room(like, SHAPE), kernels.room(like, SHAPE)
        ours, theirs = kernels.array(first)[3:5], second.reshape(2, -1)[1]
        places = {where(first), where(second)}
        del first, second
        third = kernels.room(like, SHAPE)
        third.fill_(7.0)
    assert where(third) not in places
    ours[:] = 1.0
    theirs[:] = 2.0
    assert bool((third == 7.0).all())


def test_what_is_free_and_does_not_fit_is_held_no_longer() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    with kernels.reusing():
        kernels.room(like, SHAPE)
        larger = kernels.room(like, (2 * SHAPE[0],))
        kept = kernels._KEPT.get()
        assert kept is not None
        assert [each.nbytes for each in kept] == [2 * kernels.LARGE]
        assert where(larger) == kept[0].ctypes.data


def test_small_results_and_those_outside_have_memory_of_their_own() -> None:
    like = torch.zeros((4, 3), dtype=torch.float64)
    with kernels.reusing():
        kernels.room(like)
        assert kernels._KEPT.get() == []
    assert kernels._KEPT.get() is None
    turned = kernels.room(like.T)
    assert turned.stride() == like.T.stride()
    assert np.asarray(turned).dtype == np.float64
