"""What reads strangers' files, and inputs for it.

`READERS` has, by name, functions of the folder with the kept runs that return `(inputs, read)`: a strategy of
hypothesis and a function that uses one of its values, or raises `UserError`.
"""

from tests.reliability import file_readers, input_readers

READERS = {
    "command lines": input_readers.command_line,
    "flagfiles": input_readers.flagfile,
    "CSV lists": input_readers.csv_list,
    "archives": input_readers.archive,
    "images": input_readers.image,
    "manifests": file_readers.manifest,
    "galleries": file_readers.gallery,
    "run folders": file_readers.run_folder,
    "embedding files": file_readers.embeddings,
    "weight files": file_readers.weights,
    ".keras models": file_readers.keras_model,
    "checkpoints": file_readers.checkpoint,
    ".tflite models": file_readers.tflite,
}
