"""The result: bounds with several dequantizations, against a baseline and against result.json."""

import itertools
import math
from typing import Any

import numpy as np
from scipy.stats import multivariate_normal

from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Section, Table
from realnvp_jax.analysis.run import Run
from realnvp_jax.analysis.split_evaluation import NOTABLE_DIFFERENCE, Evaluation, evaluate
from realnvp_jax.analysis.verdicts import Check, at_least, at_most, does_not_apply
from realnvp_jax.data.vectors.discrete import mass_bound
from realnvp_jax.runs.result import read_result

_BOUNDS = (1, 16, 64)  # dequantizations of each image
_LARGEST_MODE_GAP = 0.2
_ROUNDING = 1e-3  # of a mean that is printed with three decimals
_ERRORS = 4  # standard errors by which the means of a random part and of the whole may differ
_SLACK = 3  # standard errors

_FINISHED = "The training is finished"
_REPRODUCED = "Agrees with result.json"
_MODES = "Training and evaluation mode agree"
_TIGHTER = "More dequantizations tighten the bound"


def result_section(material: Material) -> Section:
    """The scores of the test split and of the training split."""
    run, discrete = material.run, material.run.flow.levels is not None
    evaluations = [evaluate(run, "test", num_samples=k, num=material.num) for k in (_BOUNDS if discrete else (1,))]
    training = evaluate(run, "train", num=material.num)
    path = run.workdir / "result.json"
    result = read_result(path) if path.is_file() else None
    rows = [
        _row(f"test, K = {evaluation.num_samples}" if discrete else "test", evaluation) for evaluation in evaluations
    ]
    rows.append(_row("training, K = 1" if discrete else "training", training))
    checks = [
        _is_finished(material, result),
        _against_baseline(material, evaluations[0]),
        _reproduced(material, evaluations, result),
        _tightening(evaluations),
        _modes(evaluations[0]),
    ]
    grids = run.grids()
    if discrete:
        text = (
            f"Bits per dimension of the first {material.num:,} test images; smaller is better. K is the number of "
            "dequantizations that the bound on the likelihood averages over, 1 in published numbers."
        )
    else:
        text = f"Log-density in nats of the first {material.num:,} test examples; larger is better."
    if grids:
        bound = mass_bound(evaluations[0].mean, grids)
        text += (
            f" Noise was added to {len(grids)} discrete column(s); using the probability of their values instead of a "
            f"density, the result is at least {bound:.3f} nats."
        )
    unit = evaluations[0].unit
    return Section("Result", text, checks, [Table(("examples", unit, "standard error", "number"), rows)])


def _row(name: str, evaluation: Evaluation) -> tuple[str, ...]:
    error = evaluation.standard_error
    return (
        name,
        f"{evaluation.mean:.3f}",
        "unknown" if error is None else f"{error:.3f}",
        f"{len(evaluation.scores):,}",
    )


def _is_finished(material: Material, result: dict[str, Any] | None) -> Check:
    run = material.run
    is_finished = result is not None and _is_of(result, run)
    if result is None:
        sentence = "The run has no result.json: its numbers will change while it is trained."
    elif is_finished:
        sentence = "The parameters are those that the run chose by validation, as in its result."
    else:
        sentence = f"These parameters are not those of the run's result, which are {_parameters(result)}."
    value = f"step {run.step:,} of {run.config.num_steps:,}"
    verdict = "green" if is_finished else "amber"
    return Check(_FINISHED, value, "a result.json of these parameters", verdict, sentence, run.step, unit="steps")


def _is_of(result: dict[str, Any], run: Run) -> bool:
    """Whether a result was computed with the parameters of an opened run."""
    return result["step"] == run.step and result["ema"] == run.ema


def _parameters(result: dict[str, Any]) -> str:
    return f"those of step {result['step']:,}, {'averaged' if result['ema'] else 'not averaged'}"


def _against_baseline(material: Material, evaluation: Evaluation) -> Check:
    name = "Better than a baseline"
    levels = material.run.flow.levels
    if levels is not None:
        uniform = math.log2(levels)
        sentence = f"A density that finds all images equally likely needs {uniform:.3f} bits/dim."
        return at_most(name, evaluation.mean, uniform, uniform, sentence, "bits/dim")
    train = material.train.x.astype(np.float64)
    covariance: Any = np.atleast_2d(np.cov(train, rowvar=False))
    normal = multivariate_normal(train.mean(axis=0), covariance, allow_singular=True)
    advantage = evaluation.mean - float(np.mean(normal.logpdf(material.test.x.astype(np.float64))))
    sentence = (
        "The advantage in mean log-density over a normal distribution with the mean and covariance of the training "
        "data."
    )
    return at_least(name, advantage, 0.0, 0.0, sentence, "nats")


def _reproduced(material: Material, evaluations: list[Evaluation], result: dict[str, Any] | None) -> Check:
    if result is None:
        return does_not_apply(_REPRODUCED, "The run has no result.json yet.")
    num_samples = result.get("num_importance_samples", 1)
    if not _is_of(result, material.run):
        return does_not_apply(_REPRODUCED, f"The result is that of other parameters, {_parameters(result)}.")
    same = [evaluation for evaluation in evaluations if evaluation.num_samples == num_samples]
    if not same:
        return does_not_apply(_REPRODUCED, f"The result is a bound with {num_samples} dequantizations.")
    (evaluation,) = same
    difference = abs(evaluation.mean - result["mean"])
    if len(evaluation.scores) >= result["num_examples"]:
        same_mean = "The same examples should give the same mean as at the end of the training."
        return at_most(_REPRODUCED, difference, _ROUNDING, _ROUNDING, same_mean, evaluation.unit)
    if evaluation.standard_error is None:
        return does_not_apply(_REPRODUCED, "A single example has no standard error to compare with.")
    sentence = (
        f"The mean of the first {len(evaluation.scores):,} of {result['num_examples']:,} test examples should be "
        f"within {_ERRORS} standard errors of that of all. If the first ones are not typical, it can differ by more "
        "without a fault; a report on all of them compares the numbers exactly."
    )
    return at_most(_REPRODUCED, difference, _ERRORS * evaluation.standard_error, math.inf, sentence, evaluation.unit)


def _tightening(evaluations: list[Evaluation]) -> Check:
    if len(evaluations) == 1:
        return does_not_apply(_TIGHTER, "The data are continuous, so that their density is exact.")
    if len(evaluations[0].scores) < 2:
        return does_not_apply(_TIGHTER, "A single example has no standard error to compare with.")
    rises = []
    for fewer, more in itertools.pairwise(evaluations):
        differences = more.scores.astype(np.float64) - fewer.scores
        error = differences.std(ddof=1) / math.sqrt(len(differences))
        rises.append(differences.mean() / max(error, 1e-12))
    sentence = (
        "In expectation the bound falls with K, whatever the density: a rise means that the scores are no bounds. "
        "The value is the largest rise from one K to the next, in its standard error."
    )
    return at_most(_TIGHTER, max(rises), _SLACK, _SLACK, sentence, "standard errors")


def _modes(evaluation: Evaluation) -> Check:
    if evaluation.train_mode is None:
        return does_not_apply(_MODES, "The flow has no batch norm, so that both modes are the same.")
    gap = abs(evaluation.train_mode - evaluation.mean)
    sentence = (
        f"Under the statistics of batches, as in training, the score is {evaluation.train_mode:.3f} {evaluation.unit}: "
        "a large difference means that the running statistics of batch norm do not fit."
    )
    return at_most(_MODES, gap, NOTABLE_DIFFERENCE, _LARGEST_MODE_GAP, sentence, evaluation.unit)
