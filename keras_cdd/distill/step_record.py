"""The data of one training step that the parts of training can read."""

import dataclasses
from typing import Any

from keras_cdd.annotations import Tensor
from keras_cdd.layers import FeatureRecorder


@dataclasses.dataclass(frozen=True)
class StepRecord:
    """A step with N images on this replica, after its gradients are computed and before the weights are updated.

    Attributes:
        number: scalar int64, number of updates that the optimizer has made before.
        taken: scalar bool; False if a scaled gradient overflowed, so that the optimizer skips the step.
        student: `FeatureRecorder` of the student's forward pass.
        teacher: `FeatureRecorder` of the teacher's forward pass, None without a teacher.
        gate_gradients: site -> (N, channels), derivative of the batch's mean loss with respect to a factor of 1 on each
            channel of each image; empty unless a part needs it.
        images: scalar int32, number of images in the batch: N, or more where other replicas have the rest of it.
        alive: site -> bool (channels,), False for output channels whose indicator column is exactly zero.
        compiled: whether XLA compiles the step; False by default.
    """

    number: Tensor
    taken: Tensor
    student: FeatureRecorder
    teacher: Any
    gate_gradients: dict[str, Tensor]
    images: Tensor
    alive: dict[str, Tensor]
    compiled: bool = False
