"""Lists the images to add to a gallery."""

import os
import pathlib
import zipfile

from keras_cdd.data.datasets import csv_list
from keras_cdd.data.image import ZIP_MARK, is_image_name, open_zip
from keras_cdd.data.records import ImageRecord
from keras_cdd.errors import MissingFileError, UserError


def listed_images(root=None, csv=None):
    """The `ImageRecord`s of a folder or, without `root`, of a CSV list; of those with the same path the last one.

    Args:
        root, csv: what `images_below` and `images_in_csv` take.
    """
    records = images_below(root) if root else images_in_csv(csv)
    return list({record.path: record for record in records}.values())


def images_in_csv(csv, split="gallery"):
    """Reads the `ImageRecord`s of a CSV list `path,identity,camera,split`.

    Args:
        csv: path of the list.
        split: split to return, "gallery" by default; all rows are returned if the list has none of it.

    Raises:
        MissingFileError: if the list or an image is missing.
        UserError: if the list is invalid.
    """
    dataset = csv_list.load(csv)
    return getattr(dataset, split) or dataset.train + dataset.query + dataset.gallery


def images_below(root):
    """The `ImageRecord`s of all images below a folder, including those in zip archives, sorted by path.

    The identity of an image is the name of its folder; it is None for images directly in `root` or at the top of an
    archive.

    Args:
        root: a folder, a zip archive, or a folder in an archive, `archive.zip!/inner`.

    Raises:
        MissingFileError: if `root` is missing or contains no images.
        UserError: if an archive is damaged.
    """
    archive, mark, inner = str(root).partition(ZIP_MARK)
    if mark or zipfile.is_zipfile(archive):
        found = _in_archive(archive, inner)
    elif os.path.isdir(root):
        found = _in_folder(root)
    else:
        raise MissingFileError(f"There is no folder or zip archive {root}; check the path.")
    records = [ImageRecord(path, identity, split="gallery") for path, identity in sorted(found)]
    if not records:
        raise MissingFileError(f"There are no images in {root}; check the path.")
    return records


def _in_folder(root):
    root = pathlib.Path(root)
    for folder, _, files in os.walk(root):
        folder = pathlib.Path(folder)
        for file in files:
            if file.lower().endswith(".zip"):
                yield from _in_archive(folder / file)
            elif is_image_name(file):
                yield str(folder / file), None if folder == root else folder.name


def _in_archive(archive, inner=""):
    top = pathlib.PurePosixPath(inner)
    try:
        names = open_zip(archive).namelist()
    except FileNotFoundError:
        raise MissingFileError(f"There is no archive {archive}; check the path.") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"Archive {archive} cannot be read ({error}); fetch it again.") from None
    for name in names:
        path = pathlib.PurePosixPath(name)
        # Archives made on a Mac contain a metadata file in __MACOSX for every file.
        if is_image_name(name) and "__MACOSX" not in path.parts and path.is_relative_to(top):
            yield f"{archive}{ZIP_MARK}{name}", None if path.parent == top else path.parent.name
