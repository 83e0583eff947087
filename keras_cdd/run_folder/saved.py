"""What a stopped run has saved, in words (no Keras)."""

import json
import pathlib

from keras_cdd.run_folder import layout


def saved_text(folder):
    """What a run can go on from: "the student after epoch 3", "the trained teacher"; or None if there is nothing yet.

    Args:
        folder: the workdir.
    """
    folder = pathlib.Path(folder)
    for stage, model in (("student", layout.STUDENT), ("teacher", layout.TEACHER)):
        if (folder / model).is_file():
            return f"the trained {stage}"
        for checkpoint in (stage, f"{stage}.old"):
            try:
                state = json.loads((folder / layout.CHECKPOINTS / checkpoint / "state.json").read_text())
                return f"the {stage} after epoch {state['epoch']}"
            except (OSError, ValueError, LookupError, TypeError):
                continue
    return None
