"""Data sets that TFDS has prepared."""

import io

import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.data.images.framed import load_images
from tests.helpers import images_of


def test_prepared_tfds_data_are_read(tmp_path):
    import tensorflow_datasets as tfds
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)

    def encoded(image):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG")
        return {"image": buffer.getvalue()}

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(5, 4, 3))})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(images[:4]), "test": self._generate_examples(images[4:])}

        def _generate_examples(self, part):
            yield from enumerate(map(encoded, part))

    Tiny(data_dir=str(tmp_path), file_format="array_record").download_and_prepare()
    flow = realnvp_jax.image_flow((5, 4, 3), num_scales=1)
    data = images_of("tiny", data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    splits = load_images(data, {"train": "train[:2]", "validation": "train[2:]", "test": "test"}, flow)
    found = np.concatenate([part.x for part in (splits.train, splits.validation, splits.test)])
    np.testing.assert_array_equal(np.sort(found.reshape(6, -1), 0), np.sort(images.reshape(6, -1), 0))
    with pytest.raises(
        ValueError, match=r"expected one of the splits \['test', 'train'\] of 'tiny/1.0.0'; got 'validation'"
    ):
        load_images(data, {"train": "validation"}, flow)
