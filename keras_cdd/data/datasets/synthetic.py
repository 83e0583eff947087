"""The built-in data set: synthetic photos of toy vehicles, drawn when they are read."""

import pathlib

import numpy as np
from PIL import Image

from keras_cdd.data.image import read_image
from keras_cdd.data.records import SPLITS, ImageRecord, RetrievalDataset
from keras_cdd.data.toy_photo import photo_path

QUERIES = 2


def load(seed=0, train_identities=64, train_images=12, test_identities=64, test_images=8, cameras=6):
    """Loads the synthetic data set; the first two photos of each test vehicle are queries.

    Each vehicle passes the cameras in a random order.

    Args:
        seed: seed of vehicles, cameras and photos; 0 by default.
        train_identities, test_identities: number of vehicles in each part, 64 by default; the parts are disjoint.
        train_images, test_images: photos per vehicle; 12 and 8 by default.
        cameras: number of cameras, 6 by default.

    Returns:
        `RetrievalDataset`.

    Raises:
        ValueError: if `cameras` is below 2 or `test_images` below 3, so that queries would have no match from another
            camera.
    """
    if cameras < 2 or test_images <= QUERIES:
        raise ValueError(
            f"A search needs cameras >= 2 and test_images > {QUERIES}. "
            f"Received: cameras={cameras}, test_images={test_images}"
        )
    records = []
    for identity in range(train_identities + test_identities):
        trained = identity < train_identities
        order = np.random.default_rng([seed, 4, identity]).permutation(cameras)
        for shot in range(train_images if trained else test_images):
            camera = int(order[shot % cameras])
            split = "train" if trained else "query" if shot < QUERIES else "gallery"
            records.append(ImageRecord(photo_path(seed, identity, camera, shot), identity, camera, split))
    return RetrievalDataset.from_records("synthetic", records)


def write_synthetic(folder, **options):
    """Writes the synthetic photos as files that the data set `folder` reads.

    The names are `<split>/<identity>/<identity>_c<camera>_<number>.png`.

    Args:
        folder: the folder to write to; it is created if it is missing.
        **options: arguments of `load`.

    Returns:
        `RetrievalDataset` with the paths of the files.
    """
    dataset = load(**options)
    written = []
    for split in SPLITS:
        for number, record in enumerate(getattr(dataset, split)):
            name = f"{record.identity:04d}_c{record.camera}_{number:05d}.png"
            path = pathlib.Path(folder, split, f"{record.identity:04d}", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(read_image(record.path)).save(path)
            written.append(ImageRecord(str(path), record.identity, record.camera, split))
    return RetrievalDataset.from_records("synthetic", written)
