"""Every data set by name."""

from keras_cdd.data.datasets import omniglot

_LOADERS = {
    "omniglot": lambda folder: omniglot.load(folder),
    "omniglot_300": lambda folder: omniglot.load(folder, "300"),
    "omniglot_300_val": lambda folder: omniglot.load(folder, "300_val"),
}


def load_dataset(name, data_dir=None, csv=None):
    return _LOADERS[name](data_dir)
