"""How unusual data are under a trained flow: scores for finding anomalies and out-of-distribution data.

What likelihood cannot do: it does not tell by itself whether data come from the distribution of the training data.
Flows trained on CIFAR-10 give a higher likelihood to the images of SVHN than to those of CIFAR-10 (Nalisnick et al.,
2019, "Do deep generative models know what they don't know?"), and smooth or simple images, a uniform grey among them,
are often more likely than every training image. A density says how much probability there is around a point, not
whether the training data have such points, and it changes with the units of the data. Two further scores correct for
this: one by the complexity of the image, the other by the distance from typical values. Neither is reliable on every
pair of data sets: measure them with `aurocs` on data for which the answer is known.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from realnvp_jax.analysis.read import framing_of
from realnvp_jax.analysis.run import Run
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.images.baselines import file_bits
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.random import root_key
from realnvp_jax.training.augmentation import random_crop
from realnvp_jax.training.evaluation import evaluate, evaluation_key
from realnvp_jax.training.parallel import parallel_eval_step, replicate


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Scores of n examples x_i under a flow, relative to a reference r, a set of training examples.

    Attributes:
      log_prob: log p(x_i) in nats; for images, of the dequantized pixels: -bits/dim * D * log 2. Smaller means more
        anomalous, as far as likelihood tells.
      percentile: percent of the reference with a smaller log_prob: 0 is less likely than all of it, 100 more likely.
        Smaller means more anomalous; near 100 is suspicious as well (see the module).
      typicality: |mean over r of -log p(r) - (-log p(x_i))|, in nats per dimension for images, in nats for vectors:
        the distance of -log p from its mean, an estimate of the entropy. Larger means more anomalous. Nalisnick et al.
        (2019), "Detecting out-of-distribution inputs to deep generative models using typicality", for single examples.
      bits_per_dim: bits/dim of images; None for vectors. Larger means more anomalous, as far as likelihood tells.
      complexity_corrected: bits/dim of an image minus those of its losslessly compressed file, the smaller of PNG and
        WebP; None unless images have one or three channels. Larger means more anomalous. Serra et al. (2020), "Input
        complexity and out-of-distribution detection with likelihood-based generative models".
    """

    log_prob: Float[np.ndarray, " n"]
    percentile: Float[np.ndarray, " n"]
    typicality: Float[np.ndarray, " n"]
    bits_per_dim: Float[np.ndarray, " n"] | None = None
    complexity_corrected: Float[np.ndarray, " n"] | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """The scores that are not None, by name, always in the same order."""
        order = ("log_prob", "bits_per_dim", "percentile", "complexity_corrected", "typicality")
        return {name: getattr(self, name) for name in order if getattr(self, name) is not None}

    def without(self, rows: Integer[np.ndarray, " m"]) -> "Scores":
        """The scores of all other examples."""
        return Scores(**{name: np.delete(values, rows) for name, values in self.columns().items()})


def score_examples(
    run: Run, examples: Examples, reference: Examples, *, seed: int | None = None, batch_size: int | None = None
) -> Scores:
    """Score examples under a run's flow, each by itself, in evaluation mode.

    The noise on an image, and its crop if the run draws crops, depend only on the seed and the image's number.
    For `complexity_corrected` images are compressed at the highest effort, which takes a few milliseconds per image.

    Args:
      run: the run.
      examples: the examples to score, in the model's shape, or in the shape of the run's data if it draws crops.
      reference: training examples; a few thousand are enough.
      seed: seed of the noise and the crops; None for the seed that `evaluate` uses.
      batch_size: examples at a time; None for the run's `evaluate.batch_size`. It does not change the scores.

    Raises:
      TypeError: images do not hold integers, or vectors do.
      ValueError: there are no examples or no reference, shapes or levels do not fit the flow, batch_size is less
        than 1, or some densities of the reference are not finite.
    """
    flow = run.flow
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"expected a batch size of at least 1; got {batch_size}")
    for what, some in (("examples to score", examples), ("reference examples", reference)):
        _check(run, some, what)
    size = run.config.evaluate.batch_size if batch_size is None else batch_size
    key = evaluation_key() if seed is None else root_key(seed)
    params = replicate(run.params)
    step = parallel_eval_step(flow)
    scores, of_reference = (
        evaluate(step, params, some, size, key, progress=True).astype(np.float64) for some in (examples, reference)
    )
    if not np.isfinite(of_reference).all():
        count = int((~np.isfinite(of_reference)).sum())
        raise ValueError(f"expected finite densities of the reference; got {count} of {len(reference)} that are not")
    nats = 1.0 if flow.levels is None else np.log(2)  # for one unit of a score
    typicality = np.abs(of_reference.mean() - scores) * nats
    if flow.levels is None:
        return Scores(scores, _percentile(scores, of_reference), typicality)
    corrected = None
    if flow.event_shape[2] in (1, 3):
        images = examples.x
        if images.shape[1:] != flow.event_shape:  # the crops that were evaluated
            images = np.asarray(random_crop(key, jnp.arange(len(images)), jnp.asarray(images), flow.event_shape))
        images = images.astype(np.uint8)
        corrected = scores - np.minimum(file_bits(images, "PNG"), file_bits(images, "WebP"))
    log_prob = -scores * flow.num_dims * nats
    return Scores(log_prob, _percentile(-scores, -of_reference), typicality, scores, corrected)


def _check(run: Run, examples: Examples, what: str) -> None:
    flow, shape = run.flow, examples.x.shape[1:]
    if len(examples) == 0:
        raise ValueError(f"expected {what}; got none")
    before_crops = framing_of(run).framed_shape if len(flow.event_shape) == 3 else None
    if shape not in (flow.event_shape, before_crops):
        raise ValueError(f"expected {what} of shape {flow.event_shape}; got {shape}")
    if flow.levels is not None:
        check_pixels(examples.x, flow.levels)
    elif not np.issubdtype(examples.x.dtype, np.floating):
        raise TypeError(f"expected {what} of floating-point values; got {examples.x.dtype}")


def _percentile(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Percent of the reference that is smaller; NaN for NaN."""
    smaller = np.searchsorted(np.sort(reference), values, side="left")
    return np.where(np.isnan(values), np.nan, 100 * smaller / len(reference))


def aurocs(inside: Scores, outside: Scores) -> dict[str, float]:
    """How well each score separates out-of-distribution data from data like the training data.

    The area under the ROC curve: the probability that a score rates an example of `outside` as more anomalous than one
    of `inside`, ties counting half. 1 is perfect, 0.5 is chance; below 0.5 the score rates data from outside as *more*
    normal than data from inside, as likelihood often does (see the module docstring).

    Args:
      inside: scores of data like the training data that were not trained on, such as the test split.
      outside: scores of other data.

    Returns:
      "likelihood" (-log_prob; bits/dim and percentile order examples alike), "input complexity" (if both have it), and
      "typicality".

    Raises:
      ValueError: there are no scores, or some of them are NaN.
    """
    from sklearn.metrics import roc_auc_score

    anomalies = {"likelihood": (-inside.log_prob, -outside.log_prob)}
    if inside.complexity_corrected is not None and outside.complexity_corrected is not None:
        anomalies["input complexity"] = (inside.complexity_corrected, outside.complexity_corrected)
    anomalies["typicality"] = (inside.typicality, outside.typicality)
    areas = {}
    for name, parts in anomalies.items():
        for what, values in zip(("inside", "outside"), parts, strict=True):
            if len(values) == 0 or np.isnan(values).any():
                got = f"{int(np.isnan(values).sum())} that are NaN" if len(values) else "none"
                raise ValueError(f"expected scores of the data {what} that are numbers; got {got} of {len(values)}")
        ranks = np.unique(np.concatenate(parts), return_inverse=True)[1]  # also ranks infinite scores
        is_outside = np.repeat([0, 1], [len(part) for part in parts])
        areas[name] = float(roc_auc_score(is_outside, ranks))
    return areas
