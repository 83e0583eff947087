"""Fades out the channels of a cut: the weights of their effect fall to exact zeros in equal steps during training."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from keras_cdd.annotations import Tensor
from keras_cdd.distill.effects import Effects
from keras_cdd.distill.part import Part
from keras_cdd.replicas import local


class ChannelFade(Part):
    """After every update, multiplies what leaves so that it falls linearly to 0.

    That is entries of the indicators, and, where these do not take away all effect of a channel, the entries of all
    weights that read it, which it also keeps at zero afterwards. (The `Distiller` itself keeps zeros of indicators.)

    Args:
        shapes: site -> (rows, channels): of the indicator; (1, channels) without a dense one.
        held: names of the sites whose readers are scaled, see `Effects.held_by_readers`. None by default.

    Attributes:
        leaving: site -> variable (rows, channels), 1 for leaving entries, otherwise 0.
        steps_left: scalar variable, steps until the leaving entries are exactly zero; 0 if there are none.
        gone: held site -> variable (channels,), 1 for channels that have left, otherwise 0.
    """

    name = "fade"

    def __init__(self, shapes: Mapping[str, tuple[int, int]], held: Iterable[str] = ()) -> None:
        super().__init__()
        self.gone = {site: tf.Variable(tf.zeros(shapes[site][1]), trainable=False) for site in held}
        self.leaving = {site: tf.Variable(tf.zeros(shape), trainable=False) for site, shape in shapes.items()}
        self.steps_left = tf.Variable(0.0, trainable=False)

    def own_variables(self) -> dict[str, Any]:
        gone = {f"gone:{site}": variable for site, variable in self.gone.items()}
        return {"steps_left": self.steps_left, **self.leaving, **gone}

    def cuts_are_over(self) -> None:
        # Channels that only zeros keep from having an effect need to be held until they are removed.
        if not self.gone:
            self.finish()

    def cut(self, plan: Any) -> Self:
        rows = {site: None if variable.shape[0] == 1 else 0 for site, variable in self.leaving.items()}
        shapes = {
            site: (1 if rows[site] is None else len(plan.cuts[site].inputs), len(plan.cuts[site].outputs))
            for site in self.leaving
        }
        slim = self.__class__(shapes, self.gone)

        def sliced(name: str, array: np.ndarray) -> np.ndarray:
            if name in self.leaving:
                return plan.sliced(array, name, inputs=rows[name], outputs=1)
            site = name.removeprefix("gone:")
            return plan.sliced(array, site, outputs=0) if site in self.gone else array

        self._carry(slim, sliced)
        return slim

    def start(self, staying: Mapping[str, np.ndarray], steps: int) -> None:
        """Starts to fade out entries over the next `steps` updates; replaces an unfinished fade.

        Args:
            staying: site -> bool (rows, channels), False for entries to fade out; the result of `staying_entries`.
            steps: number of updates, at least 1.
        """
        for site, variable in self.leaving.items():
            variable.assign(~staying[site])
        self.steps_left.assign(steps)

    def hold(self, staying: Mapping[str, np.ndarray]) -> None:
        """Declares that entries are zero now, and that those of held sites stay so; see `start`."""
        for site, variable in self.gone.items():
            variable.assign(~staying[site].any(axis=0))

    def after_update(self, effects: Effects, learning_rate: Tensor) -> None:
        steps_left = local(self.steps_left)
        before = tf.convert_to_tensor(steps_left)
        after = tf.maximum(before - 1.0, 0.0)
        lost = tf.where(before > 0, 1.0 - tf.math.divide_no_nan(after, before), 0.0)
        for site, leaving in self.leaving.items():
            factors = 1.0 - lost * local(leaving)
            if site in self.gone:
                factors *= 1.0 - tf.convert_to_tensor(local(self.gone[site]))
            effects.scale(site, factors)
        steps_left.assign(after)
