"""The training step: one forward pass of the student, one of the teacher, one gradient rule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_cdd import losses
from keras_cdd.annotations import Tensor
from keras_cdd.distill.channel_fade import ChannelFade
from keras_cdd.distill.fisher_score import FisherScore
from keras_cdd.distill.gradient_reset import GradientReset, indicator_gradient
from keras_cdd.distill.loss_weights import LossWeights
from keras_cdd.distill.replicas import local, of_all_replicas
from keras_cdd.layers import FeatureRecorder, GatedBlock

COMPRESSIONS = ("none", "lasso", "proximal")
LABEL_LOSSES = ("identity", "triplet")
TEACHER_LOSSES = ("logit", "feature", "embedding", "relation")


class Distiller(keras.Model):
    """Trains a student, with a teacher or (for the teacher itself) without.

    ```python
    distiller = keras_cdd.Distiller(student, teacher)
    distiller.compile(optimizer)
    distiller.fit(batches)          # (images, labels)
    ```

    Args:
        student: retrieval model with outputs `features`, `embedding`, `logits`; only its weights train.
        teacher: one with the same block names, frozen and always in inference mode. None trains without.
        weights: `LossWeights`.
        compression: "lasso" (the paper's rule), "proximal" (exact zeros on short schedules) or "none".
        compression_weight: of the compression loss.
        reset: `GradientReset`, or None.
        reset_step: the optimizer step from which the reset works; the queue starts to fill there as well.
        reset_every: take part in every n-th step only.
        with_fisher: gather the Fisher score of every gated channel.
        with_fade: let channels fade out when `fade.start` says so.
        own_losses: name -> (weight, function) of further losses; a function of the labels, the student's outputs and
            the teacher's (None without a teacher) that gives a scalar.

    Raises:
        ValueError: for an unknown `compression`, or a teacher that lacks a block of the student.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None = None,
        weights: LossWeights | None = None,
        compression: str = "none",
        compression_weight: float = 0.0,
        reset: GradientReset | None = None,
        reset_step: int = 0,
        reset_every: int = 1,
        with_fisher: bool = False,
        with_fade: bool = False,
        own_losses: Mapping[str, tuple[float, Callable[..., Tensor]]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if compression not in COMPRESSIONS:
            raise ValueError(
                f"Argument `compression` must be one of {COMPRESSIONS}. Received: compression={compression!r}"
            )
        self.student = student
        self.teacher = teacher
        self.weighting = weights or LossWeights()
        self.own_losses = own_losses or {}
        self.compression = compression
        self.compression_weight = compression_weight
        self.reset = reset
        self.reset_step = reset_step
        self.reset_every = reset_every
        blocks = [layer for layer in student._flatten_layers() if isinstance(layer, GatedBlock)]
        self._last_units = {block.site(block.inner[-1]): block.inner[-1] for block in blocks}
        self._gated_units = {site: unit for block in blocks for site, unit in block.gated_units.items()}
        self.fisher: FisherScore | None = None
        if with_fisher:
            self.fisher = FisherScore({site: unit.indicator.kept for site, unit in self._gated_units.items()})
        self.fade: ChannelFade | None = None
        if with_fade:
            shapes = {site: unit.indicator.kernel.shape[2:] for site, unit in self._gated_units.items()}
            self.fade = ChannelFade(shapes)
        if teacher is not None:
            teacher.trainable = False
            missing = self._last_units.keys() - _sites(teacher)
            if missing:
                raise ValueError(f"The teacher must have the student's blocks. Received: none for {sorted(missing)}")
        names = ("loss", *(f"{name}_loss" for name in (*self._parts_that_count(), *self.own_losses)))
        names += ("compression_loss",) if compression != "none" else ()
        # Made here and not in the first step: on several devices a traced step may not make variables.
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str,
        jit_compile: bool | str = False,
        auto_scale_loss: bool = False,
        **kwargs: Any,
    ) -> None:
        """Like `keras.Model.compile`, but without XLA (compiling anew after a surgery costs more than it gains)."""
        super().compile(optimizer, jit_compile=jit_compile, auto_scale_loss=auto_scale_loss, **kwargs)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # There is nothing to infer from data; without this, `fit` fails under several workers.
        if not self.optimizer.built:
            self.optimizer.build(self.student.trainable_variables)

    def call(self, inputs: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        return self.student(inputs, training=training)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._means.values())

    def train_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        images, labels = data
        taught, teacher_record = self._teach(images)
        with tf.GradientTape(persistent=False) as tape:
            with FeatureRecorder(with_gates=self.fisher is not None, tape=tape) as record:
                outputs = self.student(images, training=True)
            parts = self._loss_parts(labels, outputs, record, taught, teacher_record)
            loss = sum(weight * value for weight, value in parts.values())
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            scale = self._loss_scale() / replicas
            scaled = loss * scale
        variables = self.student.trainable_variables
        gradients, gates = tape.gradient(scaled, [variables, record.gates])
        if self.fisher is not None:
            self.fisher.update({site: gradient / scale for site, gradient in gates.items()})
        if self.reset is not None:
            self._update_reset(self.reset, teacher_record, record)
        gradients = self._with_indicator_rule(variables, gradients, scale)
        self.optimizer.apply(gradients, variables)
        if self.compression == "proximal":
            self._shrink()
        if self.fade is not None:
            self.fade.update({site: unit.indicator.kernel for site, unit in self._gated_units.items()})
        return self._logs({"loss": loss, **{f"{name}_loss": value for name, (_, value) in parts.items()}})

    def _teach(self, images: Tensor) -> tuple[Any, Any]:
        """The teacher's outputs and its `FeatureRecorder`, None both without a teacher."""
        if self.teacher is None:
            return None, None
        with FeatureRecorder() as record:
            return self.teacher(images, training=False), record

    def _parts_that_count(self) -> list[str]:
        """Names of the losses with a weight; those of distillation need a teacher."""
        names = LABEL_LOSSES if self.teacher is None else LABEL_LOSSES + TEACHER_LOSSES
        return [name for name in names if getattr(self.weighting, name)]

    def _loss_parts(
        self, labels: Tensor, outputs: dict[str, Tensor], record: FeatureRecorder, taught: Any, teacher_record: Any
    ) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, value) of every loss that counts."""
        w = self.weighting
        parts = {
            "identity": lambda: losses.identity_loss(labels, outputs["logits"], w.label_smoothing),
            "triplet": lambda: losses.triplet_loss(labels, outputs["features"], w.margin, w.mining),
        }
        if taught is not None:
            teacher, student = taught["embedding"], outputs["embedding"]
            parts["logit"] = lambda: losses.logit_distillation_loss(taught["logits"], outputs["logits"], w.temperature)
            parts["feature"] = lambda: self._feature_loss(record, teacher_record)
            parts["embedding"] = lambda: losses.embedding_distillation_loss(teacher, student)
            parts["relation"] = lambda: losses.relation_distillation_loss(teacher, student)
        counted = {name: (getattr(w, name), parts[name]()) for name in self._parts_that_count()}
        return counted | {name: (by, loss(labels, outputs, taught)) for name, (by, loss) in self.own_losses.items()}

    def _feature_loss(self, record: FeatureRecorder, teacher_record: FeatureRecorder) -> Tensor:
        """Feature distillation on the filters that are still there."""
        taught, learnt = [], []
        for site, unit in self._last_units.items():
            teacher, student = teacher_record.convolution[site], record.convolution[site]
            if unit.indicator is not None:
                alive = tf.cast(_alive_inputs(unit.indicator.kernel), tf.float32)
                teacher = tf.gather(teacher, unit.indicator.input_channels, axis=-1) * alive
                student = student * alive
            taught.append(teacher)
            learnt.append(student)
        return losses.feature_distillation_loss(taught, learnt)

    def _update_reset(self, reset: GradientReset, teacher_record: FeatureRecorder, record: FeatureRecorder) -> None:
        # Replicas meet here, outside of the condition: a branch may not wait for other devices.
        taught, learnt = of_all_replicas(teacher_record.convolution), of_all_replicas(record.indicator)

        def update() -> int:
            alive = {site: _alive_outputs(unit.indicator.kernel) for site, unit in self._gated_units.items()}
            reset.update(taught, learnt, alive)
            return 0

        if self.reset_step == 0 and self.reset_every == 1:
            update()
            return
        step = tf.cast(tf.convert_to_tensor(self.optimizer.iterations), tf.int64)
        turn = (step >= self.reset_step) & (step % self.reset_every == 0)
        tf.cond(turn, update, lambda: 0)

    def _with_indicator_rule(
        self, variables: Sequence[Tensor], gradients: Sequence[Tensor], scale: Tensor
    ) -> list[Tensor]:
        """Gradients with those of the indicators replaced by the paper's rule; what is zero stays zero."""
        weight = self.compression_weight * scale if self.compression == "lasso" else 0.0
        indicators = {id(unit.indicator.kernel): site for site, unit in self._gated_units.items()}
        ruled = []
        for variable, gradient in zip(variables, gradients, strict=True):
            if id(variable) in indicators:
                kernel = tf.convert_to_tensor(variable)
                mask = local(self.reset.masks[indicators[id(variable)]]) if self.reset is not None else 1.0
                gradient = indicator_gradient(gradient, kernel, tf.convert_to_tensor(mask), weight)
                alive = _alive_inputs(kernel)[:, None] & _alive_outputs(kernel)[None, :]
                gradient = tf.where(alive, gradient, 0.0)
            ruled.append(gradient)
        return ruled

    def _shrink(self) -> None:
        threshold = tf.cast(self.optimizer.learning_rate, tf.float32) * self.compression_weight
        for unit in self._gated_units.values():
            unit.indicator.kernel.assign(losses.proximal_step(unit.indicator.kernel, threshold))

    def _loss_scale(self) -> Tensor:
        return self.optimizer.scale_loss(tf.constant(1.0))

    def _logs(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.compression != "none":
            kernels = [unit.indicator.kernel for unit in self._gated_units.values()]
            values["compression_loss"] = losses.compression_loss(kernels)
        for name, mean in self._means.items():
            mean.update_state(values[name])
        return {name: mean.result() for name, mean in self._means.items()}


def _alive_inputs(kernel: Tensor) -> Tensor:
    return tf.reduce_any(tf.convert_to_tensor(kernel)[0, 0] != 0, axis=1)


def _alive_outputs(kernel: Tensor) -> Tensor:
    return tf.reduce_any(tf.convert_to_tensor(kernel)[0, 0] != 0, axis=0)


def _sites(model: keras.Model) -> set[str]:
    blocks = [layer for layer in model._flatten_layers() if isinstance(layer, GatedBlock)]
    return {block.site(unit) for block in blocks for unit in block.inner}
