"""A checkpoint is restored in another process, where Keras numbers weights in another way."""

import keras
import numpy as np
import pytest

from keras_cdd.distill import Distiller
from keras_cdd.distill.team import Team
from keras_cdd.experiment.training_state import TrainingState
from keras_cdd.layers import embedding_head


@keras.saving.register_keras_serializable("test_training_state")
class Nameless(keras.layers.Layer):
    """Gives its weights no names, as the LayerScale of ConvNeXt: Keras calls them variable, variable_1, ..."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")
        self.shift = self.add_weight(shape=shape[-1:], initializer="zeros")

    def call(self, inputs):
        return inputs * self.scale + self.shift


class Folder:
    """What a `TrainingState` needs of a workdir."""

    team = Team()

    def __init__(self, path):
        self.path = path

    def __truediv__(self, name):
        return self.path / name

    def logged(self, stage):
        return {}

    def awaited(self, name):
        return (self.path / name).exists()

    def rewind(self, stage, lengths):
        pass


def distiller_of(model):
    distiller = Distiller(model)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(model.trainable_variables)
    distiller.compile(optimizer)
    return distiller


@pytest.mark.parametrize("kind", ["nameless", "named"])
def test_slots_find_their_weights_again(tmp_path, kind):
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 1, name="conv")(image)
    x = Nameless(name="one")(x) if kind == "nameless" else x
    x = Nameless(name="two")(x) if kind == "nameless" else x
    distiller = distiller_of(keras.Model(image, embedding_head(x, 4, 3)))
    for number, slot in enumerate(distiller.optimizer.variables[2:]):
        slot.assign(slot + number + 1.0)
    state = TrainingState(Folder(tmp_path), "student")
    state.save(distiller, {"epoch": 1})
    Nameless()(np.zeros((1, 3), "float32"))  # Takes numbers, as the networks that a run makes before it resumes.
    model, arrays, _ = state.load()
    again = distiller_of(model)
    state.restore(again, arrays)
    expected = [np.asarray(slot) for slot in distiller.optimizer.variables]
    for slot, value in zip(again.optimizer.variables, expected, strict=True):
        np.testing.assert_array_equal(slot, value)
