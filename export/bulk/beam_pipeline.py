"""Embedding inside an Apache Beam pipeline."""

import contextlib
import json
import os
import pathlib
import threading

from keras_cdd.data.records import ImageRecord
from keras_cdd.errors import UserError
from keras_cdd.run_folder.writing import whole, write_text

from ..gallery.embedded_batch import embed_batch
from ..gallery.embedding_model import EmbeddingModel
from .part_file import table_of, write_table

try:
    import apache_beam as beam
    from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference
except ImportError:
    # `embed_beam` says so; whoever imports all modules need not have it.
    ModelHandler = object


class EmbeddingHandler(ModelHandler):
    """Runs a `.tflite` or `.keras` file in `RunInference`; an element is a line of `work_list`.

    A file's images must be embedded in the same groups wherever they are embedded, so an element is a whole batch.

    Args:
        path: path of the model, on a disk that all workers see.
        embedding_type: "int8" or "float16".
    """

    def __init__(self, path, embedding_type):
        super().__init__(min_batch_size=1, max_batch_size=1)
        self._path, self._embedding_type = str(path), embedding_type

    def load_model(self):
        """Returns a `_SharedModel`."""
        return _SharedModel(self._path)

    def run_inference(self, batch, model, inference_args=None):
        """Yields a `PredictionResult` for each element; its `inference` is an `EmbeddedBatch`."""
        for line in batch:
            records = [ImageRecord(*record) for record in json.loads(line)["records"]]
            with model.lock:
                done = embed_batch(model.model, records, self._embedding_type)
            # Not every exception can be sent to another process.
            reasons = {row: UserError(str(error)) for row, error in done.unreadable.items()}
            yield PredictionResult(line, done._replace(unreadable=reasons))


def embed_with(pipeline, lines, part_format, folder, model):
    """Adds the steps that embed images and write files to a pipeline.

    Args:
        pipeline: `apache_beam.Pipeline`.
        lines: path of the file that `work_list` wrote.
        part_format: `PartFormat`.
        folder: existing folder for the files, on a disk that all workers see.
        model: path of the model, on such a disk.

    Returns:
        PCollection of the names of the files that were written.
    """
    return (
        pipeline
        | "Read" >> beam.io.ReadFromText(str(lines))
        | "Spread" >> beam.Reshuffle()
        | "Embed" >> RunInference(EmbeddingHandler(model, part_format.gallery.embedding_type))
        | "Number" >> beam.Map(_numbered)
        | "Gather" >> beam.GroupByKey()
        | "Write" >> beam.Map(_write, part_format=part_format, folder=str(folder))
    )


@contextlib.contextmanager
def work_list(records, part_format, folder, parts):
    """Context manager that yields the path of a file with a line for every batch of these files of the list.

    A list of a million images would be too long for the description of a pipeline. The file is hidden, in `folder`.
    """
    path = pathlib.Path(folder).absolute() / f".work-{os.getpid()}.jsonl"
    lines = []
    for part in parts:
        positions, size = part_format.positions(part), part_format.batch_size
        for number, start in enumerate(range(positions.start, positions.stop, size)):
            batch = records[start : min(start + size, positions.stop)]
            listed = [(record.path, record.identity, record.camera) for record in batch]
            lines.append(json.dumps({"part": part, "number": number, "records": listed}) + "\n")
    write_text(path, "".join(lines))
    try:
        yield path
    finally:
        path.unlink()


class _SharedModel:
    """An `EmbeddingModel` and its lock: threads of a worker share it, whose interpreter does one thing at a time."""

    def __init__(self, path):
        self.model, self.lock = EmbeddingModel(path), threading.Lock()


def _numbered(result):
    place = json.loads(result.example)
    return place["part"], (place["number"], result.inference)


def _write(gathered, part_format, folder):
    part, numbered = gathered
    batches = [batch for _, batch in sorted(numbered, key=lambda pair: pair[0])]
    name = part_format.name(part)
    with whole(pathlib.Path(folder) / name) as fresh:
        write_table(table_of(part_format, batches), fresh)
    return name
