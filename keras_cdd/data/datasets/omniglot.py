"""Omniglot: 1,623 handwritten characters by 20 drawers each (Lake et al., Science 2015; MIT licence)."""

import pathlib

from keras_cdd.data.datasets.official import published_dataset
from keras_cdd.data.download import fetch_missing
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
MD5 = {
    "images_background": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation": "6b91aef0f799c5bb55b94e3f2daec811",
}
COUNTS = {
    "all": (964, 19280, 2636, 10544),
    "300": (300, 6000, 2636, 10544),
    "300_val": (300, 6000, 1200, 4800),
}
WHITE = (255, 255, 255)


def load(data_dir, part="all", download=False):
    """Loads the protocol `omniglot`, `omniglot_300` or `omniglot_300_val`; the drawer is the camera.

    Drawings of drawers 1 to 4 are the queries, the other test drawings the gallery.

    Args:
        data_dir: folder with `images_background` and `images_evaluation`, as folders or as the original zip archives.
        part: "all" (the default) trains on all 964 background characters, "300" on 300 of them, numbers 0, 3, 6, ... by
            path; both test on the evaluation characters. "300_val" trains as "300" does and tests on the background
            characters 1, 4, 7, ... (300), so that settings can be chosen without the test characters.
        download: True downloads missing archives (14 MB) and checks the MD5 sums that torchvision publishes; False by
            default.

    Returns:
        `RetrievalDataset`.
    """
    if download:
        for folder, checksum in MD5.items():
            fetch_missing(data_dir, folder, f"{URL}{folder}.zip", checksum)
    tree = FileTree(data_dir)
    background = _characters(tree, "images_background")
    train = background if part == "all" else background[0::3][:300]
    test = background[1::3][:300] if part == "300_val" else _characters(tree, "images_evaluation")
    records = [_record(drawing, "train") for character in train for drawing in character]
    for drawing in (drawing for character in test for drawing in character):
        records.append(_record(drawing, "query" if drawing[2] <= 4 else "gallery"))
    name = "omniglot" if part == "all" else f"omniglot_{part}"
    paper = {"flip": False, "background": WHITE, "inverted": True}
    return published_dataset(name, records, COUNTS[part], names=_names(records), **paper)


def _names(records):
    """Identity `images_evaluation/Tengwar/character07` -> `Tengwar/character07`."""
    return {record.identity: record.identity.partition("/")[2] for record in records}


def _record(drawing, split):
    path, character, drawer = drawing
    return ImageRecord(path, character, drawer, split)


def _characters(tree, folder):
    """The characters of a folder in order of their paths, each a list of (path, character, drawer)."""
    characters = {}
    for name, path in tree.images(folder):
        character, file = name.rsplit("/", 1)
        drawer = int(pathlib.PurePosixPath(file).stem.split("_")[1])
        characters.setdefault(character, []).append((path, f"{folder}/{character}", drawer))
    return [characters[character] for character in sorted(characters)]
