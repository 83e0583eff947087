"""What one training step lets the parts of training see."""

import dataclasses
from typing import Any

from keras_cdd.annotations import Tensor
from keras_cdd.layers import FeatureRecorder


@dataclasses.dataclass(frozen=True)
class StepRecord:
    """One batch of N images, between its gradients and the update of the weights.

    Attributes:
        number: scalar int64, updates that the optimizer has made before.
        taken: scalar bool; False where a scaled gradient overflowed, so that the optimizer leaves this step out.
        student: `FeatureRecorder` of the student's forward pass.
        teacher: the teacher's, None without a teacher.
        gate_gradients: site -> (N, channels), derivative of the batch's mean loss by a factor of 1 on each channel of
            each image; empty unless a part needs it.
        alive: site -> bool (channels,), False for channels whose indicator kernel is exactly zero.
    """

    number: Tensor
    taken: Tensor
    student: FeatureRecorder
    teacher: Any
    gate_gradients: dict[str, Tensor]
    alive: dict[str, Tensor]
