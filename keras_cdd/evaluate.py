"""What a model file is worth: `python -m keras_cdd.evaluate --model=deploy.keras --dataset=csv --csv=split.csv`."""

import dataclasses
import json
import os

from absl import flags

from keras_cdd.cli import run_command
from keras_cdd.config import option
from keras_cdd.flags import define_flags


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    """What this command takes."""

    model: str | None = option(None, "A .keras or .tflite file that embeds images.")
    dataset: str = option("synthetic", "Data set or protocol; a wrong name lists the known ones.")
    data_dir: str | None = option(None, "Folder with the data set's original files, unpacked or as zip archives.")
    csv: str | None = option(None, "For --dataset=csv: a file with the columns path,identity,camera,split.")
    gallery_trials: int = option(1, "Random galleries to average over, for vehicleid (10 in the literature).")
    batch_size: int = option(128, "Images at a time.")
    rerank: bool = option(False, "Re-rank by k-reciprocal neighbours.")
    flip: bool = option(False, "Add the mirrored image's embedding.")
    json: str | None = option(None, "File to write the result to.")
    strict_data: bool = option(False, "Stop at an unreadable image instead of reporting and skipping it.")


def main(_):
    values = flags.FLAGS
    if values.model is None:
        raise ValueError("--model is missing; give a .keras or .tflite file.")
    from keras_cdd.data import load_dataset
    from keras_cdd.evaluation import Evaluator, load_embedder

    model = load_embedder(values.model)
    trials = []
    for trial in range(values.gallery_trials):
        dataset = load_dataset(values.dataset, values.data_dir, values.csv, gallery_trial=trial)
        evaluator = Evaluator(
            dataset, model.image_size, values.batch_size, values.rerank, values.flip, values.strict_data
        )
        trials.append(evaluator.evaluate(model).as_percent())
    result = {name: round(sum(trial[name] for trial in trials) / len(trials), 3) for name in trials[0]}
    print("  ".join(f"{name} {value:.2f}" for name, value in result.items()))
    if values.json:
        _write(values.json, {"model": values.model, "dataset": values.dataset, **result})


def _write(path, result):
    with open(f"{path}.new", "w") as file:
        json.dump(result, file, indent=2)
    os.replace(f"{path}.new", path)


if __name__ == "__main__":
    define_flags({"evaluate": EvaluateFlags})
    run_command(main)
