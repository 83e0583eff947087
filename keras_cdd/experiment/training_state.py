"""The checkpoint of a stage: the model, the variables of the optimizer and of all parts, and the length of the logs."""

from keras_cdd.experiment.weight_paths import weights_by_layer
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.checkpoint import load_checkpoint, restore_variables, save_checkpoint, settled
from keras_cdd.surgery.optimizer_slots import slots


class TrainingState:
    """The checkpoint of one stage of a run.

    Args:
        workdir: `Workdir`.
        stage: "teacher" or "student".
    """

    def __init__(self, workdir, stage):
        self.workdir = workdir
        self.stage = stage
        self.folder = workdir / layout.CHECKPOINTS / stage

    def save(self, distiller, facts):
        """Replaces the checkpoint by the state at the end of an epoch; `facts` is a JSON-able dict to save with it.

        Of several workers, the chief does.
        """
        if not self.workdir.team.is_chief:
            return
        facts = {**facts, "logged": self.workdir.logged(self.stage)}
        save_checkpoint(self.folder, distiller.student, _variables(distiller), facts)

    def load(self):
        """Returns `(model, name -> array, facts)` of the last complete checkpoint, or None if there is none.

        Truncates the stage's logs to their length at that checkpoint, so that a resumed run logs nothing twice.

        Raises:
            UserError: if the checkpoint cannot be read.
        """
        if self.workdir.team.is_chief:
            settled(self.folder)
        is_there = self.workdir.awaited(f"{layout.CHECKPOINTS}/{self.stage}")
        saved = load_checkpoint(self.folder) if is_there else None
        self.workdir.rewind(self.stage, saved[2]["logged"] if saved else {})
        return saved

    @staticmethod
    def restore(distiller, arrays):
        """Assigns the arrays of a checkpoint to the optimizer and the parts of a `Distiller`.

        Raises:
            UserError: if names or shapes differ.
        """
        restore_variables(_variables(distiller), arrays)


def _variables(distiller):
    """Name -> variable of the optimizer and the parts, that is, of everything except the model's weights."""
    student, named = distiller.student, {}
    paths = {id(weight): path for path, weight in weights_by_layer(student).items()}
    for name, slot, weight, kind in slots(distiller.optimizer, student.trainable_variables):
        named[f"optimizer/{name if weight is None else f'{paths[id(weight)]}:{kind}'}"] = slot
    parts = {f"{part.name}/{name}": v for part in distiller.parts.values() for name, v in part.variables().items()}
    return {**named, **parts}
