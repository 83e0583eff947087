"""One Parquet file of embeddings."""

import contextlib
import json

import numpy as np

from keras_cdd.commands.installed import require_packages
from keras_cdd.errors import UserError

from ..gallery.embedded_batch import EmbeddedBatch
from ..gallery.image import GalleryImage
from ..gallery.vector_codec import STORED, misfit
from .part_format import PartFormat

ABOUT, UNREADABLE = b"keras_cdd", b"keras_cdd_unreadable"
# int8 becomes 32 bits without a dictionary; pictures are compressed already.
TEXTS, NUMBERS = ["identity", "camera", "model_sha256"], "embedding.list.element"


def require_pyarrow():
    """Raises UserError if pyarrow is not installed."""
    require_packages("A folder of embeddings", {"pyarrow": "pyarrow==25.0.0"})


def table_of(part_format, batches):
    """Joins the batches of a file.

    Args:
        part_format: `PartFormat`.
        batches: list of `EmbeddedBatch`es of all records of the file, in their order.

    Returns:
        `pyarrow.Table` of the columns path, identity and camera (text or null), embedding (list of D int8 or float16),
        scale (float64), model_sha256 (text) and thumbnail (JPEG).
    """
    import pyarrow as pa

    made = part_format.gallery
    images = [image for batch in batches for image in batch.images]
    numbers = pa.array(np.concatenate([batch.stored for batch in batches]).ravel())
    sha256 = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(images), np.int32)), [made.model_sha256])
    columns = {name: pa.array([getattr(image, name) for image in images], pa.string()) for name in TEXTS[:2]}
    unreadable = [
        (number * part_format.batch_size + row, str(error))
        for number, batch in enumerate(batches)
        for row, error in batch.unreadable.items()
    ]
    table = pa.table(
        {
            "path": pa.array([image.path for image in images], pa.string()),
            **columns,
            "embedding": pa.FixedSizeListArray.from_arrays(numbers, made.embedding_size),
            "scale": pa.array(np.concatenate([batch.scales for batch in batches])),
            "model_sha256": sha256,
            "thumbnail": pa.array([image.thumbnail for image in images], pa.binary()),
        }
    )
    return table.replace_schema_metadata({ABOUT: part_format.to_json(), UNREADABLE: json.dumps(unreadable)})


def write_table(table, file):
    """Writes the table of `table_of` to a path or an open file."""
    import pyarrow.parquet

    is_int8 = str(table.schema.field("embedding").type.value_type) == "int8"
    pyarrow.parquet.write_table(
        table,
        file,
        row_group_size=max(1, len(table)),
        use_dictionary=[*TEXTS, *([NUMBERS] if is_int8 else [])],
        write_statistics=["path", *TEXTS],
    )


def read_format(path):
    """The `PartFormat` of a file.

    Raises:
        UserError: if the file is damaged or not written by this program.
    """
    import pyarrow.parquet

    with _explained(path):
        return PartFormat.from_json((pyarrow.parquet.read_metadata(path).metadata or {}).get(ABOUT, "null"))


def count_rows(path):
    """Number of images in a file."""
    import pyarrow.parquet

    with _explained(path):
        return pyarrow.parquet.read_metadata(path).num_rows


def read_batches(path, part_format, part):
    """Reads a file as what `embedded_batches` yielded when it was written.

    Args:
        path: path of file `part`.
        part_format: `PartFormat` of all files.
        part: number of the file.

    Returns:
        List of `EmbeddedBatch`es; why images were unreadable is a `UserError` with the text of then.

    Raises:
        UserError: if the file is damaged.
    """
    import pyarrow.parquet

    with _explained(path):
        table = pyarrow.parquet.read_table(path, memory_map=True).combine_chunks()
        unreadable = dict(json.loads(table.schema.metadata[UNREADABLE]))
        whole = _joined(table, part_format.gallery)
        count = len(part_format.positions(part))
        read = np.array([row not in unreadable for row in range(count)])
        if read.sum() != len(table) or len(unreadable) != count - len(table):
            raise ValueError(f"it has {len(table)} rows and not one for each of its {count} images")
    return list(_divided(whole, read, unreadable, part_format.batch_size))


def _joined(table, made):
    """All rows as one `EmbeddedBatch`."""
    import pyarrow as pa

    lists = table["embedding"].combine_chunks()
    numbers = np.asarray(lists.flatten().to_numpy(zero_copy_only=False))
    if lists.type.list_size != made.embedding_size or numbers.dtype != STORED[made.embedding_type]:
        raise ValueError(f"its embeddings are {lists.type}")
    names = [table[name].cast(pa.string()).to_pylist() for name in ("path", "identity", "camera")]
    images = [GalleryImage(*row) for row in zip(*names, table["thumbnail"].to_pylist(), strict=True)]
    stored, scales = numbers.reshape(len(images), made.embedding_size), table["scale"].to_numpy()
    if any(image.path is None or image.thumbnail is None for image in images):
        raise ValueError("a path or a thumbnail is missing")
    wrong = misfit(stored, scales)
    if wrong.any():
        raise ValueError(f"the embedding of {images[wrong.argmax()].path} does not fit its scale")
    return EmbeddedBatch(images, stored, scales, {})


def _divided(whole, read, unreadable, batch_size):
    row = 0
    for start in range(0, len(read), batch_size):
        inside = read[start : start + batch_size]
        rows = slice(row, row + int(inside.sum()))
        errors = {int(n): UserError(unreadable[start + int(n)]) for n in np.flatnonzero(~inside)}
        yield EmbeddedBatch(whole.images[rows], whole.stored[rows], whole.scales[rows], errors)
        row = rows.stop


@contextlib.contextmanager
def _explained(path):
    """Turns errors of damaged files into one UserError that names the file."""
    import pyarrow as pa

    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"Embeddings {path} cannot be used: {reason[:200]}; remove it and embed again.") from error
