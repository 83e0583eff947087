"""Selects the pooled outputs that feature distillation compares in models of stock layers."""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.layers import FeatureRecorder
from keras_cdd.models.sites import Sites


class SitePairs:
    """Pairs the outputs of a student's and a teacher's sites of the same name and uncut width.

    The outputs are those of the layer that makes the channels, behind its BatchNorm, which is where a gated block
    compares them too (CDD, section 3.2). Called with the `FeatureRecorder`s of teacher and student, it returns two
    lists of (N, C), one pair per site, where C is the number of channels that the student still has.

    Args:
        student, teacher: `Sites` of both.
        kept_channels: site -> indices of the student's channels in the uncut network. Default: all.

    Attributes:
        names: names of the sites that both have.
    """

    def __init__(
        self, student: Sites, teacher: Sites, kept_channels: Mapping[str, Sequence[int]] | None = None
    ) -> None:
        self._kept = {name: list(range(site.channels)) for name, site in student.items()} | dict(kept_channels or {})
        self.names = shared_names(student, teacher)

    def __call__(self, teacher: FeatureRecorder, student: FeatureRecorder) -> tuple[list[Tensor], list[Tensor]]:
        taught = [tf.gather(teacher.convolution[name], self._kept[name], axis=-1) for name in self.names]
        return taught, [student.convolution[name] for name in self.names]


def shared_names(student: Sites, teacher: Sites) -> list[str]:
    """Names of the sites that both have with the same uncut width."""
    return [name for name, site in student.items() if name in teacher and teacher[name].channels == site.full_channels]
