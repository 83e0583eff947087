"""A user's own images, listed in a CSV file."""

import csv as csv_format
import os
import pathlib
import zipfile

from keras_cdd.data.image import ZIP_MARK, open_zip
from keras_cdd.data.records import SPLITS, ImageRecord, RetrievalDataset
from keras_cdd.errors import MissingFileError, UserError

COLUMNS = ("path", "identity", "camera", "split")


def load(csv):
    """Reads a table with the columns `path,identity,camera,split`, in any order; its first line names them.

    Paths are relative to the CSV file, and may be entries of archives, `archive.zip!/inner/path.png`. The camera may be
    empty.

    Args:
        csv: path of the CSV file.

    Returns:
        `RetrievalDataset`.

    Raises:
        MissingFileError: if the CSV file or an image is missing; the message names the row.
        UserError: if a column or all rows are missing, a path or identity is empty, a split is unknown, or an image is
            listed twice in a split.
    """
    if csv is None:
        raise UserError("Data set 'csv' is read from a CSV file; name it with `csv`. Received: csv=None")
    csv = pathlib.Path(csv).expanduser()
    if not csv.is_file():
        raise MissingFileError(f"There is no CSV file {csv}; check the path.")
    try:
        records = _records(csv)
    except (UnicodeDecodeError, csv_format.Error) as error:
        raise UserError(f"CSV file {csv} cannot be read ({error}); save it as UTF-8 text.") from None
    if not records:
        raise UserError(f"CSV file {csv} lists no images; add rows below the column names.")
    return RetrievalDataset.from_records("csv", records)


def write_csv(dataset, csv):
    """Lists the images of a data set in a CSV file that `load` reads; identities get their names for people.

    Args:
        dataset: `RetrievalDataset` of files or of entries of archives.
        csv: path of the CSV file; its folder is made if it is missing.

    Raises:
        ValueError: if two identities have the same name.
    """
    records = (*dataset.train, *dataset.query, *dataset.gallery)
    names = {record.identity: dataset.name_of(record.identity) for record in records}
    if len(set(names.values())) < len(names):
        raise ValueError(
            f"The identities of {dataset.name!r} must have different names. Received: {sorted(names.values())}"
        )
    csv = pathlib.Path(csv)
    csv.parent.mkdir(parents=True, exist_ok=True)
    part = csv.with_name(csv.name + ".part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        table = csv_format.writer(file)
        table.writerow(COLUMNS)
        for record in records:
            camera = "" if record.camera is None else record.camera
            path = os.path.relpath(record.path, csv.parent)
            table.writerow([path, names[record.identity], camera, record.split])
    os.replace(part, csv)


def _records(csv):
    with open(csv, newline="", encoding="utf-8-sig") as file:
        table = csv_format.DictReader(file)
        missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
        if missing:
            raise UserError(f"CSV file {csv} has no column {', '.join(missing)}; its first line must name {COLUMNS}.")
        entries, lines, records = {}, {}, []
        for row in table:
            record = _record(csv, table.line_num, row, entries)
            first = lines.setdefault((record.path, record.split), table.line_num)
            if first != table.line_num:
                raise UserError(
                    f"CSV file {csv}, row {table.line_num} lists {record.path} again, after row {first}; remove one."
                )
            records.append(record)
        return records


def _record(csv, line, row, entries):
    where = f"CSV file {csv}, row {line}"
    path, identity, camera, split = ((row[column] or "").strip() for column in COLUMNS)
    if not path or not identity:
        raise UserError(f"{where}: path and identity must not be empty. Received: path={path!r}, identity={identity!r}")
    if split not in SPLITS:
        raise UserError(f"{where}: split must be one of {SPLITS}. Received: split={split!r}")
    path = str(csv.parent / path)
    if not _exists(path, entries):
        raise MissingFileError(f"{where}: there is no image {path}, or its archive cannot be read; correct the row.")
    return ImageRecord(path, identity, camera or None, split)


def _exists(path, entries):
    archive, mark, entry = path.partition(ZIP_MARK)
    if not mark:
        return os.path.isfile(path)
    if archive not in entries:
        try:
            entries[archive] = set(open_zip(archive).namelist())
        except (OSError, zipfile.BadZipFile):
            entries[archive] = set()
    return entry in entries[archive]
