"""What training leaves as it is: the backbone in the first epochs, and its BatchNorm statistics."""

import contextlib
from collections.abc import Iterator

import keras

from keras_cdd.errors import UserError
from keras_cdd.layers.embedding_head import HEAD
from keras_cdd.models.graph import all_layers


class Freezing:
    """Tells which weights of a student a step trains, and keeps BatchNorms in inference mode while it computes.

    Layers stay `trainable` outside of a step, so that the optimizer has slots for the same weights from the first step
    to the last one.

    Args:
        student: retrieval model, whose head is the layers with "head" in their paths.
        freeze_bn: BatchNorms of the backbone normalise with their moving statistics and leave them as they are; their
            scales and offsets are trained. False by default.

    Attributes:
        head_only: whether a step trains only the head, on a backbone in inference mode. False at first; a step that is
            traced already does not notice a change.
    """

    def __init__(self, student: keras.Model, freeze_bn: bool = False) -> None:
        self.head_only = False
        self._student = student
        self._freeze_bn = freeze_bn
        self._norms = [layer for layer in all_layers(student) if _is_norm(layer) and HEAD not in layer.path]

    def trained(self) -> list[keras.Variable]:
        """The weights to train.

        Raises:
            UserError: if only a head is to be trained and the student has none.
        """
        variables = self._student.trainable_variables
        if not self.head_only:
            return variables
        if not (head := [variable for variable in variables if HEAD in variable.path]):
            raise UserError("--freeze_epochs trains layers called head_*, and this network has none; set it to 0.")
        return head

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the student computes, or is traced, with the frozen BatchNorms in inference mode."""
        frozen = [norm for norm in self._norms if norm.trainable] if self._freeze_bn or self.head_only else []
        try:
            for norm in frozen:
                norm.trainable = False
            yield
        finally:
            for norm in frozen:
                norm.trainable = True


def _is_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
