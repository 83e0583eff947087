"""What a training step reads of its teacher, as one row of numbers for every image."""

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.layers import FeatureRecorder

OUTPUTS = ("logits", "embedding")


class TeacherRows:
    """Packs logits, embedding and pooled outputs of a frozen teacher into float16 rows, and unpacks them.

    All losses and the gradient reset read means over positions of feature maps, so that no map has to be kept.

    Args:
        teaching: function of images (N, H, W, 3) and `training` that computes the teacher's outputs and tells the
            active `FeatureRecorder` about its sites.
        image_size: (height, width) in pixels.
        sites: names of the sites whose pooled convolution outputs are read.

    Attributes:
        parts: list of (name, length), the content of a row in order; sites are called `site:<name>`.
        width: length of a row.
    """

    def __init__(self, teaching: Any, image_size: tuple[int, int], sites: Iterable[str]) -> None:
        self._teaching = teaching
        self._sites = list(sites)
        spec = tf.TensorSpec([None, *image_size, 3])
        self._compute = tf.function(self._values, autograph=False).get_concrete_function(spec)
        self.parts = [(name, int(value.shape[-1])) for name, value in self._compute.structured_outputs.items()]
        self.width = sum(length for _, length in self.parts)

    def packed(self, images: Tensor) -> Any:
        """float16 (N, width), of pixels (N, H, W, 3) in 0..255."""
        values = self._compute(images)
        return tf.concat([tf.saturate_cast(values[name], tf.float16) for name, _ in self.parts], axis=-1).numpy()

    def unpacked(self, rows: Tensor) -> tuple[dict[str, Tensor], FeatureRecorder]:
        """The teacher's outputs and its `FeatureRecorder`, float32, from rows (N, width)."""
        split = tf.split(tf.cast(rows, tf.float32), [length for _, length in self.parts], axis=-1)
        values = dict(zip([name for name, _ in self.parts], split, strict=True))
        record = FeatureRecorder()
        record.convolution = {site: values[f"site:{site}"] for site in self._sites}
        return {name: values[name] for name in OUTPUTS if name in values}, record

    def _values(self, images: Tensor) -> dict[str, Tensor]:
        with FeatureRecorder() as record:
            outputs = self._teaching(images, training=False)
        values = {name: outputs[name] for name in OUTPUTS if name in outputs}
        return values | {f"site:{site}": record.convolution[site] for site in self._sites}
