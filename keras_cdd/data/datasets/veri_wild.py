"""VERI-Wild: 40,671 vehicles seen by 174 cameras during a month (Lou et al., CVPR 2019)."""

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

TEST_IDENTITIES = {"small": 3000, "medium": 5000, "large": 10000}
COUNTS = {
    "small": (30671, 277797, 3000, 38861),
    "medium": (30671, 277797, 5000, 64389),
    "large": (30671, 277797, 10000, 128517),
}


def load(data_dir, size="small"):
    """Reads the official lists in `train_test_split`, with lines `00001/000001`; cameras are in `vehicle_info.txt`.

    Args:
        data_dir: folder with `images/00001/000001.jpg`, ... and `train_test_split`.
        size: test lists, "small" (the default), "medium" or "large".

    Returns:
        `RetrievalDataset`.
    """
    tree = FileTree(data_dir)
    paths = dict(tree.images("images"))
    cameras = _cameras(tree)
    number = TEST_IDENTITIES[size]
    lists = {"train": "train_list.txt", "query": f"test_{number}_query.txt", "gallery": f"test_{number}.txt"}
    records = []
    for split, file in lists.items():
        for line in tree.lines(f"train_test_split/{file}"):
            name = line.removesuffix(".jpg")
            path = listed_path(paths, f"{name}.jpg", file)
            records.append(ImageRecord(path, int(name.split("/")[0]), listed_path(cameras, name, file), split))
    return published_dataset(f"veri_wild_{size}", records, COUNTS[size])


def _cameras(tree):
    """{`00001/000001`: camera}, from a header and lines `00001/000001;33;2018-03-11 09:12:32;...`."""
    rows = (line.split(";") for line in tree.lines("train_test_split/vehicle_info.txt")[1:])
    return {row[0]: int(row[1]) for row in rows}
