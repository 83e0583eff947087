"""Decides during training when to cut and when to rebuild, and carries both out."""

import dataclasses

import keras
import numpy as np

from keras_cdd.distill.team import Team
from keras_cdd.errors import UserError
from keras_cdd.experiment.cut_record import cut_record
from keras_cdd.models import count_macs
from keras_cdd.models.sites import cut_sites
from keras_cdd.surgery import rebuild, silence
from keras_cdd.surgery.budget import floor, share_of_ms
from keras_cdd.surgery.channels import Channels
from keras_cdd.surgery.importance import IMPORTANCES, importance_of, only_living
from keras_cdd.surgery.plan_surgery import plan_for
from keras_cdd.surgery.schedule import CutSchedule
from keras_cdd.surgery.silence import staying_entries
from keras_cdd.surgery.trigger import worth_rebuilding


class Surgeon(keras.callbacks.Callback):
    """Cuts channels in place at the schedule's steps, and stops `fit` when a rebuild is worth it.

    Args:
        config: `Config` of the run.
        student: the heavy student, from which the floor of the budget is computed.
        steps_per_epoch: optimizer steps per epoch.
        log: function that is called with the record of every cut, see `cut_record`; None (the default) logs nothing.
        measure: function that is called with the student before and after every cut for a budget and returns a dict
            name -> number. The record of the cut gets them as `<name>_before` and `<name>_after`. Default: none.
        times: `LatencyTable` of a budget in milliseconds; None (the default) for other budgets.
        team: `Team` of the run, whose chief decides. Default: this process alone.

    Attributes:
        unit: what the budget limits, "macs", "params" or "ms"; None without a budget.

    Raises:
        ValueError: if the budget is below the floor; the message states the floor.
    """

    def __init__(self, config, student, steps_per_epoch, log=None, measure=lambda student: {}, times=None, team=None):
        super().__init__()
        self.team = team or Team()
        self.config = config.surgery
        self.steps_per_epoch = steps_per_epoch
        self.log = log
        self.measure = measure
        self.times = times
        self.unit = None
        self.schedule = None
        # Record of the cut whose channels are fading out.
        self.under_way = None
        found = self._sites(student)
        self.full_widths = {name: site.channels for name, site in found.items() if site.indicator is None}
        # Of sites without an indicator, which would know them: indices in the heavy student.
        self.kept_channels = {name: list(range(width)) for name, width in self.full_widths.items()}
        self._known = (None, None)
        costs = self.channels(student).costs
        self.full_costs = {"macs": costs.macs(costs.full_widths), "num_params": costs.params(costs.full_widths)}
        if config.has_budget:
            self.unit, target = config.budget
            if self.unit == "ms":
                self.full_costs["ms"] = costs.total("ms", costs.full_widths)
                target = share_of_ms(costs, target)
            self._plan(student, budget=(self.unit, target), round_to=self.config.round_to)
            self.schedule = CutSchedule(
                target=target,
                floor=floor(costs, self.unit, self.config.round_to),
                first_step=round(config.cut_start * steps_per_epoch),
                last_step=max(1, round(config.cut_end * steps_per_epoch)),
                cuts=self.config.num_cuts,
                fade=self.config.fade,
            )

    def facts(self):
        """The state to save in a checkpoint, a dict that can be written as JSON."""
        return {"cut_under_way": self.under_way, "kept_channels": self.kept_channels}

    def restore(self, facts):
        """Restores the state that `facts` returned."""
        self.under_way, self.kept_channels = facts["cut_under_way"], facts["kept_channels"]

    def record(self):
        """What the student's file does not say, a dict that can be written as JSON.

        That is the costs of the heavy student, and the kept channels of sites without an indicator.
        """
        return {"heavy": self.full_costs, "kept_channels": self.kept_channels}

    def _sites(self, student):
        found = cut_sites(student, self.config.residual)
        if self.config.importance != "reset":
            return found
        # The reset scores indicators alone.
        return found.only(name for name, site in found.items() if site.indicator is not None)

    def channels(self, student):
        """The `Channels` of the student; kept until another student comes."""
        if self._known[0] is not student:
            found = self._sites(student).with_full_widths(self.full_widths)
            self._known = (student, Channels(student, found, self.times))
        return self._known[1]

    def _plan(self, student, **aim):
        return plan_for(self.channels(student), residual=self.config.residual, **aim)

    def _agreed(self, plan):
        """The plan with the cuts that the chief has; one process alone keeps its own."""
        own = {site: (cut.outputs.tolist(), cut.inputs.tolist()) for site, cut in plan.cuts.items()}
        theirs = self.team.of_chief(own)
        cuts = {
            site: dataclasses.replace(cut, outputs=np.array(theirs[site][0]), inputs=np.array(theirs[site][1]))
            for site, cut in plan.cuts.items()
        }
        return dataclasses.replace(plan, cuts=cuts)

    def without_zeros(self, student, round_to=1):
        """The plan that removes all channels that are exactly zero, down to multiples of `round_to`."""
        return self._plan(student, round_to=round_to)

    def cuts_left(self, step):
        """Whether the last cut ends after this optimizer step."""
        return self.schedule is not None and self.schedule.ends()[-1] > step

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.schedule is None:
            return
        # Not `optimizer.iterations`, which lags behind when a step is skipped because its scaled gradients overflowed.
        step = self.epoch * self.steps_per_epoch + batch + 1
        starts, ends = self.schedule.starts(), self.schedule.ends()
        if step in ends and self.under_way is not None:
            self._remove(self._agreed(self.without_zeros(self.model.student)))
        if step in starts:
            number = len(starts) - starts[::-1].index(step)
            self._cut(self.schedule.kept(number), ends[number - 1] - step, final=number == len(starts))
        if step == ends[-1]:
            for part in self.model.parts.values():
                part.cuts_are_over()

    def _cut(self, kept, steps, final):
        """Chooses the channels to remove, and removes them over `steps` steps, or at once if `steps` is 0.

        Without evidence it does nothing; the next cut then removes more channels.
        """
        distiller, student = self.model, self.model.student
        importance = self.importance(distiller, needed=final)
        if importance is None:
            return
        channels, round_to = self.channels(student), self.config.round_to if final else 1
        plan = self._agreed(self._plan(student, budget=(self.unit, kept), round_to=round_to, importance=importance))
        record = cut_record(plan, only_living(importance, channels.living()), channels.costs, self.unit)
        before = {f"{name}_before": value for name, value in self.measure(student).items()}
        self.under_way = (record or {}) | before
        if steps:
            distiller.parts["fade"].start(self._staying(student, plan), steps)
        else:
            self._remove(plan)
        for part in distiller.parts.values():
            part.restart()

    def _remove(self, plan):
        """Ends a cut: sets the chosen channels to exactly zero, where they stay."""
        distiller, student = self.model, self.model.student
        silence(student, plan, distiller.optimizer, whole_filters=self.config.cut == "filters")
        if "fade" in distiller.parts:
            # Those that had left before may fit into the plan's budget, and still stay away.
            distiller.parts["fade"].hold(self._staying(student, self.without_zeros(student)))
        after = {f"{name}_after": value for name, value in self.measure(student).items()}
        self._log(self.epoch + 1, self.under_way, after)
        self.under_way = None

    def _staying(self, student, plan):
        return staying_entries(self.channels(student).sites, plan, self.config.cut == "filters")

    def _log(self, epoch, record, figures):
        if self.log is not None and record:
            self.log({"stage": "student", "epoch": epoch} | record | figures)

    def importance(self, distiller, needed=True):
        """Importance of all channels by `--importance`.

        Args:
            distiller: the `Distiller` that trains.
            needed: whether missing evidence is an error, True by default.

        Returns:
            Site -> (channels,), or None if no evidence was gathered since the last cut and `needed` is False.

        Raises:
            UserError: if evidence is needed and missing, or if an importance is not finite.
        """
        name = self.config.importance
        gatherer, evidence = IMPORTANCES[name].gathered_by, {}
        if gatherer is not None and not (evidence := distiller.parts[gatherer].evidence()):
            if needed:
                raise UserError(
                    f"There is no evidence for --importance={name} since the last cut, because all steps overflowed in "
                    "float16; train longer before --cut_end, or with --mixed_precision=none."
                )
            return None
        norms = self.channels(distiller.student).comparable(self.unit) if gatherer is None else {}
        return importance_of(name, norms, evidence)

    def wants_rebuild(self, distiller, epoch):
        """Whether to rebuild without the zeroed channels after this epoch (counted from 1)."""
        return self.team.of_chief(self._is_worth_it(distiller, epoch))

    def _is_worth_it(self, distiller, epoch):
        finished = self.schedule is not None and not self.cuts_left(epoch * self.steps_per_epoch)
        plan = self.without_zeros(distiller.student, self.config.pad_channels)
        if plan.is_identity:
            return False
        if self.config.surgery_every and not finished:
            return epoch % self.config.surgery_every == 0
        # A lower bound: the training form also saves MACs in indicators and in filters that feed nothing.
        now, saved = count_macs(distiller.student, deployed=False), plan.macs[0] - plan.macs[1]
        return worth_rebuilding(now, now - saved, finished)

    def operate(self, student, optimizer, images, plan=None):
        """Rebuilds the student without its zeroed channels, up to multiples of `--pad_channels`, or by a given plan.

        Args:
            student: functional model; not changed.
            optimizer: its optimizer.
            images: (N, H, W, 3) in 0..255, on which the change of the embeddings is measured.
            plan: `SurgeryPlan`; by default all zeroed channels leave.

        Returns:
            `(model, optimizer, plan, change)`: the slim model, its optimizer, the plan, and the largest absolute
            change of a value of the embedding (without one, of all outputs) divided by the largest absolute value.
        """
        plan = plan or self._agreed(self.without_zeros(student, self.config.pad_channels))
        slim, slim_optimizer = rebuild(student, plan, optimizer=optimizer)
        before, after = (_embeddings(model(images, training=False)) for model in (student, slim))
        change = float(np.abs(after - before).max() / max(float(np.abs(before).max()), 1e-12))
        for site, kept in self.kept_channels.items():
            self.kept_channels[site] = [kept[position] for position in plan.cuts[site].outputs]
        return slim, slim_optimizer, plan, change

    def last_plan(self, student, epoch):
        """The plan after the last epoch: removes zeroed channels and, without a budget, those below the threshold."""
        if self.schedule is None and self.config.importance_threshold is not None:
            plan = self._plan(
                student, importance_threshold=self.config.importance_threshold, round_to=self.config.round_to
            )
            channels = self.channels(student)
            self._log(epoch, cut_record(plan, channels.norms(), channels.costs, "norm"), {})
            return self._agreed(plan)
        return self._agreed(self.without_zeros(student))


def _embeddings(outputs):
    if isinstance(outputs, dict) and "embedding" in outputs:
        outputs = outputs["embedding"]
    return np.concatenate([keras.ops.convert_to_numpy(x).ravel() for x in keras.tree.flatten(outputs)])
