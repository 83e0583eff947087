"""Finds data sets by name."""

import functools
import inspect
import os

from keras_cdd.data.datasets import (
    csv_list,
    folder,
    grocery,
    inshop,
    msmt17,
    omniglot,
    sop,
    synthetic,
    vehicleid,
    veri776,
    veri_wild,
    vric,
)
from keras_cdd.errors import UserError

LOADERS = {
    "synthetic": synthetic.load,
    "omniglot": omniglot.load,
    "omniglot_300": functools.partial(omniglot.load, part="300"),
    "omniglot_300_val": functools.partial(omniglot.load, part="300_val"),
    "grocery": grocery.load,
    "grocery_val": functools.partial(grocery.load, validation=True),
    "veri776": veri776.load,
    "msmt17": msmt17.load,
    "vehicleid": vehicleid.load,
    **{f"vehicleid_{size}": functools.partial(vehicleid.load, size=size) for size in vehicleid.COUNTS},
    "veri_wild": veri_wild.load,
    **{f"veri_wild_{size}": functools.partial(veri_wild.load, size=size) for size in veri_wild.COUNTS},
    "vric": vric.load,
    "inshop": inshop.load,
    "sop": sop.load,
    "folder": folder.load,
    "csv": csv_list.load,
}
DATASETS = tuple(LOADERS)


def load_dataset(name, data_dir=None, csv=None, seed=0, download=False, gallery_trial=0):
    """Loads a data set; call its `validate` to check the splits that you need.

    Args:
        name: one of `DATASETS`. Without a size, `vehicleid` and `veri_wild` use their small test lists.
        data_dir: folder of the data set, unpacked or in zip archives; not used by `synthetic` and `csv`.
        csv: path of the CSV file of `csv`.
        seed: seed of `synthetic`, 0 by default; other seeds give other vehicles.
        download: True downloads `omniglot` or `grocery` to `data_dir` if it is missing; False by default.
        gallery_trial: number of the random gallery of `vehicleid`, 0 (the default) to 9.

    Returns:
        A `RetrievalDataset`.

    Raises:
        UserError: if the name is unknown, or the content is invalid.
        MissingFileError: if a folder, list or image is missing.
    """
    if name not in LOADERS:
        raise UserError(f"There is no data set {name!r}; take one of {', '.join(DATASETS)}.")
    given = {
        "data_dir": data_dir,
        "csv": csv,
        "seed": seed,
        "download": download,
        "gallery_trial": gallery_trial,
    }
    taken = inspect.signature(LOADERS[name]).parameters
    if download and "data_dir" in taken and "download" not in taken:
        raise UserError(f"Data set {name!r} cannot be downloaded; ask its authors for it and give its `data_dir`.")
    return LOADERS[name](**{key: value for key, value in given.items() if key in taken})


def folder_of(data):
    """The folder of relative image paths, or None, from settings with `dataset`, `data_dir` and `csv`."""
    return os.path.dirname(data.csv) if data.dataset == "csv" and data.csv else data.data_dir
