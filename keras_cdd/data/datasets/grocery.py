"""Grocery Store: phone photos of 81 products in several shops (Klasson et al., WACV 2019; MIT licence)."""

import pathlib

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.download import fetch_missing
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

COMMIT = "78e2a1a86b942ac5c373c8c7355413b1f73a4d8e"
URL = f"https://github.com/marcusklasson/GroceryStoreDataset/archive/{COMMIT}.zip"
FOLDERS = ("train", "val", "test")
COUNTS = {False: (41, 2781, 1197, 1443), True: (31, 2079, 328, 374)}


def load(data_dir, validation=False, download=False):
    """Loads the protocol `grocery` or `grocery_val`; the camera is the official folder, so there is no junk.

    Products with an even class id are for training, from all folders. Products with an odd id are for testing: images
    in folder `test` are queries, those in `train` and `val` the gallery. `grocery_val`, for choosing settings, uses
    only the even products: every fourth of them (the 4th, 8th, ... by class id) is held out and tested in the same way.

    Args:
        data_dir: folder with `dataset/train.txt`, `val.txt`, `test.txt` and the images that they list, unpacked or in a
            zip archive.
        validation: True loads `grocery_val`; False (the default) loads `grocery`.
        download: True downloads the archive of a pinned commit if it is missing; False by default. No checksum is
            published for it; every image in the three lists must exist, and a warning reports counts that differ from
            the protocol's.

    Returns:
        `RetrievalDataset`.
    """
    if download:
        fetch_missing(data_dir, "dataset/train.txt", URL)
    tree = FileTree(data_dir)
    photos = [photo for folder in FOLDERS for photo in _photos(tree, folder)]
    names = {product: name for _, product, _, name in photos}
    even = sorted(product for product in names if product % 2 == 0)
    held_out = set(even[3::4]) if validation else None
    records = []
    for path, product, folder, _ in photos:
        if (product in held_out) if validation else product % 2:
            records.append(ImageRecord(path, product, folder, "query" if folder == "test" else "gallery"))
        elif product % 2 == 0:
            records.append(ImageRecord(path, product, folder, "train"))
    return published_dataset("grocery_val" if validation else "grocery", records, COUNTS[validation], names=names)


def _photos(tree, folder):
    """(path, class id, folder, product name) of every line `train/Fruit/.../<name>/x_001.jpg, class id, coarse id`."""
    paths = dict(tree.images(f"dataset/{folder}"))
    for line in tree.lines(f"dataset/{folder}.txt"):
        file, product, _ = line.split(",")
        path = listed_path(paths, file.strip().removeprefix(f"{folder}/"), f"dataset/{folder}.txt")
        # The innermost folder is the name in the data set's own table of classes.
        yield path, int(product), folder, pathlib.PurePosixPath(file).parent.name
