"""VRIC: 5,622 vehicles in traffic video, at all resolutions (Kanaci et al., GCPR 2018)."""

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

PARTS = {"train": "train", "query": "probe", "gallery": "gallery"}
COUNTS = (2811, 54808, 2811, 2811)


def load(data_dir):
    """Reads the official lists `vric_train.txt`, `vric_probe.txt` and `vric_gallery.txt`.

    Their lines are `file vehicle camera`; the files are in `train_images`, `probe_images`, `gallery_images`.
    """
    tree = FileTree(data_dir)
    records = []
    for split, part in PARTS.items():
        file = f"vric_{part}.txt"
        paths = dict(tree.images(f"{part}_images"))
        for line in tree.lines(file):
            name, vehicle, camera = line.split()
            records.append(ImageRecord(listed_path(paths, name, file), int(vehicle), int(camera), split))
    return published_dataset("vric", records, COUNTS)
