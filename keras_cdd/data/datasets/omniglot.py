"""Omniglot: 1,623 handwritten characters by 20 drawers each (Lake et al., Science 2015)."""

import pathlib

from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord, RetrievalDataset

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}


def load(data_dir, part="all"):
    """The protocols `omniglot`, `omniglot_300` and `omniglot_300_val`; the drawer is the camera.

    Args:
        data_dir: folder with `images_background` and `images_evaluation`, as folders or zip archives.
        part: "all" trains on all 964 background characters; "300" on characters 0, 3, 6, ... until 300; both test on
            the evaluation characters. "300_val" trains like "300" and tests on background characters 1, 4, 7, ...
    """
    tree = FileTree(data_dir)
    background = _characters(tree, "images_background")
    train, test = background, None
    if part != "all":
        train = background[0::3][:300]
    if part == "300_val":
        test = background[1::3][:300]
    else:
        test = _characters(tree, "images_evaluation")
    test_records = [record for character in test for record in character]
    return RetrievalDataset(
        name="omniglot" if part == "all" else f"omniglot_{part}",
        train=tuple(record for character in train for record in character),
        query=tuple(record for record in test_records if record.camera <= 4),
        gallery=tuple(record for record in test_records if record.camera > 4),
        flip=False,
        background=(255, 255, 255),
        inverted=True,
    )


def _characters(tree, folder):
    """The characters of a folder in order of their paths, each a list of records."""
    characters = {}
    for name, path in tree.images(folder):
        character, file = name.rsplit("/", 1)
        drawer = int(pathlib.PurePosixPath(file).stem.split("_")[1])
        characters.setdefault(character, []).append(ImageRecord(path, f"{folder}/{character}", drawer))
    return [characters[name] for name in sorted(characters)]
