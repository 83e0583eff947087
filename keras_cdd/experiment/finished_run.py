"""The example pictures of a run that is over."""

import keras

from keras_cdd.data.registry import load_dataset
from keras_cdd.experiment.watch import Watch
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.run_folder.workdir import Workdir
from keras_cdd.settings.flags import config_from_flagfile

MODELS = ("teacher", "student", "deploy")


def redo_examples(path):
    """Evaluates the models of a run again and keeps its examples, as the end of a run does.

    Args:
        path: the workdir.

    Raises:
        FileNotFoundError: if there is no run, or its data are not where they were.
        ValueError: if it is not finished.
    """
    run = RunFiles(path)
    missing = [f"{name}.keras" for name in MODELS if run.size_of(f"{name}.keras") is None]
    if missing or not run.summary:
        raise ValueError(f"--workdir {path} is not finished ({', '.join(missing) or 'summary.json'} is missing).")
    config = config_from_flagfile(run.path / "flags.flags")
    dataset = load_dataset(config.data.dataset, config.data.data_dir, config.data.csv)
    watch = Watch(config, dataset, Workdir(path, (run.path / "flags.flags").read_text()))
    models = {name: keras.saving.load_model(run.model_file(f"{name}.keras"), compile=False) for name in MODELS}
    evaluated = {name: watch.evaluator.embeddings(model) for name, model in models.items() if name != "student"}
    watch.finish(models, evaluated, {name: watch.evaluator.rank(*sides) for name, sides in evaluated.items()})
