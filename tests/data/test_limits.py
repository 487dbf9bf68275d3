"""Limits on what is read, and headers that claim more than a file holds."""

import threading
import zipfile

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data import array_files, limits
from realnvp_jax.data.array_files import read_arrays
from realnvp_jax.data.images.arrays import array_source
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.limits import Budget
from realnvp_jax.data.vectors import binary_tables
from realnvp_jax.data.vectors.table_files import read_frame
from tests.data.vectors.helpers import PARTS, load_table
from tests.helpers import PATIENCE, refusal

CLAIM = {"descr": "|u1", "fortran_order": False, "shape": (10**10, 32, 32)}


def write_claim(path, header) -> None:
    """A file of 1,000 bytes whose header is this one."""
    if path.suffix == ".npy":
        with path.open("wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            file.write(bytes(1000))
        return
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w") as file:
        np.lib.format.write_array_header_2_0(file, header)
        file.write(bytes(1000))


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path, name):
    write_claim(tmp_path / name, CLAIM)
    assert "whose header claims 10,240,000,000,000" in refusal(array_source, str(tmp_path / name), "all", 0)


@pytest.mark.parametrize(
    "header",
    [
        {**CLAIM, "descr": "<f8", "shape": (10**11, 10)},
        {**CLAIM, "descr": "|S0", "shape": (10**12,)},
        {**CLAIM, "descr": "<f8", "shape": (-5, 2)},
        {**CLAIM, "descr": "<f8", "shape": (0, 10**9)},
    ],
)
def test_tables_that_claim_the_impossible_are_refused(tmp_path, header):
    write_claim(tmp_path / "x.npz", header)
    refusal(read_frame, tmp_path / "x.npz")
    (tmp_path / "power").mkdir()
    write_claim(tmp_path / "power" / "data.npy", header)
    refusal(load_table, "power", "", str(tmp_path), PARTS, 0)


def test_a_sparse_array_of_too_many_images_or_pixels_is_refused(tmp_path):
    for shape in [(10**9, 8, 8), (1, 2**15, 2**14)]:
        with (tmp_path / "x.npy").open("wb") as file:
            np.lib.format.write_array_header_2_0(file, {**CLAIM, "shape": shape})
            file.truncate(file.tell() + int(np.prod(shape, dtype=np.int64)))
        message = refusal(array_source, str(tmp_path / "x.npy"), "all", 0)
        assert "expected at most 100,000,000 images of at most 67,108,864 pixels" in message


def test_arrays_that_expand_too_far_are_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", x=np.zeros((3000, 32, 32), np.uint8))
    assert (tmp_path / "x.npz").stat().st_size < 10_000
    assert array_source(str(tmp_path / "x.npz"), "all", 0).read(Framing((32, 32, 1)), 0).max() == 0
    monkeypatch.setattr(array_files, "MOST_FILE_BYTES", 2**20)
    with pytest.raises(ValueError, match="GiB that are read into memory"):
        read_arrays(tmp_path / "x.npz", ["x"])
    source = array_source(str(tmp_path / "x.npz"), "all", 0)
    assert "save images as .npy" in refusal(source.read, Framing((32, 32, 1)), 0)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".parquet"])
def test_sparse_tables_are_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_text("a,b\n1,2\n")
    with path.open("r+b") as file:
        file.truncate(30 * 2**30)
    assert "GiB in" in refusal(read_frame, path)


def test_a_line_of_text_is_not_read_without_end(tmp_path):
    path = tmp_path / "x.csv"
    for text in ("", "a,b\n", "a,b\n1,2\n1,"):
        path.write_text(text)
        with path.open("r+b") as file:
            file.truncate(2**25)
        refusal(read_frame, path)


def test_large_parquet_files_are_refused_before_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    frame = pd.DataFrame({"a": np.zeros(10**5), "text": ["x" * 1000] * 10**5})
    frame.to_parquet(path)
    assert path.stat().st_size < 10**5  # a thousandth of the text
    assert set(read_frame(path).text) == {"x" * 1000}
    with monkeypatch.context() as patch:
        patch.setattr(binary_tables, "MOST_TEXTS", 10**5 - 1)
        assert "got 0.0 GiB and 100,000: leave some out" in refusal(read_frame, path)
    monkeypatch.setattr(limits, "MOST_VALUES", 2 * 10**5 - 1)
    assert "got 100,000 rows and 2 columns" in refusal(read_frame, path)


def test_tables_have_a_largest_number_of_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MOST_COLUMNS", 3)
    frame = pd.DataFrame(np.eye(4), columns=list("abcd"))
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_csv(tmp_path / "x.csv", index=False)
    np.savez(tmp_path / "x.npz", x=np.eye(4))
    np.savez(tmp_path / "y.npz", **{name: np.arange(5.0) for name in "abcd"})
    np.savez(tmp_path / "z.npz", x=frame.to_records(index=False))
    for path in sorted(tmp_path.iterdir()):
        assert "expected a table of at most 3 columns" in refusal(read_frame, path)


def test_a_budget_is_never_exceeded():
    budget, held, most, lock = Budget(10), 0, 0, threading.Lock()

    def work(amount: int) -> None:
        nonlocal held, most
        for _ in range(200):
            with budget.take(amount):
                with lock:
                    held += min(amount, 10)
                    most = max(most, held)
                with lock:
                    held -= min(amount, 10)

    threads = [threading.Thread(target=work, args=(amount,), daemon=True) for amount in (1, 3, 7, 10, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert 0 < most <= 10
