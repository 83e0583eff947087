"""Decides during training when to cut and when to rebuild, and does both."""

import keras
import numpy as np

from keras_cdd.errors import UserError
from keras_cdd.experiment.cut_record import cut_record
from keras_cdd.models import cost_model, count_macs
from keras_cdd.models.gated_units import indicator_kernels
from keras_cdd.surgery import plan_surgery, rebuild, silence
from keras_cdd.surgery.importance import IMPORTANCES, importance_of, norm_importance, only_living
from keras_cdd.surgery.schedule import CutSchedule
from keras_cdd.surgery.silence import staying_entries
from keras_cdd.surgery.trigger import worth_rebuilding


class Surgeon(keras.callbacks.Callback):
    """Cuts channels in place at the schedule's steps, and stops `fit` when a rebuild is worth it.

    Args:
        config: `Config` of the run.
        student: the heavy student, for the budget's floor.
        steps_per_epoch: optimizer steps an epoch.
        log: called with a record of every cut, see `cut_record`; None keeps none.
        measure: called with the student before and after every cut of a budget; the figures that it gives by name
            join the record as `<name>_before` and `<name>_after`.

    Raises:
        ValueError: if the budget is below the floor, naming it.
    """

    def __init__(self, config, student, steps_per_epoch, log=None, measure=lambda student: {}):
        super().__init__()
        self.config = config.surgery
        self.steps_per_epoch = steps_per_epoch
        self.log = log
        self.measure = measure
        self.aim = {}
        self.schedule = None
        # The record of the cut whose channels are fading.
        self.under_way = None
        if config.has_budget:
            name = "target_macs" if self.config.target_macs is not None else "target_params"
            target = getattr(self.config, name)
            plan_surgery(student, **{name: target}, round_to=self.config.round_to)
            self.aim = {"name": name}
            self.schedule = CutSchedule(
                target=target,
                floor=_floor(student, name, self.config.round_to),
                first_step=round(config.cut_start * steps_per_epoch),
                last_step=max(1, round(config.cut_end * steps_per_epoch)),
                cuts=self.config.num_cuts,
                fade=self.config.fade,
            )

    def facts(self):
        """What a checkpoint keeps of it, for JSON."""
        return {"cut_under_way": self.under_way}

    def restore(self, facts):
        """Goes on where `facts` was taken."""
        self.under_way = facts["cut_under_way"]

    def cuts_left(self, step):
        """Whether any cut comes after this optimizer step."""
        return self.schedule is not None and self.schedule.ends()[-1] > step

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.schedule is None:
            return
        # The optimizer's own count would lag behind where a scaled loss overflows and its step is left out.
        step = self.epoch * self.steps_per_epoch + batch + 1
        starts, ends = self.schedule.starts(), self.schedule.ends()
        if step in ends and self.under_way is not None:
            self._remove(plan_surgery(self.model.student))
        if step in starts:
            number = len(starts) - starts[::-1].index(step)
            self._cut(self.schedule.kept(number), ends[number - 1] - step, final=number == len(starts))
        if step == ends[-1]:
            for part in self.model.parts.values():
                part.cuts_are_over()

    def _cut(self, kept, steps, final):
        """Chooses channels to go, within so many steps or at once; without evidence the next cut takes them too."""
        distiller, student = self.model, self.model.student
        importance = self.importance(distiller, needed=final)
        if importance is None:
            return
        plan = plan_surgery(
            student,
            **{self.aim["name"]: kept},
            round_to=self.config.round_to if final else 1,
            importance=importance,
        )
        unit = self.aim["name"].removeprefix("target_")
        record = cut_record(plan, only_living(importance, indicator_kernels(student)), cost_model(student), unit)
        before = {f"{name}_before": value for name, value in self.measure(student).items()}
        self.under_way = (record or {}) | before
        if steps:
            distiller.parts["fade"].start(staying_entries(student, plan, self.config.cut == "filters"), steps)
        else:
            self._remove(plan)
        for part in distiller.parts.values():
            part.restart()

    def _remove(self, plan):
        """Ends a cut: what was chosen becomes, or is by now, exactly zero and stays it."""
        distiller, student = self.model, self.model.student
        silence(student, plan, distiller.optimizer, whole_filters=self.config.cut == "filters")
        after = {f"{name}_after": value for name, value in self.measure(student).items()}
        self._log(self.epoch + 1, self.under_way, after)
        self.under_way = None

    def _log(self, epoch, record, figures):
        if self.log is not None and record:
            self.log({"stage": "student", "epoch": epoch} | record | figures)

    def importance(self, distiller, needed=True):
        """Site -> (channels,), by the run's choice; None without any evidence since the last cut, unless `needed`.

        Raises:
            UserError: if it is needed and there is no evidence, or it is not finite.
        """
        name = self.config.importance
        gatherer, evidence = IMPORTANCES[name].gathered_by, {}
        if gatherer is not None and not (evidence := distiller.parts[gatherer].evidence()):
            if needed:
                raise UserError(
                    f"No step counted for --importance={name} since the last cut, since all of them overflowed in "
                    "float16; train longer before --cut_end, or without --mixed_precision."
                )
            return None
        return importance_of(name, indicator_kernels(distiller.student), evidence)

    def wants_rebuild(self, distiller, epoch):
        """Whether the zeros that are there by the end of this epoch (from 1) shall leave now."""
        finished = self.schedule is not None and not self.cuts_left(epoch * self.steps_per_epoch)
        plan = self._plan(distiller.student)
        if plan.is_identity:
            return False
        if self.config.surgery_every and not finished:
            return epoch % self.config.surgery_every == 0
        # At least what the deployed form saves; smaller indicators and filters that feed nothing come on top.
        now, saved = count_macs(distiller.student, deployed=False), plan.macs[0] - plan.macs[1]
        return worth_rebuilding(now, now - saved, finished)

    def _plan(self, student):
        return plan_surgery(student, round_to=self.config.pad_channels)

    def operate(self, student, optimizer, images, plan=None):
        """Removes the zeros but those that fill up `--pad_channels` (or follows a given plan).

        Returns:
            The slim model, its optimizer, the plan, and the largest change of any embedding value, relative to the
            largest value.
        """
        plan = plan or self._plan(student)
        slim, slim_optimizer = rebuild(student, plan, optimizer=optimizer)
        before = keras.ops.convert_to_numpy(student(images, training=False)["embedding"])
        after = keras.ops.convert_to_numpy(slim(images, training=False)["embedding"])
        change = float(np.abs(after - before).max() / max(float(np.abs(before).max()), 1e-12))
        return slim, slim_optimizer, plan, change

    def last_plan(self, student, epoch):
        """What to cut after the last epoch: zeros, and without a budget what lies below the threshold."""
        if self.schedule is None and self.config.importance_threshold is not None:
            plan = plan_surgery(
                student,
                importance_threshold=self.config.importance_threshold,
                round_to=self.config.round_to,
            )
            norms = norm_importance(indicator_kernels(student))
            self._log(epoch, cut_record(plan, norms, cost_model(student), "norm"), {})
            return plan
        return plan_surgery(student)


def _floor(student, name, round_to):
    costs = cost_model(student)
    total = costs.macs if name == "target_macs" else costs.params
    return total({site: min(round_to, width) for site, width in costs.widths.items()}) / total(costs.full_widths)
