"""DeepFashion In-Shop: shop photos of 7,982 pieces of clothing (Liu et al., CVPR 2016)."""

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

FILE = "list_eval_partition.txt"
COUNTS = (3997, 25882, 14218, 12612)


def load(data_dir):
    """Reads the official `list_eval_partition.txt`; there are no cameras.

    After two header lines (number of images, column names), its lines are
    `img/WOMEN/Dresses/id_00000002/02_1_front.jpg id_00000002 train` (or query, gallery).
    """
    tree = FileTree(data_dir)
    paths = dict(tree.images("img"))
    records = []
    for line in tree.lines(FILE)[2:]:
        name, item, split = line.split()
        records.append(ImageRecord(listed_path(paths, name.removeprefix("img/"), FILE), item, None, split))
    return published_dataset("inshop", records, COUNTS)
