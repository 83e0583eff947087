"""Selects the pooled outputs that feature distillation compares in models of stock layers."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.feature_pairs import alive_inputs, alive_outputs
from keras_cdd.layers import FeatureRecorder
from keras_cdd.losses.distances import safe_norm
from keras_cdd.models.sites import Sites
from keras_cdd.replicas import local

TINY = 1e-6


class SitePairs:
    """Pairs the outputs of a student's and a teacher's sites of the same name and uncut width.

    The outputs are those of the layer that makes the channels, behind its BatchNorm, before its activation and its
    indicator, which is where a gated block compares them too (CDD, section 3.2). Called with the `FeatureRecorder`s of
    teacher and student, it returns two lists of (N, C), one pair per site, where C is the number of channels that the
    student still has. Channels that have left are 0 on both sides.

    Both are divided, image by image, by the length of the teacher's output of all channels: how large the outputs of
    stock networks are differs by orders of magnitude, and in published ones they would outweigh all other losses.

    Args:
        student, teacher: `Sites` of both.
        kept_channels: site without an indicator -> indices of the student's channels in the uncut network; indicators
            know theirs. Default: all.

    Attributes:
        names: names of the sites that both have.
    """

    def __init__(
        self, student: Sites, teacher: Sites, kept_channels: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        self.names = shared_names(student, teacher)
        self._sites = student
        self._kept = {name: _kept(student, name, kept_channels or {}) for name in self.names}

    def __call__(
        self, teacher: FeatureRecorder, student: FeatureRecorder, gone: Mapping[str, Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """`gone`: site -> (channels,), 1 for channels without an effect; sites that are not named have none."""
        taught, learnt = [], []
        for name in self.names:
            theirs = tf.cast(teacher.convolution[name], tf.float32)
            factor = self._alive(name, gone) / tf.maximum(safe_norm(theirs), TINY)[:, None]
            taught.append(tf.gather(theirs, self._kept[name], axis=-1) * factor)
            learnt.append(tf.cast(student.convolution[name], tf.float32) * factor)
        return taught, learnt

    def _alive(self, name: str, gone: Mapping[str, Tensor]) -> Tensor:
        site = self._sites[name]
        if site.indicator is not None:
            kernel = self._sites.variables[site.indicator]
            return tf.cast(alive_inputs(kernel) if site.input_slots else alive_outputs(kernel), tf.float32)
        return 1.0 - tf.convert_to_tensor(local(gone[name])) if name in gone else tf.constant(1.0)


def _kept(student: Sites, name: str, known: Mapping[str, Sequence[int]]) -> list[int]:
    indicator = student.indicator(name)
    if indicator is None:
        return list(known.get(name, range(student[name].channels)))
    return list(indicator.input_channels if student[name].input_slots else indicator.output_channels)


def shared_names(student: Sites, teacher: Sites) -> list[str]:
    """Names of the sites that both have with the same uncut width."""
    return [name for name, site in student.items() if name in teacher and teacher[name].channels == site.full_channels]
