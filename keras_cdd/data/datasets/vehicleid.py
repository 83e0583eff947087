"""PKU VehicleID: 26,267 vehicles from the front or the back (Liu et al., CVPR 2016)."""

import numpy as np

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

TEST_IDENTITIES = {"small": 800, "medium": 1600, "large": 2400}
COUNTS = {
    "small": (13164, 113346, 5693, 800),
    "medium": (13164, 113346, 11777, 1600),
    "large": (13164, 113346, 17377, 2400),
}
TRIALS = 10


def load(data_dir, size="small", gallery_trial=0):
    """The official lists `train_list.txt` and `test_list_800|1600|2400.txt` of lines `0153197 15957`.

    The published protocol puts one random image of every test vehicle into the gallery and searches it with
    all others, ten times; the mean is reported. The data set knows no cameras.

    Args:
        data_dir: folder with `image/0153197.jpg`, ... and `train_test_split`.
        size: "small", "medium" or "large" test list.
        gallery_trial: which of the ten random galleries, 0 to 9; each is the same at every call.

    Raises:
        ValueError: for another `gallery_trial`.
    """
    if not 0 <= gallery_trial < TRIALS:
        raise ValueError(f"Argument `gallery_trial` must be 0 to {TRIALS - 1}. Received: gallery_trial={gallery_trial}")
    tree = FileTree(data_dir)
    paths = dict(tree.images("image"))
    records = [ImageRecord(path, vehicle) for path, vehicle in _listed(tree, paths, "train_list.txt")]
    tested = {}
    for path, vehicle in _listed(tree, paths, f"test_list_{TEST_IDENTITIES[size]}.txt"):
        tested.setdefault(vehicle, []).append(path)
    rng = np.random.default_rng(gallery_trial)
    for vehicle, images in tested.items():
        chosen = rng.integers(len(images))
        for index, path in enumerate(images):
            records.append(ImageRecord(path, vehicle, None, "gallery" if index == chosen else "query"))
    return published_dataset(f"vehicleid_{size}", records, COUNTS[size])


def _listed(tree, paths, file):
    for line in tree.lines(f"train_test_split/{file}"):
        image, vehicle = line.split()
        yield listed_path(paths, f"{image}.jpg", file), int(vehicle)
