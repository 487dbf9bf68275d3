"""What the sections of a report are made from: a run, some of its examples, and samples."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np

from realnvp_jax.analysis.round_trip import Reconstruction, reconstruct
from realnvp_jax.analysis.run import Run
from realnvp_jax.analysis.sampling import sample_in_batches
from realnvp_jax.analysis.tables import rounded
from realnvp_jax.data.examples import Examples
from realnvp_jax.training.augmentation import random_crop
from realnvp_jax.training.evaluation import evaluation_key

IMAGES, VECTORS = 200, 10_000  # examples that a report uses by default
_REFERENCE = 2000  # training examples that scores refer to
_SAMPLES, _SLOW_SAMPLES, _POINTS = 64, 36, 5000
_PIXELS = 200_000  # in a grid of images
_CROPPED = 1000  # images that are on the device at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Material:
    """A run and what a report needs of it; samples and round trips are made once, when they are asked for.

    Attributes:
      run: the run.
      num: number of test examples, from the start of the split, that the measurements use.
      test: these examples, at the model's size.
      train: all training examples, at the model's size.
    """

    run: Run
    num: int
    test: Examples
    train: Examples

    @property
    def of_images(self) -> bool:
        """Whether the flow is one of images."""
        return len(self.run.flow.event_shape) == 3

    @property
    def samples_slowly(self) -> bool:
        """Whether a sample takes one step of a loop per pixel, as with a PixelCNN."""
        bijection = self.run.flow.bijection
        return self.of_images and bijection.with_progress() != bijection

    @functools.cached_property
    def round_trip(self) -> Reconstruction:
        """Round trips of `test`, or of fewer examples if the inverse is slow."""
        examples = self.test.first(_SAMPLES) if self.samples_slowly else self.test
        return reconstruct(self.run.flow, self.run.params, examples, batch_size=self.run.config.evaluate.batch_size)

    @property
    def num_samples(self) -> int:
        """Number of samples that are drawn at one temperature."""
        if not self.of_images:
            return min(self.num, _POINTS)
        height, width, _ = self.run.flow.event_shape
        return max(4, min(_SLOW_SAMPLES if self.samples_slowly else _SAMPLES, _PIXELS // (height * width)))

    @functools.cached_property
    def samples(self) -> np.ndarray:
        """Samples at temperature 1, [num_samples, *event], in the data's units."""
        return self.sample(self.num_samples, 1.0)

    def sample(self, num: int, temperature: float) -> np.ndarray:
        """Samples; number i has the context of test example i, if the flow is conditional."""
        batches = sample_in_batches(
            self.run.flow,
            self.run.params,
            num,
            temperature=temperature,
            context=self.test.context,
            batch_size=self.run.config.evaluate.batch_size,
        )
        samples = np.concatenate(list(batches))
        return samples if self.of_images else rounded(self.run, samples)

    @functools.cached_property
    def reference(self) -> Examples:
        """Random training examples, always the same, that scores refer to."""
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.train))[:_REFERENCE])
        context = self.train.context
        return Examples(self.train.x[chosen], None if context is None else context[chosen])

    def values(self, examples: Examples) -> np.ndarray:
        """The values of examples as the files have them, [n, *event]: discrete columns without their noise."""
        return examples.x if self.of_images else rounded(self.run, examples.x)


def gather(run: Run, num: int | None) -> Material:
    """The material of a report on a run.

    Args:
      run: the run.
      num: number of test examples; None for 200 images or 10,000 vectors.

    Raises:
      ValueError: the data no longer exist, or have changed.
    """
    num = num or (IMAGES if len(run.flow.event_shape) == 3 else VECTORS)
    test = _at_the_models_size(run, run.split("test").first(num))
    return Material(run, len(test), test, _at_the_models_size(run, run.split("train")))


def _at_the_models_size(run: Run, examples: Examples) -> Examples:
    """Examples, cut at random to the model's size, as in evaluation, if they are larger."""
    if examples.x.shape[1:] == run.flow.event_shape:
        return examples
    crops = np.empty((len(examples), *run.flow.event_shape), examples.x.dtype)
    for start in range(0, len(examples), _CROPPED):
        x = examples.x[start : start + _CROPPED]
        numbers = jnp.arange(start, start + len(x))
        crops[start : start + len(x)] = random_crop(evaluation_key(), numbers, jnp.asarray(x), run.flow.event_shape)
    return Examples(crops, examples.context)
