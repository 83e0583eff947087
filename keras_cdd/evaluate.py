"""What a model file is worth for retrieval.

python -m keras_cdd.evaluate --model=runs/x/deploy.keras --dataset=csv --csv=split.csv --json=out.json
python -m keras_cdd.evaluate --model=runs/x/model_int8.tflite --gallery_model=runs/x/teacher.keras --workdir=runs/x
python -m keras_cdd.evaluate --model=efficientnet_lite0 --pretrained=imagenet --workdir=runs/x
"""

import dataclasses
import os

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.models.backbones import ALL_BACKBONES
from keras_cdd.settings.flags import section_from_flags
from keras_cdd.settings.option import option

# Height and width of the images of a backbone, in pixels, without a run.
SIZE = (224, 224)
# Flags that the result names; the others only where they were given.
ASKED = ("model", "dataset", "gallery_trials", "rerank", "flip")
ONLY_IF_GIVEN = ("pretrained", "rescaling", "gallery_model", "gallery_embeddings")


@dataclasses.dataclass(frozen=True)
class EvaluateFlags:
    """What is evaluated, and how."""

    model: str | None = option(
        None, "A .keras or .tflite file that embeds images; or, with --pretrained, the name of a backbone."
    )
    pretrained: str | None = option(
        None, "Weights of the backbone, imagenet or a file: its pooled features are then the embedding."
    )
    gallery_model: str | None = option(None, "A file that embeds the gallery in place of --model.")
    gallery_embeddings: str | None = option(
        None, "The gallery's embeddings: .npz or .parquet with path and embedding, of any model."
    )
    image_size: tuple[int, ...] = option(
        (), "Height,width of a backbone, 224,224 without a --workdir, or of a file that takes any size."
    )
    rescaling: tuple[float, ...] = option(
        (), "Scale,offset from pixels 0..255 to what a foreign --model takes, if it does not take pixels."
    )
    workdir: str | None = option(
        None, "Folder of a run: takes its data set, and adds the result to the table of its report."
    )
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
    options = section_from_flags(EvaluateFlags, flags.FLAGS)
    _check(options)
    from keras_cdd.data.registry import folder_of, load_dataset
    from keras_cdd.experiment.model_search import query_model, searches
    from keras_cdd.run_folder.writing import write_json

    run = _run(options)
    data = options if run is None else run.config.data
    # Every list is read before the first image: a mistake in them shows at once.
    datasets = [
        load_dataset(data.dataset, data.data_dir, data.csv, download=options.download, gallery_trial=trial)
        for trial in range(options.gallery_trials)
    ]
    model = query_model(options, datasets[0], SIZE if run is None else run.image_size)
    trials = [metrics.as_percent() for metrics in searches(options, model, datasets, folder_of(data))]
    result = {name: round(sum(trial[name] for trial in trials) / len(trials), 3) for name in trials[0]}
    print("  ".join(f"{name} {value:.2f}" for name, value in result.items()))
    asked = {name: getattr(options, name) for name in ASKED} | {"dataset": data.dataset}
    asked |= {name: getattr(options, name) for name in ONLY_IF_GIVEN if getattr(options, name)}
    if options.json:
        write_json(options.json, asked | result)
    if run is not None:
        _add_to_report(run, asked | result, model, None if options.pretrained else options.model)


def _run(options):
    """The `RunFiles` of `--workdir`, or None."""
    if options.workdir is None:
        return None
    from keras_cdd.run_folder.reading import RunFiles

    run = RunFiles(options.workdir, options.data_dir, options.csv)
    if flags.FLAGS["dataset"].present and options.dataset != run.config.data.dataset:
        raise UserError(
            f"--workdir {options.workdir} is of data set {run.config.data.dataset}; leave --dataset out, or --workdir."
        )
    return run


def _add_to_report(run, result, model, path):
    from keras_cdd.experiment.off_the_shelf import measured
    from keras_cdd.report.page import write_report
    from keras_cdd.run_folder import layout
    from keras_cdd.run_folder.json_lines import append_record

    size = dict(zip(("image_height", "image_width"), model.image_size, strict=True))
    record = result | size | {"embedding_size": model.embedding_size} | measured(model, path)
    append_record(run.path / layout.EVALUATIONS, record)
    print(f"report: {write_report(run.path)}")


def _check(options):
    """Raises for what needs no model and no data to be seen."""
    _check_models(options)
    if options.batch_size < 1:
        raise UserError(f"--batch_size must be positive. Received: {options.batch_size}")
    trials, most = options.gallery_trials, 10 if options.workdir or options.dataset.startswith("vehicleid") else 1
    if not 1 <= trials <= most:
        raise UserError(f"--gallery_trials is 1, for vehicleid up to 10. Received: {trials}")
    if options.json and not os.path.isdir(os.path.dirname(options.json) or "."):
        raise MissingFileError(f"There is no folder for --json={options.json}; make it first.")
    if options.workdir and (options.rerank or options.flip):
        raise UserError("--workdir compares without --rerank and --flip; leave them out.")


def _check_models(options):
    is_backbone = options.model in ALL_BACKBONES
    if options.model is None:
        raise UserError("--model is missing; give a .keras or .tflite file, or a backbone with --pretrained.")
    if is_backbone and not options.pretrained:
        raise UserError(f"--model={options.model} is a backbone; name its weights: --pretrained=imagenet or a file.")
    if options.pretrained and not is_backbone:
        raise UserError(f"--pretrained is for a --model out of {', '.join(ALL_BACKBONES)}. Received: {options.model}")
    if options.gallery_model and options.gallery_embeddings:
        raise UserError("--gallery_model and --gallery_embeddings were both given; give one of them.")
    size, rescaling = options.image_size, options.rescaling
    if len(size) not in (0, 2) or any(side < 1 for side in size):
        raise UserError(f"--image_size is height,width, both positive. Received: {size}")
    if len(rescaling) not in (0, 2):
        raise UserError(f"--rescaling is scale,offset. Received: {rescaling}")


def run():
    run_command(main, {"evaluate": EvaluateFlags})


if __name__ == "__main__":
    run()
