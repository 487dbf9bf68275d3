"""The tables of the UCI repository, processed as in the papers."""

import builtins
import os
import pickle
import sys
import types

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data.vectors.pickled_frames import read_frame
from tests.data.vectors.helpers import PARTS, import_of_nothing, load_table
from tests.helpers import refusal


def test_power_is_processed_as_in_the_paper(tmp_path):
    num = 230
    raw = np.random.default_rng(0).normal(size=(num, 8)) * [1, 2, 3, 4, 5, 6, 7, 8] + 10
    (tmp_path / "power").mkdir()
    np.save(tmp_path / "power" / "data.npy", raw)
    columns, splits = load_table("power", "", str(tmp_path), PARTS, 0)

    rng = np.random.RandomState(42)
    x = raw[rng.permutation(num)][:, [0, 2, 4, 5, 6, 7]]
    x[:, 1] += 0.01 * rng.random_sample(num)
    x[:, 0] += 0.001 * rng.random_sample(num)
    x[:, 2:5] += rng.random_sample((num, 3))
    x = (x - x[:207].mean(axis=0)) / x[:207].std(axis=0)  # 23 test rows, then 20 of the other 207 for validation
    assert columns[1] == "voltage"
    np.testing.assert_allclose(splits["train"], x[:187], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["validation"], x[187:207], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["test"], x[207:], rtol=1e-5, atol=1e-6)
    assert {part.dtype for part in splits.values()} == {np.dtype(np.float32)}


def gas_frame() -> pd.DataFrame:
    x = np.random.default_rng(0).normal(size=(200, 9))
    x[:, 4] = x[:, 3] + 0.01 * x[:, 4]  # sensors 0 and 1 go together, and 1 and 3; 2 and 5 are alone
    x[:, 6] = x[:, 3] + 0.01 * x[:, 6]
    x[:, 8] = -x[:, 5]  # correlated by -1, which counts for nothing
    return pd.DataFrame(x, columns=["Time", "Meth", "Eth", *(f"sensor {i}" for i in range(6))])


def check_gas(folder, frame: pd.DataFrame) -> None:
    columns, splits = load_table("gas", "", str(folder), PARTS, 0)
    assert columns == ("sensor 2", "sensor 3", "sensor 4", "sensor 5")
    x = frame[list(columns)].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    for part, expected in zip(("train", "validation", "test"), (x[:162], x[162:180], x[180:]), strict=True):
        np.testing.assert_allclose(splits[part], expected, rtol=1e-5, atol=1e-6)


def test_gas_is_processed_as_in_the_paper(tmp_path):
    (tmp_path / "gas").mkdir()
    path = tmp_path / "gas" / "ethylene_CO.pickle"
    gas_frame().to_pickle(path)
    check_gas(tmp_path, gas_frame())
    gas_frame().drop(columns="Eth").to_pickle(path)
    assert "got a table without Eth" in refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)
    gas_frame()["Eth"].to_pickle(path)
    assert "got 'pandas.Series'" in refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)
    for content in [b"", b"nothing", pickle.dumps([1, 2]), pickle.dumps(types.SimpleNamespace(a=1))]:
        path.write_bytes(content)
        refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)
    gas_frame().assign(Eth="x").to_pickle(path)
    refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_frames_of_numbers_are_read_as_pandas_reads_them(tmp_path, protocol):
    frame = gas_frame().assign(whole=np.arange(200), flag=np.arange(200) % 3 == 0).astype({"Time": np.float32})
    for change in (frame, frame[::2], frame[frame.columns[::-1]], frame.set_index("Meth"), frame.copy()):
        change.to_pickle(tmp_path / "x.pickle", protocol=protocol)
        pd.testing.assert_frame_equal(
            read_frame(tmp_path / "x.pickle"),
            change.reset_index(drop=True).astype(float),
            check_column_type=False,
        )


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_executes_nothing(tmp_path):
    (tmp_path / "gas").mkdir()
    path = tmp_path / "gas" / "ethylene_CO.pickle"
    path.write_bytes(pickle.dumps(Call(tmp_path / "executed")))
    assert f"got '{os.name}.mkdir'" in refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)
    frame = gas_frame()
    frame.attrs["call"] = Call(tmp_path / "executed")
    path.write_bytes(pickle.dumps(frame))
    check_gas(tmp_path, gas_frame())
    assert not (tmp_path / "executed").exists()


def test_a_pickle_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "x.pickle"
    frame = pd.DataFrame(np.zeros((3, 2)), columns=["a", "b"])
    frame.to_pickle(path)
    content = path.read_bytes()
    assert content.count(b"K\x02K\x03") == 1
    path.write_bytes(content.replace(b"K\x02K\x03", b"K\x02J\xff\xff\xff\x7f"))
    refusal(read_frame, path)


def test_gas_is_read_from_a_pickle_of_old_pandas(tmp_path, monkeypatch):
    """The archive's pickle is of 2017: stand-ins of that pandas' classes write one, and are then renamed in it."""
    module = types.ModuleType("stand_in")

    class DataFrame:
        pass

    class BlockManager:
        def __init__(self, state):
            self.state = state

        def __getstate__(self):
            return self.state

    class Index:
        def __init__(self, data):
            self.data = data

        def __reduce__(self):
            return _new_Index, (Index, {"data": self.data, "name": None})

    def _new_Index(*arguments):  # noqa: N802
        raise AssertionError

    for thing in [DataFrame, BlockManager, Index, _new_Index]:
        thing.__module__, thing.__qualname__ = "stand_in", thing.__name__
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "stand_in", module)

    frame = gas_frame()
    axes = [Index(frame.columns.to_numpy(object)), Index(np.arange(len(frame)))]
    values = frame.to_numpy().T
    blocks = [
        {"values": values[1:], "mgr_locs": slice(1, 9, 1)},
        {"values": values[:1], "mgr_locs": np.array([0])},
    ]
    old = DataFrame()
    manager = BlockManager((axes, [], [], {"0.14.1": {"axes": axes, "blocks": blocks}}))
    old.__dict__.update(_metadata=[], _typ="dataframe", _data=manager)
    (tmp_path / "gas").mkdir()
    content = pickle.dumps(old, protocol=2)
    (tmp_path / "gas" / "ethylene_CO.pickle").write_bytes(content.replace(b"cstand_in\n", b"cpandas.indexes.base\n"))
    check_gas(tmp_path, frame)


def hepmass_frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    columns = ["# label", "f0", "f1", "f2", "f3"]
    frames = []
    for num in (300, 120):
        x = rng.normal(size=(num, 5)) * [1, 1, 2, 3, 4] + 5
        x[:, 0] = np.arange(num) % 2
        x[:, 2] = np.maximum(x[:, 2], 4)  # its smallest value occurs often
        x[:, 3] = np.minimum(x[:, 3], 6)  # its largest value occurs often, which the authors' rule lets pass
        frames.append(pd.DataFrame(x, columns=columns))
    train, test = frames
    return train, test.assign(mass=1000.0)


def test_hepmass_is_processed_as_in_the_paper(tmp_path):
    train, test = hepmass_frames()
    (tmp_path / "hepmass").mkdir()
    train.to_csv(tmp_path / "hepmass" / "1000_train.csv", index=False)
    test.to_csv(tmp_path / "hepmass" / "1000_test.csv", index=False)
    columns, splits = load_table("hepmass", "", str(tmp_path), PARTS, 0)
    assert columns == ("f0", "f2", "f3")
    x, y = train.to_numpy()[1::2, [1, 3, 4]], test.to_numpy()[1::2, [1, 3, 4]]
    mean, deviation = x.mean(axis=0), x.std(axis=0, ddof=1)
    np.testing.assert_allclose(splits["train"], ((x - mean) / deviation)[:135], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["validation"], ((x - mean) / deviation)[135:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["test"], (y - mean) / deviation, rtol=1e-5, atol=1e-6)

    test.drop(columns="mass").to_csv(tmp_path / "hepmass" / "1000_test.csv", index=False)
    assert "got 'f0, f1, f2' without the last" in refusal(load_table, "hepmass", "", str(tmp_path), PARTS, 0)
    for content in (b"", b"a,b\n1,x\n", b"\xff\n\xfe", b'a,b\n1,"'):
        (tmp_path / "hepmass" / "1000_test.csv").write_bytes(content)
        refusal(load_table, "hepmass", "", str(tmp_path), PARTS, 0)


def test_miniboone_is_processed_as_in_the_paper(tmp_path):
    x = np.random.default_rng(0).normal(3, 2, size=(230, 4))
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone" / "data.npy", x)
    columns, splits = load_table("miniboone", "", str(tmp_path), PARTS, 0)
    assert columns == ("column 0", "column 1", "column 2", "column 3")
    x = (x - x[:207].mean(axis=0)) / x[:207].std(axis=0)
    for part, expected in zip(("train", "validation", "test"), (x[:187], x[187:207], x[207:]), strict=True):
        np.testing.assert_allclose(splits[part], expected, rtol=1e-5, atol=1e-6)

    np.save(tmp_path / "miniboone" / "data.npy", np.arange(9))
    assert "got int64 '(9,)'" in refusal(load_table, "miniboone", "", str(tmp_path), PARTS, 0)
    (tmp_path / "miniboone" / "data.npy").write_text("")
    refusal(load_table, "miniboone", "", str(tmp_path), PARTS, 0)


def test_bsds300_is_read_as_it_is(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    parts = {part: np.random.default_rng(i).normal(size=(5 + i, 63)) for i, part in enumerate(PARTS)}
    (tmp_path / "BSDS300").mkdir()
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "w") as file:
        for part, x in parts.items():
            file[part] = x.astype(np.float32)
    columns, splits = load_table("bsds300", "", str(tmp_path), PARTS, 0)
    assert len(columns) == 63
    for part, x in parts.items():
        np.testing.assert_array_equal(splits[part], x.astype(np.float32))

    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "a") as file:
        del file["test"]
    assert "expected train, validation and test" in refusal(load_table, "bsds300", "", str(tmp_path), PARTS, 0)
    real_import = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *rest: import_of_nothing() if name == "h5py" else real_import(name, *rest)
    )
    assert "pip install h5py" in refusal(load_table, "bsds300", "", str(tmp_path), PARTS, 0)


@pytest.mark.parametrize("name", ["power", "gas", "hepmass", "miniboone", "bsds300"])
def test_missing_archives_are_named(tmp_path, name):
    message = refusal(load_table, name, "", str(tmp_path / ("x" * 200) / ("x" * 200)), PARTS, 0)
    assert "Zenodo record 1161203" in message
    assert f"expected {name if name != 'bsds300' else 'BSDS300'}/" in message
    assert "set dataset.data_dir" in message
