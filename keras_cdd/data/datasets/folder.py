"""A user's own images, one folder per identity."""

import re

from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import SPLITS, ImageRecord, RetrievalDataset
from keras_cdd.errors import MissingFileError, UserError

CAMERA = re.compile(r"_c(\d+)(?=[_.])")


def load(data_dir):
    """Reads `train|query|gallery/<identity>/...`; a split without a folder is empty.

    If all file names contain `_c<number>`, as in `0007_c2_15.jpg`, that number is the camera; otherwise no image has a
    camera.

    Args:
        data_dir: the folder with the three folders.

    Returns:
        `RetrievalDataset`.

    Raises:
        MissingFileError: if none of the three folders contains images.
        UserError: if an image is not in the folder of an identity.
    """
    tree = FileTree(data_dir)
    records = []
    for split in SPLITS:
        for name, path in tree.images(split, required=False):
            identity, mark, file = name.partition("/")
            if not mark:
                raise UserError(f"Image {path} must lie in the folder of an identity, {split}/<identity>/{name}.")
            camera = CAMERA.search(file)
            records.append(ImageRecord(path, identity, int(camera[1]) if camera else None, split))
    if not records:
        raise MissingFileError(
            f"There are no images in {data_dir}/train, query or gallery/<identity>/; put them there."
        )
    if any(record.camera is None for record in records):
        records = [ImageRecord(r.path, r.identity, None, r.split) for r in records]
    return RetrievalDataset.from_records("folder", records)
