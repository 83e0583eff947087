"""What a model file is worth for retrieval.

python -m keras_cdd.evaluate --model=runs/x/deploy.keras --dataset=csv --csv=split.csv --json=out.json
"""

import dataclasses
import os

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.settings.config import option


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    """What is evaluated, and how."""

    model: str | None = option(None, "A .keras or .tflite file that embeds images.")
    dataset: str = option("synthetic", "Data set or protocol; a wrong name lists the known ones.")
    data_dir: str | None = option(None, "Folder with the data set's original files, unpacked or as zip archives.")
    csv: str | None = option(None, "For --dataset=csv: a file with the columns path,identity,camera,split.")
    download: bool = option(False, "Fetch omniglot or grocery into --data_dir if they are not there.")
    gallery_trials: int = option(1, "Random galleries to average over, for vehicleid (10 in the literature).")
    batch_size: int = option(128, "Images at a time.")
    rerank: bool = option(False, "Re-rank by k-reciprocal neighbours.")
    flip: bool = option(False, "Add the mirrored image's embedding.")
    json: str | None = option(None, "File to write the result to.")
    strict_data: bool = option(False, "Stop at an unreadable image instead of reporting and skipping it.")
    cache_dir: str | None = option(
        "~/.cache/keras_cdd", "Folder for decoded images that do not fit into memory; empty to decode them every time."
    )
    cache_gib: float = option(64.0, "How much --cache_dir may hold, in GiB; what was not used for longest goes first.")


def main(_):
    values = flags.FLAGS
    _check(values)
    from keras_cdd.data import load_dataset
    from keras_cdd.evaluation import Evaluator, load_embedder
    from keras_cdd.run_folder.writing import write_json

    model = load_embedder(values.model)
    if None in model.image_size:
        raise UserError(f"--model {values.model} takes images of any size; save it with one height and width.")
    # Every list is read before the first image: a mistake in them shows at once.
    datasets = [
        load_dataset(values.dataset, values.data_dir, values.csv, download=values.download, gallery_trial=trial)
        for trial in range(values.gallery_trials)
    ]
    options = (model.image_size, values.batch_size, values.rerank, values.flip, values.strict_data)
    kept = {"cache_dir": values.cache_dir, "cache_gib": values.cache_gib}
    trials = [Evaluator(dataset, *options, **kept).evaluate(model).as_percent() for dataset in datasets]
    result = {name: round(sum(trial[name] for trial in trials) / len(trials), 3) for name in trials[0]}
    print("  ".join(f"{name} {value:.2f}" for name, value in result.items()))
    if values.json:
        asked = {name: values[name].value for name in ("model", "dataset", "gallery_trials", "rerank", "flip")}
        write_json(values.json, asked | result)


def _check(values):
    """Raises for what needs no model and no data to be seen."""
    if values.model is None:
        raise UserError("--model is missing; give a .keras or .tflite file.")
    if values.batch_size < 1:
        raise UserError(f"--batch_size must be positive. Received: {values.batch_size}")
    trials, most = values.gallery_trials, 10 if values.dataset.startswith("vehicleid") else 1
    if not 1 <= trials <= most:
        raise UserError(f"--gallery_trials is 1, for vehicleid up to 10. Received: {trials}")
    if values.json and not os.path.isdir(os.path.dirname(values.json) or "."):
        raise MissingFileError(f"There is no folder for --json={values.json}; make it first.")


def run():
    run_command(main, {"evaluate": EvaluateFlags})


if __name__ == "__main__":
    run()
