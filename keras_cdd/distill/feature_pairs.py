"""Selects the pooled convolution outputs of teacher and student that feature distillation compares."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.layers import ChannelIndicator, FeatureRecorder
from keras_cdd.models.gated_units import gated_blocks, units_by_site


class FeaturePairs:
    """Pairs the outputs of each block's last inner convolution, before its indicator (CDD, section 3.2).

    Called with the `FeatureRecorder`s of teacher and student, it returns two lists of (N, C), one pair per block, where
    C is the number of filters that the student still has. Filters whose indicator row, or factor, is zero are 0 on both
    sides.

    Args:
        student: model of gated blocks, with or without indicators.

    Attributes:
        names: names of the sites.
    """

    def __init__(self, student: keras.Model) -> None:
        self._units = {block.site(block.inner[-1]): block.inner[-1] for block in gated_blocks(student)}
        self.names = list(self._units)

    def check(self, teacher: keras.Model) -> None:
        """Raises ValueError if the teacher lacks a block of the student."""
        missing = self._units.keys() - units_by_site(teacher).keys()
        if missing:
            raise ValueError(f"The teacher must have the student's blocks. Received: none for {sorted(missing)}")

    def __call__(
        self, teacher: FeatureRecorder, student: FeatureRecorder, gone: Mapping[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`gone` is for `SitePairs`; here, indicators tell what has left."""
        taught, learnt = [], []
        for site, unit in self._units.items():
            theirs, ours = teacher.convolution[site], student.convolution[site]
            if unit.indicator is not None:
                alive_filters = alive_inputs if isinstance(unit.indicator, ChannelIndicator) else alive_outputs
                alive = tf.cast(alive_filters(unit.indicator.kernel), tf.float32)
                theirs = tf.gather(theirs, unit.indicator.input_channels, axis=-1) * alive
                ours = ours * alive
            taught.append(theirs)
            learnt.append(ours)
        return taught, learnt


def alive_inputs(kernel: Tensor) -> Tensor:
    """Bool (inputs,): True for rows of an indicator kernel (1, 1, inputs, outputs) that are not exactly zero."""
    return tf.reduce_any(tf.convert_to_tensor(kernel)[0, 0] != 0, axis=1)


def alive_outputs(kernel: Tensor) -> Tensor:
    """Bool (outputs,): True for columns of such a kernel that are not exactly zero."""
    return tf.reduce_any(tf.convert_to_tensor(kernel)[0, 0] != 0, axis=0)
