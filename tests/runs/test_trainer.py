"""Runs that go on, are interrupted, and fail."""

import csv
import dataclasses
import json
import re
import shutil
import signal
from pathlib import Path

import chex
import jax
import numpy as np
import optax
import pytest

import realnvp_jax
from configs import smoke, table
from realnvp_jax.data.batches import batch_indices
from realnvp_jax.plots import curves, vectors
from realnvp_jax.runs import pictures, setup
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints, newest_step
from realnvp_jax.runs.evaluator import Evaluator
from realnvp_jax.runs.finish import warn_of_overfitting
from realnvp_jax.runs.pending_metrics import PendingMetrics
from realnvp_jax.runs.result import read_result
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.runs.signals import InterruptedRunError
from realnvp_jax.training.state import create_state, optimizer_average
from realnvp_jax.training.steps import NonFiniteLossError
from tests.cli.helpers import realnvp
from tests.helpers import refusal, slow_but


@pytest.mark.parametrize("memory", slow_but(["remat"], ["remat", "invert"]))
def test_a_run_that_was_stopped_is_the_same_to_the_bit(memory, tmp_path):
    config = smoke.get_config()
    config.update(memory=memory, batch_size=8, num_steps=4, steps_per_dispatch=2, profile=1)
    config.checkpoint.every = config.evaluate.every = 2
    config.evaluate.num_examples = 8
    realnvp_jax.train(config, tmp_path / "whole")
    config.num_steps = 2
    realnvp_jax.train(config, tmp_path / "parts")
    config.num_steps = 4
    result = realnvp_jax.train(config, tmp_path / "parts")
    states = []
    for name in ("whole", "parts"):
        flow = realnvp_jax.create(config)
        target = create_state(flow, jax.random.key(0), make_optimizer(config, flow)[0], config.ema_decay)
        checkpoints = Checkpoints(tmp_path / name, read_only=True)
        states.append(checkpoints.restore(target)[0])
        checkpoints.close()
    chex.assert_trees_all_equal(*states)
    assert np.isfinite(result["mean"])


def test_a_run_evaluates_saves_and_loads_the_average_of_its_optimizer(tmp_path):
    config = smoke.get_config()
    config.update(batch_size=8, num_steps=4, ema_decay=0.0)
    config.optimizer.name = "schedule_free"
    config.checkpoint.every = config.evaluate.every = 2
    config.evaluate.num_examples = 8
    whole = realnvp_jax.train(config, tmp_path / "whole")
    config.num_steps = 2
    realnvp_jax.train(config, tmp_path / "parts")
    config.num_steps = 4
    assert realnvp_jax.train(config, tmp_path / "parts")["mean"] == whole["mean"]
    assert whole["ema"]
    flow, average = realnvp_jax.load(tmp_path / "parts", step=4)
    _, trained = realnvp_jax.load(tmp_path / "parts", step=4, ema=False)
    checkpoints = Checkpoints(tmp_path / "whole", read_only=True)
    optimizer, _ = make_optimizer(config, flow)
    state, _ = checkpoints.restore(create_state(flow, jax.random.key(0), optimizer))
    checkpoints.close()
    chex.assert_trees_all_equal(state.ema, average)
    chex.assert_trees_all_equal(state.params, trained)
    chex.assert_trees_all_close(optimizer_average(state.opt_state, trained), average, rtol=1e-6, atol=1e-7)
    difference = jax.tree.map(lambda x, y: np.abs(x - y).max(), average["params"], trained["params"])
    assert max(jax.tree.leaves(difference)) > 1e-5


def test_a_stop_that_comes_during_the_evaluation_is_saved(tmp_path, monkeypatch):
    from realnvp_jax.runs import trainer

    config = smoke.get_config()
    config.model.num_scales, config.model.base_features = 1, 2
    config.evaluate.every = config.evaluate.log_every = 3
    validate = trainer.Trainer._validate

    def validate_and_press(self, row, bar):
        validate(self, row, bar)
        self.best = Best(1, 0.0)  # so that the step is not saved for being the best
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "_validate", validate_and_press)
    with pytest.raises(InterruptedRunError, match=r"stopped and saved at step 3; resume with: the same call"):
        realnvp_jax.train(config, tmp_path)
    assert (tmp_path / "checkpoints" / "3").is_dir()


def interrupt_evaluation(monkeypatch, at_step):
    """Runs fail at the evaluation of a step, until the returned function is called."""
    from realnvp_jax.runs import trainer

    validate = trainer.Trainer._validate

    def without_memory(self, row, bar):
        if self.step == at_step:
            raise MemoryError
        validate(self, row, bar)

    monkeypatch.setattr(trainer.Trainer, "_validate", without_memory)
    return lambda: monkeypatch.setattr(trainer.Trainer, "_validate", validate)


def rows_without_speed(workdir):
    with (workdir / "metrics.csv").open() as file:
        return [{**row, "examples_per_second": ""} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("failing", "patience"), [(2, 0), (4, 0), (8, 2)])
def test_a_step_is_saved_before_its_evaluation_which_a_resumed_run_makes_up_for(
    config, failing, patience, tmp_path, monkeypatch
):
    config.patience = patience
    config.num_steps = 12 if patience else 4  # the best is step 4
    whole = realnvp_jax.train(config, tmp_path / "whole")
    calls = []
    restore = interrupt_evaluation(monkeypatch, failing)
    with pytest.raises(MemoryError):
        realnvp_jax.train(config, tmp_path / "run", tracker=lambda *call: calls.append(call))
    assert steps(tmp_path / "run")[-1] == failing
    assert all(step < failing for step, _ in calls)
    restore()
    assert realnvp_jax.train(config, tmp_path / "run", tracker=lambda *call: calls.append(call)) == whole
    assert rows_without_speed(tmp_path / "run") == rows_without_speed(tmp_path / "whole")
    assert steps(tmp_path / "run") == steps(tmp_path / "whole")
    assert len(whole.keys() & {"patience"}) == bool(patience)
    values = dict(calls)
    assert list(values) == sorted(values) == list(range(2, max(values) + 1, 2))
    assert all({"train", "validation", "parameter_norm"} <= row.keys() for row in values.values())


def test_a_validation_result_that_is_not_finite_leaves_the_checkpoint_before(config, tmp_path, monkeypatch):
    from realnvp_jax.runs import evaluator

    config.checkpoint.keep = 1
    config.evaluate.every = 4
    validation = evaluator.Evaluator.validation

    def infinite_at_the_end(self, params):
        is_at_the_end = (tmp_path / "run" / "checkpoints" / "2").is_dir()
        return (-np.inf, None) if is_at_the_end else validation(self, params)

    monkeypatch.setattr(evaluator.Evaluator, "validation", infinite_at_the_end)
    with pytest.raises(NonFiniteLossError, match=r"result -inf at step 4: .*the last good checkpoint is step 2"):
        realnvp_jax.train(config, tmp_path / "run")
    assert steps(tmp_path / "run") == [0, 2]
    assert [path.name.split("_")[0] for path in (tmp_path / "run" / "damaged").iterdir()] == ["4"]
    monkeypatch.setattr(evaluator.Evaluator, "validation", validation)
    realnvp_jax.train(config, tmp_path / "run")
    assert steps(tmp_path / "run") == [4]


def test_a_validation_result_before_training_may_be_infinite(config, tmp_path, monkeypatch, capsys):
    from realnvp_jax.runs import evaluator

    validation = evaluator.Evaluator.validation
    results = [(np.nan, None)]
    monkeypatch.setattr(
        evaluator.Evaluator, "validation", lambda self, params: results.pop() if results else validation(self, params)
    )
    config.patience = 1
    assert realnvp_jax.train(config, tmp_path / "run")["step"] == 4
    assert "\nstep 0 of 4: validation nan nats\n" in capsys.readouterr().out


def test_checkpoints_of_older_versions_are_not_evaluated_again(config, tmp_path, capsys):
    realnvp_jax.train(config, tmp_path / "run")
    checkpoints = Checkpoints(tmp_path / "run")
    best = Best(**checkpoints.meta(4)["best"])
    checkpoints.note_best(4, dataclasses.replace(best, evaluated=None))
    checkpoints.close()
    (tmp_path / "run" / "result.json").unlink()
    capsys.readouterr()
    config.num_steps = 6
    realnvp_jax.train(config, tmp_path / "run")
    assert re.findall(r"^step (\d+) of", capsys.readouterr().out, re.MULTILINE) == ["6"]


NAMES = ("cost_US$_per_$", "price ($)", "rate $%$")


@pytest.fixture
def config(tmp_path):
    """A run of 4 steps on a table, evaluated at every second one; after them it overfits."""
    rows = np.random.default_rng(0).standard_normal((60, 3))
    rows[:, 1:] = rows[:, :1] + 0.5 * rows[:, 1:]
    path = tmp_path / "rows.csv"
    np.savetxt(path, rows, delimiter=",", header=",".join(NAMES), comments="")
    config = table.get_config()
    config.dataset.path = str(path)
    config.batch_size = 16
    config.num_steps = 4
    config.learning_rate = 0.2
    config.seed = 9
    config.schedule.name = "constant"
    config.schedule.warmup_steps = 0
    config.ema_decay = 0.0
    config.model.transform, config.model.masks = "affine", "halves"
    config.model.num_layers, config.model.hidden = 2, (4,)
    config.evaluate.every = config.evaluate.log_every = config.checkpoint.every = 2
    config.evaluate.num_samples = 20
    return config


def validations(workdir: Path) -> dict[int, float]:
    with (workdir / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["validation"]) for row in csv.DictReader(file)}


def steps(workdir: Path) -> list[int]:
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def test_the_best_step_is_kept_when_a_run_goes_on_and_is_replaced_when_it_is_lost(config, tmp_path, capsys):
    workdir = tmp_path / "run"
    first = realnvp_jax.train(config, workdir)
    assert first["step"] == 4  # else the test tests nothing
    config.num_steps = 10
    second = realnvp_jax.train(config, workdir)
    assert (second["step"], second["mean"]) == (4, first["mean"])
    assert steps(workdir) == [4, 8, 10]
    assert "lost_best" not in second
    shutil.rmtree(workdir / "checkpoints" / "4")
    config.num_steps = 12
    capsys.readouterr()
    third = realnvp_jax.train(config, workdir)
    scores = validations(workdir)
    best = max((8, 10, 12), key=scores.__getitem__)
    assert third["step"] == best
    assert third["validation"] == pytest.approx(scores[best], rel=1e-5)
    assert third["lost_best"] == {"step": 4, "validation": pytest.approx(scores[4], rel=1e-5)}
    assert json.loads((workdir / "result.json").read_text()) == third
    printed = capsys.readouterr()
    assert "warning: the checkpoint of the best step 4 is lost" in printed.err
    assert f"step {best} of 12 by validation, the better step 4 is lost" in printed.out.splitlines()[-1]
    realnvp_jax.load(workdir)
    config.num_steps = 11
    assert "num_steps of at least 12" in refusal(realnvp_jax.train, config, workdir)


def test_results_on_other_validation_examples_are_not_compared(config, tmp_path, capsys):
    config.evaluate.num_examples = 2
    first = realnvp_jax.train(config, tmp_path / "run")
    assert first["num_examples"] == 2
    config.evaluate.num_examples = 0
    second = realnvp_jax.train(config, tmp_path / "run")  # of a run that had finished, only evaluations are left
    assert second["num_examples"] > 2
    assert (second["step"], second["num_steps"]) == (first["step"], first["num_steps"])
    whole = realnvp_jax.train(config, tmp_path / "whole")
    assert (second["mean"], second["validation"]) == (whole["mean"], pytest.approx(whole["validation"], rel=1e-6))
    assert f"the best step {first['step']} is evaluated again" in capsys.readouterr().err
    assert realnvp_jax.train(config, tmp_path / "run") == second
    assert "evaluated again" not in capsys.readouterr().err
    flow, params = realnvp_jax.load(tmp_path / "run")
    assert realnvp_jax.load(tmp_path / "whole")[0] == flow
    chex.assert_trees_all_equal(params, realnvp_jax.load(tmp_path / "whole")[1])


def test_a_new_evaluation_that_was_interrupted_is_made_up_for(config, tmp_path, monkeypatch):
    config.evaluate.num_examples = 2
    realnvp_jax.train(config, tmp_path / "run")
    config.evaluate.num_examples = 0
    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "test", lambda *arguments: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MemoryError):
            realnvp_jax.train(config, tmp_path / "run")
    assert realnvp_jax.train(config, tmp_path / "run")["num_examples"] > 2


def test_a_run_that_patience_ended_does_not_go_on_for_another_evaluation(config, tmp_path):
    config.num_steps, config.patience = 40, 2
    config.evaluate.num_examples = 2
    first = realnvp_jax.train(config, tmp_path / "run")
    newest = newest_step(tmp_path / "run")
    assert newest < 40  # else the test tests nothing
    config.evaluate.num_examples = 0
    second = realnvp_jax.train(config, tmp_path / "run")
    assert newest_step(tmp_path / "run") == newest
    assert (second["step"], second["num_examples"] > 2) == (first["step"], True)


def test_a_best_step_that_is_infinite_on_other_examples_can_be_beaten(config, tmp_path, monkeypatch):
    config.evaluate.num_examples = 2
    first = realnvp_jax.train(config, tmp_path / "run")
    config.evaluate.num_examples, config.num_steps = 0, 6
    monkeypatch.setattr(Evaluator, "validation_cost", lambda *arguments: float("nan"))
    second = realnvp_jax.train(config, tmp_path / "run")
    assert first["step"] < second["step"] == 6
    assert np.isfinite(second["validation"])


def test_a_missing_evaluation_is_made_up_for_although_the_best_step_is_lost(config, tmp_path, monkeypatch, capsys):
    config.num_steps = 10
    restore = interrupt_evaluation(monkeypatch, 8)
    with pytest.raises(MemoryError):
        realnvp_jax.train(config, tmp_path / "run")
    restore()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "4")
    realnvp_jax.train(config, tmp_path / "run")
    assert list(validations(tmp_path / "run")) == [0, 2, 4, 6, 8, 10]
    assert "step 8 of 10: train" in capsys.readouterr().out


def test_a_picture_that_cannot_be_drawn_is_a_warning(config, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"

    def fail(*_):
        raise RuntimeError("no\npaint")

    def is_written_already(*_):
        assert read_result(workdir / "result.json")
        assert (workdir / "run.json").is_file()

    monkeypatch.setattr(vectors, "save_points", fail)
    monkeypatch.setattr(curves, "save_curves", is_written_already)
    workdir.mkdir()
    (workdir / "tensorboard").write_text("not a directory")
    config.num_steps = 2
    result = realnvp_jax.train(config, workdir)
    assert read_result(workdir / "result.json") == result
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("test: ")
    assert "samples: " not in printed.out
    assert f"curves: {workdir / 'curves.png'}" in printed.out
    warnings = printed.err.splitlines()
    assert f"warning: {workdir / 'samples.png'} was not written (RuntimeError: no paint)" in warnings
    assert sum(line.startswith(f"warning: {workdir / 'tensorboard'} was not written (") for line in warnings) == 1
    # a result cut in half is computed again
    whole = (workdir / "result.json").read_text()
    (workdir / "result.json").write_text(whole[: len(whole) // 2])
    realnvp_jax.train(config, workdir)
    assert (workdir / "result.json").read_text() == whole
    assert "result.json is damaged: the run is evaluated again" in capsys.readouterr().err


def test_parameters_that_are_not_finite_are_not_saved(config, tmp_path):
    @realnvp_jax.register("optimizer", "infinite_of_a_test")
    @dataclasses.dataclass(frozen=True)
    class Infinite(realnvp_jax.Optimizer):
        def transformation(self, schedule):
            return optax.scale(float("inf"))

    config.optimizer.name = "infinite_of_a_test"
    config.checkpoint.every = config.evaluate.log_every = 1
    with pytest.raises(
        NonFiniteLossError, match=r"update norm nan at step 1: .*\(the last good checkpoint is step 0 in "
    ) as caught:
        realnvp_jax.train(config, tmp_path / "run")
    assert "in a new --workdir, try a lower learning_rate" in str(caught.value)


def test_a_loss_that_is_not_finite_is_explained_and_the_advice_works(config, tmp_path):
    config.checkpoint.every = config.evaluate.log_every = 1
    config.model.num_layers = 1
    config.learning_rate = 1e4
    config.num_steps = 50
    with pytest.raises(NonFiniteLossError) as caught:
        realnvp_jax.train(config, tmp_path / "run")
    message = str(caught.value)
    assert re.search(
        r"the examples of its batch are finite, .*: in a new --workdir, try|have no finite density", message
    )
    assert "the last good checkpoint is step" in message
    config.learning_rate = 1e-3  # the advice works
    assert np.isfinite(realnvp_jax.train(config, tmp_path / "new")["mean"])


@pytest.fixture
def with_an_outlier(config):
    """The third batch has a row without a finite density."""
    rows = np.random.default_rng(0).standard_normal((100, 3))
    np.savetxt(config.dataset.path, rows, delimiter=",", header=",".join(NAMES), comments="", fmt="%.6f")
    train = setup.load_data(config, None).train.x
    in_third = train[batch_indices(config.seed, 2, config.batch_size, len(train))[0]]
    rows[np.abs(rows - in_third).sum(axis=1).argmin(), 0] = 3e30
    np.savetxt(config.dataset.path, rows, delimiter=",", header=",".join(NAMES), comments="")
    config.init_examples = config.batch_size
    return config


def test_updates_that_are_not_finite_stop_a_run_or_are_skipped_and_counted(with_an_outlier, tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(NonFiniteLossError, match=r"at step 3: .*step 2 in .*, whose folder diverged has"):
        realnvp_jax.train(with_an_outlier, workdir)
    written = np.load(workdir / "diverged" / "step_00000003.npz")
    assert written["batch/x"].max() > 1e30
    assert any(name.startswith("params/") for name in written.files)
    with_an_outlier.on_nonfinite = "skip"
    assert np.isfinite(realnvp_jax.train(with_an_outlier, workdir)["mean"])
    with (workdir / "metrics.csv").open() as file:
        assert [row["skipped"] for row in csv.DictReader(file)] == ["", "", "1"]


def test_a_run_goes_back_and_passes_over_the_batch_that_is_not_finite(with_an_outlier, tmp_path, capsys):
    with_an_outlier.on_nonfinite = "rewind"
    assert np.isfinite(realnvp_jax.train(with_an_outlier, tmp_path / "run")["mean"])
    assert "at step 3: " in capsys.readouterr().err
    checkpoints = Checkpoints(tmp_path / "run", read_only=True)
    assert {step: checkpoints.meta(step)["passed_over"] for step in checkpoints.steps()} == {2: 0, 4: 1}
    checkpoints.close()
    with_an_outlier.num_steps = 6  # resumed, it goes on behind the same batch
    realnvp_jax.train(with_an_outlier, tmp_path / "run")
    with_an_outlier.num_steps = 4
    with_an_outlier.batch_size = 80  # the outlier is in every batch
    with pytest.raises(NonFiniteLossError, match=r"at step 1: .*the last good checkpoint is step 0 "):
        realnvp_jax.train(with_an_outlier, tmp_path / "hopeless")


def test_a_run_stops_when_its_time_is_up(config, tmp_path):
    config.max_hours = 1e-9
    with pytest.raises(InterruptedRunError, match="stopped before the first step") as caught:
        realnvp_jax.train(config, tmp_path / "run")
    assert caught.value.exit_code == 75
    config.max_hours = 10.0
    assert np.isfinite(realnvp_jax.train(config, tmp_path / "run")["mean"])


def test_training_ends_when_patience_does(config, tmp_path, capsys):
    config.update(num_steps=20, patience=3, learning_rate=0.0, ema_decay=0.0)
    config.evaluate.every = 2
    result = realnvp_jax.train(config, tmp_path / "run")
    printed = capsys.readouterr()
    assert result["step"] == 0, "equal results are no better ones"
    assert "no better validation result in 3 evaluations: training ends at step 6\n" in printed.out
    assert "none of 3 evaluations had a better validation result than the flow before the first update" in printed.err
    assert newest_step(tmp_path / "run") == 6
    (tmp_path / "run" / "result.json").unlink()  # as if the run had been killed before its test
    assert realnvp_jax.train(config, tmp_path / "run") == result
    assert newest_step(tmp_path / "run") == 6
    config.patience = 2
    assert realnvp_jax.train(config, tmp_path / "run") == result
    assert "holds this finished run" in capsys.readouterr().out
    config.patience = 0
    assert realnvp_jax.train(config, tmp_path / "run").keys() == result.keys() - {"patience"}
    assert newest_step(tmp_path / "run") == 20


def test_a_first_evaluation_that_was_the_best_is_a_warning(capsys):
    warn_of_overfitting(Best(100, -1.0, waited=3), 100)
    assert "none of 3 evaluations had a better validation result than the first one" in capsys.readouterr().err
    warn_of_overfitting(Best(200, -1.0, waited=3), 100)
    warn_of_overfitting(Best(100, -1.0, waited=2), 100)
    assert not capsys.readouterr().err


def test_evaluations_count_from_the_best_one():
    best = Best().after(10, 2.0)
    assert [best.waited, best.after(20, 2.0).waited, best.after(20, 2.5).after(30, 3.0).waited] == [0, 1, 2]
    assert best.after(20, 2.5).after(30, 1.0).waited == 0


def test_at_most_two_dispatches_are_unfinished():
    class Score:
        is_ready = False

        def block_until_ready(self):
            self.is_ready = True
            return self

    pending, scores = PendingMetrics(0, 1, optax.constant_schedule(0.0)), [Score() for _ in range(5)]
    for i, score in enumerate(scores):
        pending.add({"score": score}, 1)
        assert [score.is_ready for score in scores] == [j < i - 1 for j in range(5)]


def test_a_path_that_checkpoints_cannot_be_read_from_is_refused(config, tmp_path):
    assert "choose another" in refusal(realnvp_jax.train, config, tmp_path / "lr=[1e-3]")
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.csv"]


def test_one_test_image_and_a_result_that_is_worse_than_uniform(tmp_path, capsys):
    config = smoke.get_config()
    config.num_steps, config.learning_rate, config.ema_decay = 1, 0.0, 0.0
    config.model.num_scales, config.model.base_features = 1, 2
    config.evaluate.num_examples = 1
    config.schedule.warmup_steps = 0
    result = realnvp_jax.train(config, tmp_path / "run")
    assert result["standard_error"] is None
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
    printed = capsys.readouterr()
    assert f"test: {result['mean']:.3f} bits/dim (1 examples, " in printed.out
    assert "worse than that of a uniform density, 4.087 bits/dim" in printed.err


def test_a_test_result_of_many_importance_samples(tmp_path, capsys):
    config = smoke.get_config()
    config.num_steps, config.batch_size = 1, 8
    config.model.num_scales, config.model.base_features = 1, 2
    config.evaluate.num_examples, config.evaluate.num_samples = 8, 4
    plain = realnvp_jax.train(config, tmp_path / "run")
    assert "num_importance_samples" not in plain
    config.evaluate.num_importance_samples = 16
    bound = realnvp_jax.train(config, tmp_path / "run")  # the finished run is evaluated again
    assert bound["num_importance_samples"] == 16
    assert bound["mean"] < plain["mean"]
    assert ", 16 importance samples)" in capsys.readouterr().out.splitlines()[-1]
    flow, params = realnvp_jax.load(tmp_path / "run")
    images = setup.load_data(config, flow).test.first(8).x
    expected = flow.bits_per_dim(params, jax.random.key(0), images, num_samples=16).mean()
    assert bound["mean"] == pytest.approx(float(expected), rel=1e-5)
    printed = realnvp("evaluate", "-w", tmp_path / "run")
    assert f"test: {bound['mean']:.3f} +- {bound['standard_error']:.3f}" in printed
    assert "examples, 16 samples)" in printed
    assert "samples)" not in realnvp("evaluate", "-w", tmp_path / "run", "--split", "validation")


def test_a_start_that_fails_half_way_releases_what_it_opened(config, tmp_path, monkeypatch):
    from realnvp_jax.runs import trainer

    opened = []

    class Log(trainer.MetricsLog):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            opened.append(self)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trainer, "MetricsLog", Log)
    monkeypatch.setattr(trainer, "note_start", fail)
    with pytest.raises(OSError, match="No space"):
        realnvp_jax.train(config, tmp_path / "run")
    assert opened[0]._file.closed
    monkeypatch.undo()
    assert np.isfinite(realnvp_jax.train(config, tmp_path / "run")["mean"])


def test_old_pictures_are_removed(tmp_path):
    for step in range(60):
        (tmp_path / f"step_{step:08d}.png").write_bytes(b"")
    (tmp_path / "mine.png").write_bytes(b"")
    pictures.remove_old(tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["mine.png", *(f"step_{step:08d}.png" for step in range(10, 60))]


@pytest.mark.parametrize("other", ["validation", "test"])
def test_training_examples_in_another_split_are_refused(config, tmp_path, other):
    config.dataset[other] = "all[70%:90%]"
    message = refusal(realnvp_jax.train, config, tmp_path / "run")
    assert f"expected dataset.train and dataset.{other} without common examples" in message
    assert "got 'all[:80%]' and 'all[70%:90%]', which have 6 in common" in message
    assert not (tmp_path / "run").exists()


def test_validation_examples_in_the_test_split_get_a_warning(config, tmp_path, capsys):
    config.dataset.test = "all[80%:]"
    realnvp_jax.train(config, tmp_path / "run")
    assert "warning: dataset.validation and dataset.test have 6 examples in common" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_under_strict_promotion_goes_on_in_double_precision(tmp_path):
    config = smoke.get_config()
    config.num_steps = config.evaluate.every = config.checkpoint.every = 2
    config.model.base_features = 2
    with jax.numpy_dtype_promotion("strict"):
        assert realnvp_jax.train(config, tmp_path)["step"] == 2
    config.num_steps = 4
    with jax.enable_x64(True):
        assert realnvp_jax.train(config, tmp_path)["step"] == 4
