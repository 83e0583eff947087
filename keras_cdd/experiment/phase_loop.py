"""The phase loop: fit -> plan -> rebuild -> fit, with a checkpoint after every epoch."""

import functools

import keras
import tensorflow as tf

from keras_cdd.distill import Distiller
from keras_cdd.distill.strategies import for_replicas
from keras_cdd.errors import UserError
from keras_cdd.experiment.optimizers import make_optimizer, rate_of
from keras_cdd.experiment.parts import loss_weights, make_parts
from keras_cdd.experiment.run_log import RunLog
from keras_cdd.experiment.shrink_loop import shrink_loop
from keras_cdd.experiment.teacher_views import teacher_views
from keras_cdd.experiment.training_state import TrainingState
from keras_cdd.experiment.weight_averages import BN_BATCHES, use_averages
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.sites import cut_sites
from keras_cdd.run_folder import layout


class PhaseLoop:
    """Trains one model to the last epoch, starting from its last checkpoint if there is one.

    Args:
        name: name of the stage, "teacher" or "student".
        config: `Config`.
        data: `TrainingData`.
        workdir: `Workdir`.
        epochs: number of epochs to train.
        watch: `Watch`.
        teacher: frozen model, or None.
        surgeon: `Surgeon`, or None for a model that is not cut in training.
        cut: `StaticCut` that the model comes from, or None.
    """

    def __init__(self, name, config, data, workdir, epochs, watch, teacher=None, surgeon=None, cut=None):
        self.name = name
        self.config = config
        self.data = data
        self.workdir = workdir
        self.team = workdir.team
        self.epochs = epochs
        self.watch = watch
        self.teacher = teacher
        self.surgeon = surgeon
        self.cut = cut
        training = config.training
        self.freeze_epochs = training.teacher_freeze_epochs if name == "teacher" else training.freeze_epochs
        self.views = config.run.teacher_cache_views if teacher is not None else 0
        self.on_device = config.data.augment_on_device
        self.batches, self.rows = functools.partial(data.shared_batches, on_device=self.on_device), None
        self.phase = 0
        self.state = TrainingState(workdir, name)

    def run(self, model):
        """Trains and returns the trained model, with averaged weights if the settings say so.

        Without a checkpoint, training starts from `model`.
        """
        epoch = 0
        if (saved := self.state.load()) is None:
            distiller = self._distiller(model)
        else:
            model, arrays, facts = saved
            epoch, self.phase = facts["epoch"], facts["phase"]
            if self.surgeon is not None:
                self.surgeon.restore(facts["surgeon"])
            distiller = self._distiller(model)
            self.state.restore(distiller, arrays)
        if self.views and epoch < self.epochs:
            rows = teacher_views(self.data, self.views, self.teacher, self.rows)
            self.batches = self.data.of_views(self.views, rows, self.on_device).from_epoch
        distiller = shrink_loop(distiller, self.surgeon, epoch, self.epochs, self._fit, self._operate)
        if self.config.training.ema:
            # After the last surgery: the averages of channels that leave are not zero.
            use_averages(distiller, self.data.batches(self.epochs).take(min(self.data.steps_per_epoch, BN_BATCHES)))
        return distiller.student

    def _fit(self, distiller, epoch):
        """Trains until a rebuild is due, the backbone thaws or the stage is over; returns the number of epochs done."""
        distiller.train_head_only(epoch < self.freeze_epochs)
        end = self.freeze_epochs if epoch < self.freeze_epochs else self.epochs
        finite = _Finite(self)
        callbacks = [
            finite,
            *([self.surgeon] if self.surgeon is not None else []),
            *([RunLog(self, self.data.sampler.batch_size)] if self.team.is_chief else []),
            _EpochEnd(self),
        ]
        try:
            history = distiller.fit(
                for_replicas(self.batches(start_epoch=epoch)),
                epochs=min(end, self.epochs),
                initial_epoch=epoch,
                steps_per_epoch=self.data.steps_per_epoch,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
        except UserError:
            # Channels cannot be ranked by what is not finite; the step and the loss say more.
            finite.check()
            raise
        return history.epoch[-1] + 1

    def epoch_end(self, distiller, epoch):
        """Saves a checkpoint, updates the report and stops `fit` if a rebuild is due."""
        facts = {"epoch": epoch, "phase": self.phase}
        if self.surgeon is not None:
            facts["surgeon"] = self.surgeon.facts()
        self.state.save(distiller, facts)
        if self.team.is_chief:
            self.watch.report.epoch_done()
        if self.surgeon is not None and epoch < self.epochs and self.surgeon.wants_rebuild(distiller, epoch):
            distiller.stop_training = True

    def _operate(self, distiller, epoch, plan):
        images, *_ = next(iter(self.data.batches()))
        slim, optimizer, plan, change = self.surgeon.operate(distiller.student, distiller.optimizer, images, plan)
        self.phase += 1
        before = {site: cut.channels for site, cut in plan.cuts.items()}
        self.workdir.append(
            layout.SURGERY,
            {
                "stage": self.name,
                "epoch": epoch,
                "phase": self.phase,
                "kept_filters_before": before,
                "kept_filters_after": plan.kept_filters,
                "macs_before": plan.macs[0],
                "macs_after": plan.macs[1],
                "num_params_before": plan.params[0],
                "num_params_after": plan.params[1],
                "output_change": change,
            },
        )
        self.team.say(f"surgery after epoch {epoch}, outputs changed by {change:.1e}\n{plan}")
        return self._distiller(slim, optimizer, [part.cut(plan) for part in distiller.parts.values()])

    def _distiller(self, model, optimizer=None, parts=None):
        """A compiled `Distiller` with the given optimizer and parts, or with new ones."""
        steps = self.data.steps_per_epoch
        if optimizer is None:
            optimizer = make_optimizer(self.config.training, self.config.head, self.name, self.epochs, steps)
            optimizer.build(model.trainable_variables)
        sites, kept = None, None
        if self.surgeon is not None:
            sites, kept = self.surgeon.channels(model).sites, self.surgeon.kept_channels
            parts = make_parts(self.config, sites, self.teacher, steps) if parts is None else parts
        elif self.teacher is not None and not gated_blocks(model):
            # Features of stock layers are compared at their sites.
            if self.cut is None:
                sites = cut_sites(model)
            else:
                sites, kept = self.cut.sites(model), self.cut.kept_channels
        weights = loss_weights(self.config.distill)
        seen = {
            "sites": sites,
            "kept_channels": kept,
            "freeze_bn": self.config.training.freeze_bn,
            "given_embeddings": self.data.teaching is not None,
            "given_rows": self.rows or bool(self.views),
            "augment": self.data.augmented if self.on_device else None,
        }
        distiller = Distiller(model, self.teacher, weights, parts or [], **seen)
        self.rows = distiller.teacher_rows
        distiller.compile(optimizer, jit_compile=self.config.training.jit_compile)
        # Processors that are not alike compute a start that is not the same to the last bit.
        self.team.align(model.weights)
        return distiller


class _Finite(keras.callbacks.Callback):
    """Stops a diverged run before the epoch's line in `metrics.jsonl` and its checkpoint are written.

    The `Surgeon` has written the epoch's cuts to `cuts.jsonl` by then.
    """

    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.updates = _updates(self.model.optimizer)

    def on_epoch_end(self, epoch, logs=None):
        self.check()
        if _updates(self.model.optimizer) == self.updates:
            place, last, rate = self._words()
            raise UserError(
                f"All steps of {place} overflowed in float16; {last}. Train with --mixed_precision=bfloat16 or none, "
                f"or with a lower {rate}, and start again with --noresume or in another --workdir."
            )

    def check(self):
        """Raises the `UserError` of a run that has diverged."""
        if (report := self.model.divergence.report()) is not None:
            place, last, rate = self._words()
            raise UserError(
                f"Training has diverged in {place}, a loss is not finite since {report}; {last}. Lower "
                f"{rate}, or raise --warmup_epochs, and start again with --noresume or in another --workdir."
            )

    def _words(self):
        """The place, the last good checkpoint and the flag of the learning rate."""
        epoch = self.epoch
        last = f"the checkpoint of epoch {epoch} is the last good one" if epoch else "there is no checkpoint yet"
        place = f"{self.loop.name} epoch {epoch + 1}"
        return place, last, f"--{rate_of(self.loop.config.training, self.loop.name)}"


class _EpochEnd(keras.callbacks.Callback):
    def __init__(self, loop):
        super().__init__()
        self.loop = loop

    def on_epoch_end(self, epoch, logs=None):
        self.loop.epoch_end(self.model, epoch + 1)


def _updates(optimizer):
    """How many steps the optimizer has taken; on several devices it counts in a variable that `int` does not take."""
    return int(tf.convert_to_tensor(optimizer.iterations))
