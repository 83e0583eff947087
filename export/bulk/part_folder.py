"""A folder of Parquet files of embeddings."""

import pathlib

from keras_cdd.errors import MissingFileError, UserError

from .part_file import count_rows, read_batches, read_format, require_pyarrow
from .part_format import SUFFIX


class PartFolder:
    """All embeddings of a list of images, in order.

    Args:
        path: folder that `export.embed` wrote, all of its shards.

    Attributes:
        path: `pathlib.Path` of the folder.
        format: `PartFormat` of the files.
        sha256: hex digest of the model that embedded the images.

    Raises:
        MissingFileError: if there is no such folder, or no files of embeddings in it.
        UserError: if files are missing, damaged, or of another list, model or type than the first; or if pyarrow is
            not installed.
    """

    def __init__(self, path):
        require_pyarrow()
        self.path = pathlib.Path(path)
        found = existing(self.path)
        if not found:
            raise MissingFileError(f"There are no embeddings in {path}; export.embed --output={path} makes them.")
        self.format = read_format(self.path / found[0])
        for name in found[1:]:
            self.format.require_same(read_format(self.path / name), self.path / name)
        missing = [name for name in map(self.format.name, range(self.format.parts)) if name not in found]
        if missing:
            raise UserError(
                f"The embeddings in {path} lack {len(missing)} of {self.format.parts} files, as {missing[0]}; repeat "
                "export.embed as it made them: it writes what is missing."
            )
        self.sha256 = self.format.gallery.model_sha256

    def __len__(self):
        """Number of images that could be read and embedded."""
        return sum(count_rows(self.path / self.format.name(part)) for part in range(self.format.parts))

    def batches(self):
        """Yields the `EmbeddedBatch`es of all images, one file in memory at a time."""
        for part in range(self.format.parts):
            yield from read_batches(self.path / self.format.name(part), self.format, part)


def existing(folder):
    """Sorted names of the files of embeddings in a folder; hidden ones, which are not whole, do not count."""
    return sorted(path.name for path in pathlib.Path(folder).glob(f"part-*-of-*{SUFFIX}"))
