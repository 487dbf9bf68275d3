"""Batches over devices and processes, and dispatches."""

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from realnvp_jax.training.parallel import dispatches
from tests.helpers import PATIENCE, ROOT


def test_dispatches_end_where_something_is_to_be_done():
    assert list(dispatches(0, 10, 4, 5, 6)) == [(0, 4), (4, 1), (5, 1), (6, 4)]
    assert list(dispatches(7, 9, 1, 5)) == [(7, 1), (8, 1)]
    assert list(dispatches(9, 9, 4)) == []
    assert next(dispatches(0, 2**40, 1, 1000)) == (0, 1)


BATCHES = """
import sys
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
address, num, index, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if num > 1:
    jax.distributed.initialize(address, num, index)
from realnvp_jax.data.examples import Examples
from realnvp_jax.training.parallel import training_batch
reads = []
class Watched(Examples):
    def batch(self, indices):
        reads.append(len(indices))
        return super().batch(indices)
x = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
batches = []
for step in range(3, 9):
    batch = training_batch(Watched(x), 7, 8, step)["x"]
    batches.append(np.concatenate([np.asarray(s.data) for s in batch.addressable_shards], 1)[0])
np.savez(path, batches=np.stack(batches), reads=reads)
"""


@pytest.mark.slow
def test_one_process_and_two_make_the_same_batches(tmp_path):
    with socket.socket() as held:  # the coordinator shares the port, and no other program is given it meanwhile
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"

        def start(num: int, index: int) -> tuple[subprocess.Popen, Path]:
            path = tmp_path / f"{num}_{index}.npz"
            arguments = [sys.executable, "-c", BATCHES, address, str(num), str(index), str(path)]
            return subprocess.Popen(arguments, cwd=ROOT), path

        running = [start(1, 0), start(2, 0), start(2, 1)]
        assert [process.wait(PATIENCE) for process, _ in running] == [0, 0, 0]
    whole, first, second = (np.load(path) for _, path in running)
    assert whole["batches"].shape == (6, 8, 1, 1, 1)
    np.testing.assert_array_equal(np.concatenate([first["batches"], second["batches"]], 1), whole["batches"])
    assert (set(whole["reads"]), set(first["reads"]), set(second["reads"])) == ({8}, {4}, {4})
