"""Logs: files of one JSON record a line."""

import json
import pathlib

from keras_cdd.run_folder.writing import append_line


def read_records(path):
    """The records of a `.jsonl` file, in order; none if there is no such file.

    A line that is not whole, because it is being written or its writer was killed, is left out.
    """
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except OSError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def append_record(path, record):
    """Appends a record to a `.jsonl` file, which is made if it is missing."""
    append_line(path, json.dumps(record))


def as_line(record):
    """A record as a line of such a file."""
    return json.dumps(record) + "\n"
