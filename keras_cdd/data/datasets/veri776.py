"""VeRi-776: 776 vehicles seen by 20 cameras (Liu et al., ECCV 2016)."""

import re

from keras_cdd.data.datasets.official import published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord
from keras_cdd.errors import UserError

FOLDERS = {"train": "image_train", "query": "image_query", "gallery": "image_test"}
COUNTS = (576, 37778, 1678, 11579)
NAME = re.compile(r"(\d+)_c(\d+)_")


def load(data_dir):
    """Reads the official folders `image_train`, `image_query` and `image_test`.

    File names are `0001_c001_00016450_0.jpg`: vehicle, camera, frame, box.

    Raises:
        UserError: if an image has another form of name.
    """
    tree = FileTree(data_dir)
    records = []
    for split, folder in FOLDERS.items():
        for name, path in tree.images(folder):
            found = NAME.match(name)
            if not found:
                raise UserError(f"Image {path} should be named like 0001_c001_00016450_0.jpg; rename or remove it.")
            records.append(ImageRecord(path, int(found[1]), int(found[2]), split))
    return published_dataset("veri776", records, COUNTS)
