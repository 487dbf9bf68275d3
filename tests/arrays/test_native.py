"""Arrays from outside become native ones, or are refused by name."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from realnvp_jax import vector_flow
from realnvp_jax.native import native_array

VALUES = np.array([[1.5, -2.0], [3.25, 1e-3]])


@pytest.mark.parametrize(
    "given",
    [
        VALUES.astype(">f8"),
        VALUES.astype("<f8"),
        VALUES.astype(np.longdouble),
        VALUES.astype(object),
        VALUES.tolist(),
        pd.DataFrame(VALUES, columns=["a", "b"]),
        pd.DataFrame(VALUES, columns=["a", "b"]).convert_dtypes(),
        pd.DataFrame({"a": pd.array(VALUES[:, 0], "Float64"), "b": VALUES[:, 1].astype(">f8")}),
        np.array([tuple(row) for row in VALUES], [("a", ">f8"), ("b", "f8")]),
    ],
)
def test_what_has_a_counterpart_is_converted(given):
    array = native_array(given)
    assert array.dtype.isnative
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, VALUES)
    jnp.asarray(array.astype(np.float32))


def test_types_stay_where_they_can():
    assert native_array(np.array([1, 2], ">i4")).dtype == np.int32
    assert native_array(np.array([1, 2], ">u2").astype(object)).dtype == np.int64
    assert native_array(jnp.zeros(2, jnp.bfloat16)).dtype == jnp.bfloat16
    assert native_array(np.zeros(2, jnp.bfloat16)).dtype == jnp.bfloat16
    assert native_array(np.array([True])).dtype == bool
    assert native_array(pd.DataFrame({"a": pd.array([1, 2], "Int8"), "b": [3, 4]})).dtype == np.int64
    missing = native_array(pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [0.5, 1.0]}))
    np.testing.assert_array_equal(missing, [[1, 0.5], [np.nan, 1]])
    np.testing.assert_array_equal(native_array(pd.Series([1, 2], dtype="Int64")), [1, 2])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pd.DataFrame({"a": [1.0], "kind": pd.Categorical(["x"])}), "got 'category' in column 'kind'"),
        (pd.DataFrame({"a": [1.0], "flag": [True]}), "got 'bool' in column 'flag'"),
        (pd.DataFrame({"a": [1.0], "flag": pd.array([True], "boolean")}), "got 'boolean' in column 'flag'"),
        (pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])}), "in column 'when'"),
        (pd.DataFrame({"a": [1.0], "text": ["x"]}), "in column 'text'"),
        (np.array([(1.0, "x")], [("a", "f8"), ("text", "U1")]), "got '<U1' in column 'text'"),
        (np.array([[1.0, None]], object), "got 'object', 'None' at (0, 1)"),
        (np.array([["1", "2"]]), "got '<U1': convert or drop them"),
    ],
)
def test_what_is_not_a_number_is_refused_with_its_column(given, expected):
    with pytest.raises(TypeError) as caught:
        native_array(given, "x")
    message = str(caught.value)
    assert message.startswith("expected x to be numbers; got ")
    assert expected in message
    assert len(message) < 200


@pytest.mark.parametrize(
    "given",
    [
        np.array([[True], [False]]),
        np.array([[True], [False]], object),
        [[True], [False]],
        pd.DataFrame({"flag": [True, False]}),
        pd.DataFrame({"flag": pd.array([True, False], "boolean")}),
        pd.DataFrame({"flag": [True, False]}, dtype=object),
    ],
)
def test_booleans_are_numbers_where_that_is_asked_for(given):
    array = native_array(given, booleans=True)
    assert array.dtype.kind in "bu"
    np.testing.assert_array_equal(array, [[1], [0]])


def test_what_would_be_lost_is_refused():
    huge = np.array([1, 2], np.longdouble) * np.longdouble(1e300) * np.longdouble(1e300)
    if np.isfinite(huge).all():  # where long doubles have more range
        with pytest.raises(ValueError, match="in the range of float64"):
            native_array(huge)
    with pytest.raises(ValueError, match="without masked entries"):
        native_array(np.ma.masked_array([1.0, 2.0], [True, False]))
    with pytest.raises(ValueError, match="to be an array of numbers; got ValueError: setting an array element"):
        native_array([[1.0], [1.0, 2.0]])


def test_densities_take_them():
    import jax

    flow = vector_flow(2, num_layers=2, hidden=(4,), context=1)
    x, context = np.random.default_rng(0).standard_normal((5, 2)), np.arange(5.0)[:, None]
    table, big = pd.DataFrame(x, columns=["a", "b"]), context.astype(">f4")
    params = flow.init(jax.random.key(0), table, pd.DataFrame(context))
    np.testing.assert_array_equal(flow.log_prob(params, table, big), flow.log_prob(params, x, context))
    np.testing.assert_array_equal(
        flow.sample(params, jax.random.key(1), context=big), flow.sample(params, jax.random.key(1), context=context)
    )
    with pytest.raises(TypeError, match="expected values to be numbers; got 'category' in column 'a'"):
        flow.log_prob(params, table.astype({"a": "category"}), context)
    flags = pd.DataFrame(context > 1)
    np.testing.assert_array_equal(flow.log_prob(params, table, flags), flow.log_prob(params, x, flags.to_numpy(float)))
    with pytest.raises(TypeError, match="expected the context to be numbers; got 'category' in column '0'"):
        flow.log_prob(params, table, flags.astype("category"))
