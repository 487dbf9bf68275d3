"""Masks of images and vectors."""

import jax
import numpy as np
import pytest

from realnvp_jax.masks import Alternating, Checkerboard, Halves, RandomCells, RandomHalves, VectorHalves, checkerboard


def test_checkerboard_parity_0_keeps_the_upper_left_cell():
    np.testing.assert_array_equal(checkerboard(2, 3, 0)[..., 0], [[True, False, True], [False, True, False]])
    np.testing.assert_array_equal(checkerboard(2, 3, 1), ~checkerboard(2, 3, 0))


@pytest.mark.parametrize("mask", [Checkerboard(0), Checkerboard(1), Halves(0), Halves(1)])
def test_split_and_merge_agree_with_the_mask(mask):
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    identity, transformed = mask.split(x)
    np.testing.assert_array_equal(mask.merge(identity, transformed), x)
    if isinstance(mask, Checkerboard):
        np.testing.assert_array_equal(identity == 0, np.broadcast_to(~checkerboard(3, 5, mask.parity)[None], x.shape))
    else:
        np.testing.assert_array_equal(identity, x[..., :2] if mask.parity == 0 else x[..., 2:])


def test_random_cells_are_two_choices_of_half_the_cells_and_their_complements():
    masks = [np.asarray(RandomCells(parity).cells((2, 8, 6, 3))) for parity in range(4)]
    assert all(mask.shape == (1, 8, 6, 1) and mask.sum() == 24 for mask in masks)
    np.testing.assert_array_equal(masks[1], ~masks[0])
    np.testing.assert_array_equal(masks[3], ~masks[2])
    assert 0 < (masks[0] == masks[2]).sum() < 48
    traced = jax.jit(lambda parity: RandomCells().with_parity(parity).cells((8, 6, 3)))
    for parity in range(4):
        np.testing.assert_array_equal(traced(parity), masks[parity])
    assert [int(RandomCells(parity).cells((3, 5, 1)).sum()) for parity in range(4)] == [8, 7, 8, 7]


def test_the_orders_of_vector_masks():
    assert VectorHalves().orders(5, 3) is None
    np.testing.assert_array_equal(Alternating().orders(5, 2), [[0, 2, 4, 1, 3]] * 2)
    random = RandomHalves(1).orders(6, 4)
    np.testing.assert_array_equal(np.sort(random, axis=1), np.tile(np.arange(6), (4, 1)))
    np.testing.assert_array_equal(random, RandomHalves(1).orders(6, 4))
    assert len(np.unique(random, axis=0)) > 1
    assert not np.array_equal(random, RandomHalves(2).orders(6, 4))
