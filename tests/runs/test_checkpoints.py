"""Checkpoints, the best of them, and damaged ones."""

import json
import shutil

import chex
import jax.numpy as jnp
import pytest

import realnvp_jax
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.files import UnwritableFileError
from tests.training.helpers import FLOW


def test_a_checkpoint_restores_what_was_saved(saved):
    _, checkpoints, states = saved
    checkpoints.wait()
    restored, best = checkpoints.restore(states[1])
    assert int(restored.step) == 3
    assert best == Best(1, 2.0)
    chex.assert_trees_all_equal(restored, states[3])


def test_the_newest_and_the_best_are_kept(saved):
    path, checkpoints, states = saved
    checkpoints.wait()
    assert checkpoints.steps() == [3, 2, 1]
    checkpoints.save(states[3].replace(step=jnp.asarray(4, jnp.int32)), Best(1, 2.0))
    checkpoints.wait()
    assert checkpoints.steps() == [4, 3, 1]
    flow, params = realnvp_jax.load(path)
    assert flow == FLOW
    chex.assert_trees_all_equal(params, states[1].ema)
    chex.assert_trees_all_equal(realnvp_jax.load(path, step=3, ema=False)[1], states[3].params)
    chex.assert_trees_all_equal(realnvp_jax.load(str(path), step="best", ema=False)[1], states[1].params)
    chex.assert_trees_all_equal(realnvp_jax.load(path, step="last")[1], states[3].ema)
    with pytest.raises(ValueError, match=r"expected one of the steps \[4, 3, 1\]"):
        realnvp_jax.load(path, step=2)
    with pytest.raises(ValueError, match="number, 'best' or 'last'; got 'newest'"):
        realnvp_jax.load(path, step="newest")


def test_a_run_with_parameters_exported_beside_it_is_loaded_as_a_run(saved):
    path, checkpoints, states = saved
    checkpoints.wait()
    (path / "model_ema_export.safetensors").write_bytes(b"")
    chex.assert_trees_all_equal(realnvp_jax.load(path)[1], states[1].ema)


def damage(directory, size: int) -> None:
    """Flip bytes in the middle of the largest file."""
    file = max((p for p in directory.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    for i in range(middle, middle + size):
        content[i] ^= 0xFF
    file.write_bytes(bytes(content))


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(saved, capsys):
    path, checkpoints, states = saved
    checkpoints.wait()
    damage(checkpoints.directory / "3" / "params", 64)
    restored, _ = checkpoints.restore(states[1])
    chex.assert_trees_all_equal(restored, states[2])
    assert "checkpoint 3 cannot be used" in capsys.readouterr().err
    assert checkpoints.steps() == [2, 1]
    assert len(list((path / "damaged").iterdir())) == 1
    checkpoints.save(states[3], Best(3, 1.5))  # the run goes on and comes to step 3 again
    checkpoints.wait()
    chex.assert_trees_all_equal(realnvp_jax.load(path, ema=False)[1], states[3].params)
    damage(checkpoints.directory / "3" / "params", 64)
    with pytest.raises(ValueError, match="expected"):
        realnvp_jax.load(path, step=3, ema=False)
    assert checkpoints.steps() == [3, 2, 1]
    for step in ("1", "2"):
        shutil.rmtree(checkpoints.directory / step / "opt_state")
    with pytest.raises(ValueError, match="3 damaged ones"):
        checkpoints.restore(states[1])


def at_step(state, step: int):
    return state.replace(step=jnp.asarray(step, jnp.int32))


def test_the_best_survives_any_number_of_restarts(saved):
    path, checkpoints, states = saved
    checkpoints.close()
    for start in (4, 7):
        checkpoints = Checkpoints(path, keep=2)
        assert checkpoints.restore(states[1])[1] == Best(1, 2.0)
        for step in range(start, start + 3):
            checkpoints.save(at_step(states[3], step), Best(1, 2.0))
        checkpoints.close()
        assert checkpoints.steps() == [start + 2, start + 1, 1]
    chex.assert_trees_all_equal(realnvp_jax.load(path)[1], states[1].ema)


def test_a_run_that_goes_back_finds_the_best_of_then(saved):
    path, checkpoints, states = saved
    checkpoints.close()
    checkpoints = Checkpoints(path, keep=2)
    checkpoints.save(at_step(states[3], 4), Best(4, 1.0))
    checkpoints.wait()
    assert checkpoints.steps() == [4, 3, 1]
    damage(checkpoints.directory / "4" / "params", 64)
    _, best = checkpoints.restore(states[1])
    assert best == Best(1, 2.0)
    assert checkpoints.steps() == [3, 1]
    checkpoints.close()


def test_an_edited_best_result_is_a_damaged_checkpoint(saved, capsys):
    path, checkpoints, states = saved
    checkpoints.wait()
    meta = checkpoints.directory / "3" / "meta" / "metadata"
    edited = json.loads(meta.read_text())
    edited["best"]["cost"] = 0.0
    meta.write_text(json.dumps(edited))
    with pytest.raises(ValueError, match=r"expected a complete checkpoint 3 in .*the file is damaged"):
        realnvp_jax.load(path)
    restored, best = checkpoints.restore(states[1])
    assert (int(restored.step), best) == (2, Best(1, 2.0))
    assert "checkpoint 3 cannot be used" in capsys.readouterr().err
    checkpoints.note_best(2, Best(2, 1.5))
    assert checkpoints.restore(states[1])[1] == Best(2, 1.5)


def test_a_lost_best_step_is_named(saved):
    path, checkpoints, _ = saved
    checkpoints.wait()
    shutil.rmtree(checkpoints.directory / "1")
    with pytest.raises(ValueError, match=r"expected the checkpoint of the best step 1 in .*; got \[3, 2\] only"):
        realnvp_jax.load(path)


def test_a_full_disk_loses_no_checkpoint(saved, monkeypatch):
    path, checkpoints, states = saved
    checkpoints.wait()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(UnwritableFileError, match=r"No space left on device.*: free some space on its disk"):
        checkpoints.save(states[3].replace(step=jnp.asarray(4, jnp.int32)), Best(1, 2.0))
    monkeypatch.undo()
    assert checkpoints.steps() == [3, 2, 1]
    # an error in the midst of saving
    monkeypatch.setattr(checkpoints._manager, "wait_until_finished", _fail)
    (path / "checkpoints" / "4.orbax-checkpoint-tmp").mkdir()
    with pytest.raises(UnwritableFileError, match=r"No space left on device.*: free some space on its disk"):
        checkpoints.wait()
    assert not (path / "checkpoints" / "4.orbax-checkpoint-tmp").exists()
    monkeypatch.undo()
    restored, _ = checkpoints.restore(states[1])
    chex.assert_trees_all_equal(restored, states[3])


def test_an_error_that_is_not_of_a_file_is_raised_as_it_is(saved, monkeypatch):
    path, checkpoints, _ = saved
    checkpoints.wait()
    error = TypeError("expected an array")

    def fail():
        raise error

    (path / "checkpoints" / "4.orbax-checkpoint-tmp").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "wait_until_finished", fail)
        with pytest.raises(TypeError) as caught:
            checkpoints.wait()
    assert caught.value is error
    assert not (path / "checkpoints" / "4.orbax-checkpoint-tmp").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(27, "File too large"),
        ValueError("OUT_OF_RANGE: Failed to write 227 bytes to file 24: File too large [os_error_code='27']"),
    ],
)
def test_errors_of_files_are_those_with_a_number(error, saved, monkeypatch):
    _, checkpoints, _ = saved
    checkpoints.wait()

    def fail():
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints._manager, "wait_until_finished", fail)
        with pytest.raises(UnwritableFileError, match=r"got 'File too large' for '.*checkpoints'"):
            checkpoints.wait()


def _fail():
    raise ValueError("RESOURCE_EXHAUSTED: Failed to write 184 bytes to file 22: No space left on device")


def test_of_equal_results_the_first_is_the_best():
    best = Best().after(10, 2.0).after(20, 2.0).after(30, 3.0)
    assert best == Best(10, 2.0)
    assert best.after(40, float("nan")) == best
    left = best.lost().after(20, 2.5)
    assert left == Best(20, 2.5, lost_step=10, lost_cost=2.0)
    assert left.lost().after(30, 3.0) == Best(30, 3.0, lost_step=10, lost_cost=2.0)
    assert left.after(40, 1.0) == Best(40, 1.0)
