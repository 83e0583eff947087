"""Exports a run's deployed model as TFLite: `python -m export.to_tflite --workdir=runs/x --precision=int8`."""

import dataclasses

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.commands.installed import require_packages
from keras_cdd.errors import UserError
from keras_cdd.settings.option import option

from .conversion.quantize import INPUT_TYPES, PRECISIONS

# int8 by quantization-aware training.
QAT = "int8_qat"
# --batch -> number of images; None for any.
BATCHES = {"1": 1, "any": None}
# Name of the module -> name of the package to install.
NEEDED = {"ai_edge_litert": "ai-edge-litert", "flatbuffers": "flatbuffers"}
NEEDED_BY_QAT = {"tensorflow_model_optimization": "tensorflow-model-optimization", "tf_keras": "tf-keras"}


@dataclasses.dataclass(frozen=True)
class ExportFlags:
    """Flags of this command."""

    workdir: str | None = option(None, "Folder of a finished run; the file and its report are written there.")
    precision: str = option("int8", "Number type of weights and arithmetic.", (*PRECISIONS, QAT))
    input_type: str = option("uint8", "Number type of the input pixels.", INPUT_TYPES)
    batch: str = option("1", "Images that the file takes at a time: 1, for every runtime, or any.", tuple(BATCHES))
    max_map_drop: float = option(0.5, "mAP points that the file may lose against deploy.keras.")
    representative_images: int = option(256, "For int8: number of training images that set the activation ranges.")
    qat_epochs: int = option(10, "For int8_qat: epochs of quantization-aware training.")
    qat_teacher: str = option("deploy", "For int8_qat: the model whose embeddings it learns.", ("deploy", "teacher"))
    data_dir: str | None = option(None, "New location of the run's data set, if it was moved.")
    csv: str | None = option(None, "New location of the run's CSV, if it was moved.")


def main(_):
    values = flags.FLAGS
    _check(values)
    from keras_cdd.run_folder.layout import exported_name
    from keras_cdd.run_folder.lock import Lock
    from keras_cdd.run_folder.reading import RunFiles

    run = RunFiles(values.workdir, values.data_dir, values.csv)
    final = run.path / exported_name(values.precision)
    with Lock(final, str(final)):
        report = _export(run, final, values)
    print(_summary(report, final))


def _export(run, final, values):
    """Writes the file and its report, which it returns."""
    from keras_cdd.run_folder.writing import whole, write_json

    from .proof.verify import Verifier

    model = run.model()
    verifier = Verifier(model, run.dataset, run.image_size, run.config.data.strict_data)
    with whole(final) as fresh:
        fresh.write_bytes(_described(_converted(run, model, values), values))
        report = {"model": final.name, "precision": values.precision, "input_type": values.input_type}
        report |= {"batch": BATCHES[values.batch] or values.batch}
        report |= verifier.measure(fresh)
        _require_accuracy(report, final, values.max_map_drop)
    # The sha256 in the report tells whether it belongs to the file.
    write_json(final.with_suffix(".json"), report)
    return report


def _check(values):
    """Raises for mistakes that can be found before the model and the data are loaded."""
    if values.workdir is None:
        raise UserError("--workdir is missing; give the folder of a finished run.")
    if values.representative_images < 1 or values.qat_epochs < 1:
        numbers = (values.representative_images, values.qat_epochs)
        raise UserError(f"--representative_images and --qat_epochs must be positive. Received: {numbers}")
    needed = NEEDED | (NEEDED_BY_QAT if values.precision == QAT else {})
    require_packages(f"--precision={values.precision}", needed)


def _converted(run, model, values):
    """The bytes of the file, without metadata."""
    from .conversion.integer_form import integer_form
    from .conversion.quantize import to_tflite
    from .conversion.representative import representative_images

    batch = BATCHES[values.batch]
    if values.precision not in ("int8", QAT):
        return to_tflite(model, values.precision, values.input_type, batch=batch)
    images = representative_images(run.dataset.train, run.image_size, values.representative_images)
    if values.precision == "int8":
        return to_tflite(integer_form(model), "int8", values.input_type, images, batch)
    from keras_cdd.data.training_data import TrainingData

    from .conversion.qat.training import quantization_aware

    # By default the student teaches itself: a teacher that is worse than the student would degrade it.
    teacher = model if values.qat_teacher == "deploy" else run.model("teacher")
    data = TrainingData(run.dataset, run.config.data, run.config.training.seed, labelled=run.config.needs_labels)
    steps = values.qat_epochs * data.steps_per_epoch
    return quantization_aware(model, teacher, data.batches(), images, steps, values.input_type, batch)


def _described(content, values):
    from .conversion.metadata import with_metadata

    text = f"Embeds images for retrieval by cosine. Precision: {values.precision}."
    return with_metadata(content, "keras_cdd embedder", text, values.input_type)


def _require_accuracy(report, final, max_map_drop):
    if not report["map_drop"] <= max_map_drop:
        for path in (final, final.with_suffix(".json")):
            path.unlink(missing_ok=True)
        raise UserError(
            f"{final.name} would lose {report['map_drop']:.2f} mAP points, more than --max_map_drop={max_map_drop}, "
            "and was not written; take another --precision or more --representative_images."
        )


def _summary(report, final):
    one, two = report["latency_ms"].values()
    return (
        f"{final}: mAP {report['mAP']:.2f} (Keras {report['keras']['mAP']:.2f})  Rank-1 {report['rank1']:.2f}  "
        f"cosine {report['cosine_mean']:.4f}, at least {report['cosine_min']:.4f}  {report['bytes']:,} bytes  "
        f"{one:.2f} ms, 2 threads {two:.2f} ms"
    )


def run():
    run_command(main, {"export": ExportFlags})


if __name__ == "__main__":
    run()
