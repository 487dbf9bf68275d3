"""The five tables of the MAF paper (Papamakarios, Pavlakou and Murray, 2017), preprocessed as in its authors' code.

They are read from the unpacked archive of the authors, Zenodo record 1161203: power/data.npy, gas/ethylene_CO.pickle,
hepmass/1000_train.csv and 1000_test.csv, miniboone/data.npy, BSDS300/BSDS300.hdf5. Log-densities compare with published
ones only if every step below is the same as theirs:

  table      D   train      validation  test
  power      6   1,659,917  184,435     204,928
  gas        8   852,174    94,685      105,206
  hepmass    21  315,123    35,013      174,987
  miniboone  43  29,556     3,284       3,648
  bsds300    63  1,000,000  50,000      250,000

Where one array is split, the test split is its last tenth, rounded down, and validation the last tenth of the rest.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from realnvp_jax.data.array_files import read_arrays
from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.limits import MOST_FILE_BYTES, check_file_size
from realnvp_jax.data.vectors.pickled_frames import read_frame
from realnvp_jax.registry import register
from realnvp_jax.text import describe_error, shorten

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Uci(DataSet):
    """The table of the MAF paper with this name, a key of `UCI`.

    Attributes:
      data_dir: the folder into which the authors' archive was unpacked.
    """

    data_dir: str = ""
    is_of_images = False
    split_names: ClassVar[tuple[str, ...]] = ("train", "validation", "test")

    def load(self, split: str) -> Examples:
        """The rows of a split.

        Raises:
          ValueError: a file of the archive is missing in data_dir, or is not as expected.
        """
        columns, parts = self._parts
        x = parts[self.split_names.index(split)]
        return Examples(x.astype(np.float32, copy=False), columns=tuple(columns))

    @functools.cached_property
    def _parts(self) -> tuple[list[str], Parts]:
        return UCI[self.name](Path(self.data_dir).expanduser())


def _power(root: Path) -> tuple[list[str], Parts]:
    """Household power consumption, with uniform noise as wide as the last digit on each value.

    Rows are shuffled by RandomState(42); columns 3 (global intensity) and 1 (reactive power) are dropped. Noise comes
    from the same generator, in this order: [0, 0.01) for the voltage, [0, 0.001) for the active power, [0, 1) for the
    three sub-meters; the time gets none. Mean and standard deviation are those of the training and validation rows
    together.
    """
    data = _load_npy(root, "power/data.npy")
    if data.shape[1] != 8:
        raise ValueError(f"expected 8 columns in power/data.npy of Zenodo record 1161203; got {data.shape[1]}")
    rng = np.random.RandomState(42)
    rng.shuffle(data)
    num = len(data)
    voltage = 0.01 * rng.rand(num, 1)
    active = 0.001 * rng.rand(num, 1)
    meters = rng.rand(num, 3)
    data = data[:, [0, 2, 4, 5, 6, 7]] + np.hstack([active, voltage, meters, np.zeros((num, 1))])
    columns = ["active power", "voltage", "sub-meter 1", "sub-meter 2", "sub-meter 3", "time"]
    return columns, _normalize_by_the_first_two(_cut(data))


def _gas(root: Path) -> tuple[list[str], Parts]:
    """Gas sensors under mixtures of ethylene and CO, in the archive's order: a random sample of the measurements.

    The columns Meth, Eth and Time are dropped. Then, while two columns have a correlation above 0.98, the first column
    of such a pair is dropped. Mean and standard deviation (n - 1) are those of all rows, including the test rows.
    """
    frame: Any = read_frame(_find(root, "gas/ethylene_CO.pickle"))
    missing = {"Meth", "Eth", "Time"} - set(frame.columns)
    if missing:
        raise ValueError(
            "expected columns Meth, Eth and Time in gas/ethylene_CO.pickle of Zenodo record 1161203; "
            f"got a table without {' and '.join(sorted(missing))}"
        )
    frame = frame.drop(columns=["Meth", "Eth", "Time"])
    correlated = frame.corr().to_numpy() > 0.98  # the diagonal is always True
    kept = np.arange(len(correlated))
    while (redundant := correlated[np.ix_(kept, kept)].sum(axis=1) > 1).any():
        kept = np.delete(kept, np.argmax(redundant))
    frame = frame.iloc[:, kept]
    frame = (frame - frame.mean()) / frame.std()
    return [str(column) for column in frame.columns], _cut(frame.to_numpy())


def _hepmass(root: Path) -> tuple[list[str], Parts]:
    """Particle collisions with a heavy particle of mass 1000: only the signal rows (label 1), in the files' order.

    The first column, the label, is dropped, and so is the last column of the test file, which the training file does
    not have. Mean and standard deviation (n - 1) are those of the training file; validation is its last
    tenth. Then columns whose smallest value occurs more than five times in that file are dropped as discrete.
    """
    train, test = (_load_csv(root, f"hepmass/1000_{part}.csv") for part in ("train", "test"))
    train, test = (frame[frame.iloc[:, 0] == 1].iloc[:, 1:] for frame in (train, test))
    test = test.iloc[:, :-1]
    columns = [str(column) for column in train.columns]
    if columns != [str(column) for column in test.columns]:
        raise ValueError(
            "expected in hepmass/1000_test.csv the columns of 1000_train.csv and one more at the end; "
            f"got {shorten(', '.join(map(str, test.columns)), 120)} without the last"
        )
    mean, deviation = train.mean().to_numpy(), train.std().to_numpy()
    train, test = ((frame.to_numpy() - mean) / deviation for frame in (train, test))
    kept = np.flatnonzero((train == train.min(axis=0)).sum(axis=0) <= 5)
    train, test = train[:, kept], test[:, kept]
    train, validation = _cut_last_tenth(train)
    return [columns[i] for i in kept], (train, validation, test)


def _miniboone(root: Path) -> tuple[list[str], Parts]:
    """Neutrino events, cleaned by the authors before archiving, in the file's order.

    Mean and standard deviation are those of training and validation rows together.
    """
    return [], _normalize_by_the_first_two(_cut(_load_npy(root, "miniboone/data.npy")))


def _bsds300(root: Path) -> tuple[list[str], Parts]:
    """8x8 patches of natural images without their mean and their last pixel, as the authors archived them."""
    path = _find(root, "BSDS300/BSDS300.hdf5")
    try:
        import h5py
    except ImportError:
        raise ValueError("expected h5py, which reads BSDS300/BSDS300.hdf5; got none: pip install h5py") from None
    try:
        with h5py.File(path, "r") as file:
            parts: Any = [file[part] for part in ("train", "validation", "test")]
            if sum(part.nbytes for part in parts) > MOST_FILE_BYTES:
                raise ValueError(f"arrays of more than {MOST_FILE_BYTES >> 30} GiB")
            train, validation, test = (part[:] for part in parts)
            return [], (train, validation, test)
    except Exception as error:
        raise ValueError(
            f"expected train, validation and test in the HDF5 file BSDS300/BSDS300.hdf5; got {shorten(error, 150)}"
        ) from None


def _cut_last_tenth(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first = len(data) - int(0.1 * len(data))
    return data[:first], data[first:]


def _cut(data: np.ndarray) -> Parts:
    rest, test = _cut_last_tenth(data)
    train, validation = _cut_last_tenth(rest)
    return train, validation, test


def _normalize_by_the_first_two(parts: Parts) -> Parts:
    train, validation, test = parts
    both = np.vstack([train, validation])
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    return (train - mean) / deviation, (validation - mean) / deviation, (test - mean) / deviation


def _load_csv(root: Path, name: str) -> Any:
    import pandas as pd

    path = _find(root, name)
    check_file_size(path, MOST_FILE_BYTES)
    try:
        return pd.read_csv(path, index_col=False).astype(np.float64)
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"expected a CSV table of numbers in {name}; got {describe_error(error)}") from None


def _load_npy(root: Path, name: str) -> np.ndarray:
    path = _find(root, name)
    try:
        data = read_arrays(path, [""])[""]
    except Exception as error:  # a damaged file can fail anywhere
        raise ValueError(f"expected an array in {name}; got {shorten(error, 150)}") from None
    if data.ndim != 2 or data.dtype.kind != "f":
        raise ValueError(f"expected an array [n, D] of floats in {name}; got {data.dtype} {shorten(data.shape)}")
    return data


def _find(root: Path, name: str) -> Path:
    if not (root / name).is_file():
        raise ValueError(
            f"expected {name} of the MAF paper's tables, the archive of Zenodo record 1161203, below "
            f"{shorten(root, 200)}; got no such file: unpack the archive, and set dataset.data_dir to its folder"
        )
    return root / name


UCI: dict[str, Callable[[Path], tuple[list[str], Parts]]] = {
    "power": _power,
    "gas": _gas,
    "hepmass": _hepmass,
    "miniboone": _miniboone,
    "bsds300": _bsds300,
}

for _name in UCI:
    register("dataset", _name, Uci)
