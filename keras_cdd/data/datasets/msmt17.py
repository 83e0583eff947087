"""MSMT17: 4,101 persons seen by 15 cameras (Wei et al., CVPR 2018)."""

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

LISTS = (
    ("list_train.txt", "train", "train"),
    ("list_val.txt", "train", "train"),
    ("list_query.txt", "test", "query"),
    ("list_gallery.txt", "test", "gallery"),
)
# The second release has blurred faces and other folder names.
SECOND_RELEASE = {"train": "mask_train_v2", "test": "mask_test_v2"}
COUNTS = (1041, 32621, 11659, 82161)


def load(data_dir):
    """Reads the official lists; the training split joins the lists train and val.

    Their lines are `0000/0000_000_01_0303morning_0008_0.jpg 0`; the third part of the name is the camera. Training and
    test persons are both numbered from 0, so an identity is `train/0` or `test/0`.
    """
    tree = FileTree(data_dir)
    folders = {part: part for part in SECOND_RELEASE}
    if tree.holds(SECOND_RELEASE["train"]):
        folders = SECOND_RELEASE
    paths = {part: dict(tree.images(folder)) for part, folder in folders.items()}
    records = []
    for file, part, split in LISTS:
        for line in tree.lines(file):
            name, person = line.rsplit(maxsplit=1)
            camera = int(name.rsplit("/", 1)[-1].split("_")[2])
            path = listed_path(paths[part], name, file)
            records.append(ImageRecord(path, f"{part}/{int(person)}", camera, split))
    return published_dataset("msmt17", records, COUNTS)
