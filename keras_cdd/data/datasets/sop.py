"""Stanford Online Products: 22,634 products sold online (Oh Song et al., CVPR 2016)."""

from keras_cdd.data.datasets.official import listed_path, published_dataset
from keras_cdd.data.file_tree import FileTree
from keras_cdd.data.records import ImageRecord

COUNTS = (11318, 59551, 60502, 60502)


def load(data_dir):
    """Reads the official lists `Ebay_train.txt` and `Ebay_test.txt`, whose first line names the columns.

    Every test image is searched among all other test images. Queries and gallery are therefore the same images, and the
    camera of an image is its number: the rule for junk (same identity, same camera) then excludes only the query
    itself.
    """
    tree = FileTree(data_dir)
    paths = tree.beside("Ebay_train.txt")
    train = [ImageRecord(path, product) for _, product, path in _listed(tree, paths, "Ebay_train.txt")]
    test = list(_listed(tree, paths, "Ebay_test.txt"))
    searched = [ImageRecord(path, product, image, s) for s in ("query", "gallery") for image, product, path in test]
    return published_dataset("sop", train + searched, COUNTS)


def _listed(tree, paths, file):
    for line in tree.lines(file)[1:]:
        image, product, _, name = line.split()
        yield int(image), int(product), listed_path(paths, name, file)
