"""The training step: losses plus parts."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_cdd import losses
from keras_cdd.annotations import Tensor
from keras_cdd.distill.divergence import Divergence
from keras_cdd.distill.effects import Effects
from keras_cdd.distill.feature_pairs import FeaturePairs, alive_inputs, alive_outputs
from keras_cdd.distill.freezing import Freezing
from keras_cdd.distill.part import Part, by_name
from keras_cdd.distill.penalty import is_regularized, penalty
from keras_cdd.distill.site_pairs import SitePairs
from keras_cdd.distill.step_record import StepRecord
from keras_cdd.distill.strategies import is_of_workers, on_replicas
from keras_cdd.distill.synchronized import synchronized
from keras_cdd.distill.taps import Taps
from keras_cdd.distill.teacher_rows import TeacherRows
from keras_cdd.distill.whole_gradients import clipped, is_taken
from keras_cdd.layers import FeatureRecorder
from keras_cdd.losses.table import LOSSES, Loss, LossInputs, LossWeights
from keras_cdd.models.gated_units import gated_blocks, gated_units
from keras_cdd.models.graph import IsBuilt, all_layers
from keras_cdd.models.sites import Sites, cut_sites
from keras_cdd.replicas import of_all_replicas


class Distiller(IsBuilt, keras.Model):
    """Trains a student with a teacher, or any retrieval model, such as the teacher itself, without one.

    ```python
    distiller = keras_cdd.Distiller(student, teacher)
    distiller.compile(optimizer)
    distiller.fit(batches)          # (images, labels)
    ```

    Args:
        student: retrieval model with outputs `features`, `embedding`, `logits`; only its weights are trained. Its
            regularizers count in the loss and are logged as `regularization_loss`.
        teacher: retrieval model with the same block names; it is frozen and always called in inference mode. None
            (the default) trains without a teacher.
        weights: `LossWeights`, with its defaults if None. Losses that need a teacher are skipped without one.
        parts: iterable of `Part`s (`GradientReset`, `CompressionRule`, `FisherScore`, `ChannelFade` or your own) that
            take part in every step, in this order. None by default.
        own_losses: name -> (weight, function) of additional losses. `function(labels, outputs, teacher_outputs)` takes
            the teacher's outputs, None without a teacher, as the last argument and returns a scalar.
        sites: `Sites` of the student that parts work on. Default: the indicators in its gated blocks.
        kept_channels: site without an indicator -> indices of the student's channels in the uncut network, for feature
            distillation. Default: all.
        freeze_bn: BatchNorms in front of the head keep their moving statistics and normalise with them. Default: False.
        given_embeddings: train on (images, labels, embeddings) instead, the third a teacher's embeddings of the images,
            (N, D), without a `teacher`. Of the losses that need one, those of embeddings remain. Default: False.
        given_rows: train on (images, labels, rows) instead, where the third are the rows of `teacher_rows` for the
            images; `own_losses` see logits and embedding. True, or the rows of an earlier `Distiller`. Default: False.
        augment: function that makes the images in the step, of what a batch has in their place. Default: None.

    Attributes:
        parts: name -> `Part`.
        divergence: `Divergence` of the losses.
        teacher_rows: `TeacherRows` of the teacher, None without `given_rows`.

    Raises:
        ValueError: if there is a teacher besides `given_embeddings`, or none for `given_rows`, if two parts have the
            same name, if a part needs a teacher and there is none, or if the teacher lacks a block of the student and
            the feature loss has a weight.
    """

    train_function: Any

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model | None = None,
        weights: LossWeights | None = None,
        parts: Iterable[Part] = (),
        own_losses: Mapping[str, tuple[float, Callable[..., Tensor]]] | None = None,
        sites: Sites | None = None,
        kept_channels: Mapping[str, Sequence[int]] | None = None,
        freeze_bn: bool = False,
        given_embeddings: bool = False,
        given_rows: bool | TeacherRows = False,
        augment: Callable[[Any], Tensor] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if given_embeddings and teacher is not None:
            raise ValueError("Argument `given_embeddings` stands for a teacher. Received: a `teacher`, too")
        self.given_embeddings = given_embeddings
        self.augment = augment
        self.student, self.teacher = student, teacher
        self.weighting = weights or LossWeights()
        self.own_losses = own_losses or {}
        self.parts = by_name(parts, teacher)
        self._working = list(self.parts.values())
        self.sites = sites
        self.freezing = Freezing(student, freeze_bn)
        self._layers_of_student = list(all_layers(student))
        self._effects = Effects.of_units(gated_units(student)) if sites is None else Effects.of_sites(sites)
        self._kernels = self._effects.kernels
        if teacher is not None:
            teacher.trainable = False
        self._compare(kept_channels)
        if given_rows and teacher is None:
            raise ValueError("Argument `given_rows` needs a teacher. Received: teacher=None")
        self.teacher_rows = self._rows_of(teacher) if given_rows is True else given_rows or None
        names = ["loss", *(f"{name}_loss" for name in (*self._losses_that_count(), *self.own_losses))]
        names += ["compression_loss"] if "compression" in self.parts else []
        names += ["regularization_loss"] if is_regularized(student) else []
        # Created here, because a traced step cannot create variables on several devices.
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self.divergence = Divergence([*self._losses_that_count(), *self.own_losses])
        self.built = True

    def compile(
        self,
        optimizer: keras.optimizers.Optimizer | str,
        jit_compile: bool | str = False,
        auto_scale_loss: bool = False,
        **kwargs: Any,
    ) -> None:
        """Like `keras.Model.compile`, but without XLA by default: recompiling after a surgery costs more than it saves.

        Automatic loss scaling is also off by default; wrap the optimizer in a `LossScaleOptimizer` instead.
        """
        super().compile(optimizer, jit_compile=jit_compile, auto_scale_loss=auto_scale_loss, **kwargs)
        if not self.optimizer.built:
            self.optimizer.build(self.student.trainable_variables)

    def train_head_only(self, head_only: bool) -> None:
        """From the next `fit` on, trains only the head, on a backbone in inference mode, or again all weights."""
        if head_only != self.freezing.head_only:
            self.freezing.head_only = head_only
            self.train_function = None

    def make_train_function(self, force: bool = False) -> None:
        """Like `keras.Model.make_train_function`; finished parts are not traced."""
        self._working = [part for part in self.parts.values() if not part.finished]
        if self.train_function is not None and not force:
            return
        super().make_train_function(force)
        if self.steps_per_execution > 1 or self.run_eagerly or self.jit_compile:
            return
        # Keras traces a second function around this one, which takes a sixth of the time of both.
        on_all = functools.partial(on_replicas, self.distribute_strategy, self.train_step)
        step = tf.function(lambda batches: on_all(next(batches)), autograph=False, reduce_retracing=True)
        of_keras: Any = self.train_function
        iterators = (tf.data.Iterator, tf.distribute.DistributedIterator)
        self.train_function = lambda data: (step if isinstance(data, iterators) else of_keras)(data)

    def call(self, inputs: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        return self.student(inputs, training=training)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self._means.values())

    def train_step(self, data: tuple[Tensor, ...]) -> dict[str, Tensor]:
        images, labels, *given = data
        images = images if self.augment is None else self.augment(images)
        taught, teacher_record = self._teach(images, *given)
        with_gates = any(part.needs_gates for part in self._working)
        learn = self._taps if self._taps is not None and (with_gates or self._compared) else self.student
        with tf.GradientTape() as tape:
            recorder = FeatureRecorder(with_gates, tape, gates_of_inputs=self._taps is not None)
            with recorder as record, self.freezing.applied(), synchronized(self._layers_of_student):
                outputs = learn(images, training=True)
            # All replicas compute the losses of the whole batch, and each gives its share of their gradients.
            labels, outputs, taught = of_all_replicas((labels, outputs, taught))
            pairs = functools.partial(self._pairs, teacher_record, record, self._gone())
            values = self._loss_values(labels, outputs, taught, lambda: of_all_replicas(pairs()))
            regularization = penalty(self.student)
            loss = sum(weight * value for weight, value in values.values()) + regularization
            loss_scale = self.optimizer.scale_loss(tf.constant(1.0))
            scale = loss_scale / tf.distribute.get_strategy().num_replicas_in_sync
            scaled = loss * scale
        variables = self.freezing.trained()
        gradients, gates = tape.gradient(scaled, [variables, record.gates])
        # A gate can stand where no loss reads; without an identity loss nothing depends on the logits.
        gradients = [_or_zeros(gradient, variable) for gradient, variable in zip(gradients, variables, strict=True)]
        gates = {name: _or_zeros(gradient, record.gates[name]) for name, gradient in gates.items()}
        gates = self._taps.by_site(gates) if self._taps is not None and with_gates else gates
        step = StepRecord(
            number=tf.cast(tf.convert_to_tensor(self.optimizer.iterations), tf.int64),
            taken=is_taken(self.optimizer, gradients),
            student=record,
            teacher=teacher_record,
            gate_gradients={site: gradient / loss_scale for site, gradient in gates.items()},
            images=tf.shape(keras.tree.flatten(outputs)[0])[0],
            alive={site: alive_outputs(kernel) for site, kernel in self._kernels.items()},
            compiled=bool(self.jit_compile),
        )
        self.divergence.observe(step.number, {name: value for name, (_, value) in values.items()}, step.taken)
        for part in self._working:
            part.observe(step)
        gradients = self._with_indicator_rules(variables, gradients, scale)
        self.optimizer.apply(clipped(self.optimizer, gradients, loss_scale), variables)
        for part in self._working if not self.freezing.head_only else ():
            part.after_update(self._effects, self.optimizer.learning_rate)
        logs = {f"{name}_loss": value for name, (_, value) in values.items()}
        return self._logs({"loss": loss, "regularization_loss": regularization, **logs})

    def _teach(self, images: Tensor, given: Tensor | None = None) -> tuple[Any, Any]:
        """`(outputs, FeatureRecorder)` of the teacher; without one, the given embeddings or None, and None."""
        if self.given_embeddings:
            return {"embedding": given}, None
        if self.teacher is None:
            return None, None
        if self.teacher_rows is not None:
            return self.teacher_rows.unpacked(given)
        with FeatureRecorder() as record:
            return self._teaching(images, training=False), record

    def _rows_of(self, teacher: Any) -> TeacherRows:
        read = [site for part in self.parts.values() for site in part.reads_features]
        read += self._pairs.names if self.weighting.feature else []
        return TeacherRows(self._teaching, keras.tree.flatten(teacher.inputs)[0].shape[1:3], sorted(set(read)))

    def _compare(self, kept_channels: Mapping[str, Sequence[int]] | None) -> None:
        """Sets up which features of teacher and student are compared, and how they are recorded.

        Those of gated blocks record themselves; those of stock layers are tapped.
        """
        self._pairs: FeaturePairs | SitePairs = FeaturePairs(self.student)
        self._compared: list[str] = []
        self._teaching: Any = self.teacher
        ours, learns_features = self.sites, self.teacher is not None and bool(self.weighting.feature)
        if ours is None or gated_blocks(self.student):
            if learns_features:
                self._pairs.check(self.teacher)
        elif self.teacher is not None:
            self._compared = list(dict.fromkeys(site for part in self.parts.values() for site in part.reads_features))
            theirs = cut_sites(self.teacher, residual=True)
            if learns_features:
                self._pairs = SitePairs(ours, theirs, kept_channels)
                self._compared += [name for name in self._pairs.names if name not in self._compared]
            self._teaching = Taps(theirs, self._compared) if self._compared else self.teacher
        read = ours is not None and any(site.readings for site in ours.values())
        self._taps = Taps(ours, self._compared) if ours is not None and read else None

    def _losses_that_count(self) -> list[str]:
        """Names of the losses with a nonzero weight, without a teacher only those that need none."""
        return [name for name, loss in LOSSES.items() if getattr(self.weighting, name) and self._can_have(loss)]

    def _can_have(self, loss: Loss) -> bool:
        if self.given_embeddings:
            return loss.needs_embedding or not loss.needs_teacher
        return self.teacher is not None or not loss.needs_teacher

    def _loss_values(
        self, labels: Tensor, outputs: Mapping[str, Tensor], taught: Any, pairs: Callable[[], Any]
    ) -> dict[str, tuple[float, Tensor]]:
        """Name -> (weight, value) of all losses with a nonzero weight, and of `own_losses`."""
        inputs = LossInputs(labels, outputs, taught, pairs, self.weighting)
        values = {
            name: (getattr(self.weighting, name), LOSSES[name].function(inputs)) for name in self._losses_that_count()
        }
        return values | {name: (by, loss(labels, outputs, taught)) for name, (by, loss) in self.own_losses.items()}

    def _with_indicator_rules(
        self, variables: Sequence[Tensor], gradients: Sequence[Tensor], scale: Tensor
    ) -> list[Tensor]:
        """The gradients, after the parts have changed those of the indicators; channels that are gone get zeros."""
        sites = {id(kernel): site for site, kernel in self._kernels.items()}
        ruled = []
        for variable, gradient in zip(variables, gradients, strict=True):
            if id(variable) in sites:
                kernel = tf.convert_to_tensor(variable)
                for part in self._working:
                    gradient = part.indicator_gradient(sites[id(variable)], kernel, gradient, scale)
                alive = alive_inputs(kernel)[:, None] & alive_outputs(kernel)[None, :]
                gradient = tf.where(alive, gradient, 0.0)
            ruled.append(self._effects.masked(variable, gradient, self._gone()))
        return ruled

    def _gone(self) -> Mapping[str, Any]:
        """Site -> variable (channels,), 1 for channels that only zeros in all that reads them keep from an effect."""
        return getattr(self.parts.get("fade"), "gone", {})

    def _logs(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        if "compression" in self.parts:
            values["compression_loss"] = losses.compression_loss(list(self._kernels.values()))
        for name, mean in self._means.items():
            mean.update_state(values[name])
        results = {name: mean.result() for name, mean in self._means.items()}
        # Keras averages what the workers have along an axis that a number does not have.
        return {name: result[None] for name, result in results.items()} if is_of_workers() else results


def _or_zeros(gradient: Tensor | None, source: Any) -> Tensor:
    return tf.zeros_like(tf.convert_to_tensor(source)) if gradient is None else gradient
