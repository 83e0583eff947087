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
    """Reads the official lists `train_list.txt` and `test_list_800|1600|2400.txt`, with lines `0153197 15957`.

    The published protocol puts one random image of every test vehicle into the gallery and uses all others as queries.
    It does so ten times and reports the mean. There are no cameras.

    Args:
        data_dir: folder with `image/0153197.jpg`, ... and `train_test_split`.
        size: test list, "small" (the default), "medium" or "large".
        gallery_trial: number of the random gallery, 0 (the default) to 9; it seeds the choice of images.

    Returns:
        `RetrievalDataset`.

    Raises:
        ValueError: if `gallery_trial` is out of range.
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
