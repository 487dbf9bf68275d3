import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realnvp_jax.compression.bits import LARGEST_SIZE, BitStack, Table

SIZES = st.lists(st.integers(1, LARGEST_SIZE), min_size=1, max_size=30)


@given(st.binary(max_size=200), st.lists(st.tuples(st.booleans(), SIZES), max_size=12), st.randoms())
@settings(max_examples=60, deadline=None)
def test_every_step_can_be_undone_even_if_the_stack_runs_empty(content, steps, random):
    bits = BitStack()
    bits.push(np.frombuffer(content, np.uint8).astype(np.int64), 256)
    start, done = bits.words(), []
    for is_push, sizes in steps:
        sizes = np.array(sizes)
        values = np.array([random.randrange(int(size)) for size in sizes]) if is_push else bits.pop(sizes)
        assert ((values >= 0) & (values < sizes)).all()
        if is_push:
            bits.push(values, sizes)
        done.append((is_push, values, sizes))
        bits = bits.copy()
    for is_push, values, sizes in reversed(done):
        if is_push:
            np.testing.assert_array_equal(bits.pop(sizes), values)
        else:
            bits.push(values, sizes)
    np.testing.assert_array_equal(bits.words(), start)


def test_a_uniform_value_takes_the_logarithm_of_its_size():
    bits = BitStack()
    bits.push(np.random.default_rng(0).integers(0, 1000, 10_000), 1000)
    assert bits.size == pytest.approx(10_000 * np.log2(1000), abs=40)


@pytest.mark.parametrize("rows", [False, True])
def test_symbols_take_their_information_content(rows):
    weights = np.array([1.0, 5.0, 0.0, 10.0])
    p = weights / weights.sum()
    symbols = np.random.default_rng(0).choice(4, 10_000, p=p)
    table = Table(np.tile(weights, (len(symbols), 1)) if rows else weights)
    bits = BitStack()
    bits.push_symbols(symbols, table)
    assert bits.size == pytest.approx(-np.log2(p[symbols]).sum(), abs=40)
    np.testing.assert_array_equal(bits.pop_symbols(symbols.shape, table), symbols)
    assert bits.words().size == 0


def test_the_dip_is_the_lowest_point():
    bits = BitStack(np.full(100, 12345, np.uint32))
    sizes = np.full(20, 256)
    values = bits.pop(sizes)
    bits.push(values, sizes)
    assert bits.dip == pytest.approx(160, abs=40)
