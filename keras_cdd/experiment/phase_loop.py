"""The phase loop: fit -> plan -> rebuild -> fit, with a checkpoint after every epoch."""

import keras
import tensorflow as tf

from keras_cdd.distill import Distiller, EmbeddingQueue, GradientReset, LossWeights
from keras_cdd.experiment.optimizers import make_optimizer
from keras_cdd.experiment.run_log import RunLog
from keras_cdd.run_folder.checkpoint import load_checkpoint, restore_variables, save_checkpoint
from keras_cdd.surgery.rebuild import named_slots
from keras_cdd.surgery.sites import gated_units, units_by_site


class Stage:
    """Trains one model to its end, from wherever its last checkpoint left it.

    Args:
        name: "teacher" or "student".
        config: `Config`.
        data: `TrainingData`.
        workdir: `Workdir`.
        epochs: to train.
        watch: `Watch`.
        teacher: frozen model, or None.
        surgeon: `Surgeon`, or None for a model that is not cut.
    """

    def __init__(self, name, config, data, workdir, epochs, watch, teacher=None, surgeon=None):
        self.name = name
        self.config = config
        self.data = data
        self.workdir = workdir
        self.epochs = epochs
        self.watch = watch
        self.teacher = teacher
        self.surgeon = surgeon
        self.phase = 0
        self.checkpoint = workdir / "checkpoints" / name

    def run(self, model):
        """Returns the trained model; `model` is where a fresh run starts."""
        epoch = 0
        distiller = None
        if (saved := load_checkpoint(self.checkpoint)) is not None:
            model, arrays, state = saved
            epoch, self.phase = state["epoch"], state["phase"]
            if self.surgeon is not None:
                self.surgeon.under_way = state.get("cut_under_way")
            distiller = self._distiller(model, self._optimizer(model), epoch)
            restore_variables(self._state(distiller), arrays)
            self.workdir.rewind(self.name, epoch)
        distiller = distiller or self._distiller(model, self._optimizer(model), epoch)
        while epoch < self.epochs:
            # A rebuild is decided by the state at an epoch's end alone, so a resumed run decides the same.
            if self.surgeon is not None and epoch and self.surgeon.wants_rebuild(distiller, epoch):
                distiller = self._operate(distiller, epoch)
            epoch = self._fit(distiller, epoch)
        if self.surgeon is not None and not (plan := self.surgeon.last_plan(distiller.student, epoch)).is_identity:
            distiller = self._operate(distiller, epoch, plan)
        return distiller.student

    def _fit(self, distiller, epoch):
        """Trains until a rebuild is due or the stage is over; returns the epochs done."""
        callbacks = [
            *([self.surgeon] if self.surgeon is not None else []),
            RunLog(self, self.data.sampler.batch_size),
            _EpochEnd(self),
        ]
        history = distiller.fit(
            self.data.batches(start_epoch=epoch),
            epochs=self.epochs,
            initial_epoch=epoch,
            steps_per_epoch=self.data.steps_per_epoch,
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
        return history.epoch[-1] + 1

    def epoch_end(self, distiller, epoch):
        """Saves a checkpoint, draws the report and stops `fit` where the model has to change."""
        facts = {"epoch": epoch, "phase": self.phase}
        if self.surgeon is not None:
            facts["cut_under_way"] = self.surgeon.under_way
        save_checkpoint(self.checkpoint, distiller.student, self._state(distiller), facts)
        self.watch.report.epoch_done()
        if self.surgeon is not None and epoch < self.epochs and self.surgeon.wants_rebuild(distiller, epoch):
            distiller.stop_training = True

    def _operate(self, distiller, epoch, plan=None):
        images, _ = next(iter(self.data.batches()))
        slim, optimizer, plan, change = self.surgeon.operate(distiller.student, distiller.optimizer, images, plan)
        self.phase += 1
        before = {site: cut.channels for site, cut in plan.cuts.items()}
        self.workdir.append(
            "surgery.jsonl",
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
        print(f"surgery after epoch {epoch}, outputs changed by {change:.1e}\n{plan}", flush=True)
        slimmer = self._distiller(slim, optimizer, epoch)
        self._carry_over(distiller, slimmer, plan)
        return slimmer

    def _carry_over(self, old, new, plan):
        """Masks, counts, scores and fades go along with the channels they belong to; the queue as it is."""
        sources, targets = _helper_variables(old), _helper_variables(new)
        for name, variable in targets.items():
            value = tf.convert_to_tensor(sources[name])
            kind, _, site = name.partition(":")
            if kind in ("mask", "count", "fisher", "fade"):
                value = tf.gather(value, plan.cuts[site].outputs, axis=-1)
            if kind == "fade":
                value = tf.gather(value, plan.cuts[site].inputs)
            variable.assign(value)

    def _optimizer(self, model):
        optimizer = make_optimizer(self.config.training, self.name, self.epochs, self.data.steps_per_epoch)
        optimizer.build(model.trainable_variables)
        return optimizer

    def _distiller(self, model, optimizer, epoch):
        config, distill = self.config, self.config.distill
        weights = LossWeights(
            **{
                name: getattr(distill, f"{name}_weight")
                for name in ("identity", "triplet", "logit", "feature", "embedding", "relation")
            },
            label_smoothing=distill.label_smoothing,
            margin=distill.margin if distill.margin >= 0 else None,
            mining=distill.mining,
            temperature=distill.temperature,
        )
        shrinking = self.surgeon is not None
        step = epoch * self.data.steps_per_epoch
        cutting = self.surgeon is not None and self.surgeon.cuts_left(step)
        distiller = Distiller(
            model,
            self.teacher,
            weights,
            compression=config.compression.compression if shrinking else "none",
            compression_weight=config.compression.compression_weight,
            reset=self._reset(model) if shrinking else None,
            reset_step=round(config.compression.gradient_reset_epoch * self.data.steps_per_epoch),
            reset_every=config.compression.reset_every,
            with_fisher=cutting and config.surgery.importance == "fisher",
            with_fade=cutting and config.surgery.fade,
        )
        distiller.compile(optimizer)
        return distiller

    def _reset(self, model):
        config = self.config.compression
        if config.gradient_reset_epoch < 0:
            return None
        units = gated_units(model)
        widths = {site: unit.filters for site, unit in units_by_site(self.teacher).items() if site in units}
        return GradientReset(
            EmbeddingQueue(config.queue_size, widths),
            {site: unit.indicator.output_channels for site, unit in units.items()},
            config.reset_ratio,
            config.reset_neighbours,
            config.reset_metric,
        )

    def _state(self, distiller):
        slots, _ = named_slots(distiller.optimizer, distiller.student.trainable_variables)
        return {**{f"optimizer:{name}": slot for name, slot in slots.items()}, **_helper_variables(distiller)}


def _helper_variables(distiller):
    """Name -> variable of everything beside weights and optimizer."""
    named = {}
    if (reset := distiller.reset) is not None:
        named |= {f"queue:{site}": rows for site, rows in reset.queue.rows.items()}
        named |= {f"mask:{site}": mask for site, mask in reset.masks.items()}
        named |= {f"count:{site}": count for site, count in reset.counts.items()}
        named |= {"queue_written": reset.queue.written, "reset_updates": reset.updates}
    if (fisher := distiller.fisher) is not None:
        named |= {f"fisher:{site}": sums for site, sums in fisher.sums.items()}
        named["fisher_images"] = fisher.images
    if (fade := distiller.fade) is not None:
        named |= {f"fade:{site}": leaving for site, leaving in fade.leaving.items()}
        named["fade_steps_left"] = fade.steps_left
    return named


class _EpochEnd(keras.callbacks.Callback):
    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def on_epoch_end(self, epoch, logs=None):
        self.stage.epoch_end(self.model, epoch + 1)
