"""The built-in data set: photos of toy vehicles that are drawn when they are read."""

import pathlib

import numpy as np
from PIL import Image

from keras_cdd.data.image import read_image
from keras_cdd.data.records import SPLITS, ImageRecord, RetrievalDataset
from keras_cdd.data.toy_photo import photo_path

QUERIES = 2


def load(seed=0, train_identities=64, train_images=12, test_identities=64, test_images=8, cameras=6):
    """Vehicles of one seed, each passing the cameras in its own order; two test photos of each are queries.

    Args:
        seed: other seeds are other vehicles, cameras and photos.
        train_identities, test_identities: how many vehicles; no vehicle is in both.
        train_images, test_images: photos of each.
        cameras: how many there are.

    Raises:
        ValueError: if a query would have no match from another camera.
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
    """Writes the photos as `<split>/<identity>/<identity>_c<camera>_<number>.png`, which the data set
    `folder` reads.

    Args:
        folder: made if need be.
        **options: of `load`.

    Returns:
        The data set, with the paths of the files.
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
