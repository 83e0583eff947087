"""What a checkpoint of a stage holds: the model, the union of what its parts remember, and how far its logs were."""

from keras_cdd.run_folder import layout
from keras_cdd.run_folder.checkpoint import load_checkpoint, restore_variables, save_checkpoint
from keras_cdd.surgery.optimizer_slots import named_slots


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
        """Replaces the checkpoint by the state at an epoch's end; `facts` is what else to remember, for JSON."""
        facts = {**facts, "logged": self.workdir.logged(self.stage)}
        save_checkpoint(self.folder, distiller.student, _variables(distiller), facts)

    def load(self):
        """`(model, name -> array, facts)` of the last whole checkpoint, or None if there is none.

        The stage's logs are cut back to what they held in that state, so that a resumed run logs nothing twice.
        """
        saved = load_checkpoint(self.folder)
        self.workdir.rewind(self.stage, saved[2]["logged"] if saved else {})
        return saved

    @staticmethod
    def restore(distiller, arrays):
        """Gives a checkpoint's arrays to the optimizer and the parts of a `Distiller`."""
        restore_variables(_variables(distiller), arrays)


def _variables(distiller):
    """Name -> variable of everything beside the weights."""
    slots, _ = named_slots(distiller.optimizer, distiller.student.trainable_variables)
    parts = {f"{part.name}/{name}": v for part in distiller.parts.values() for name, v in part.variables().items()}
    return {**{f"optimizer/{name}": slot for name, slot in slots.items()}, **parts}
