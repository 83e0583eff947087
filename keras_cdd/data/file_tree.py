"""Finds the files of a data set, in folders and in zip archives."""

import os
import pathlib
import zipfile

from keras_cdd.data.image import ZIP_MARK, is_image_name, open_zip, read_bytes
from keras_cdd.errors import MissingFileError, UserError


class FileTree:
    """All files below a folder, including those in zip archives.

    Files are looked up by the end of their path, so that a data set may be at any depth below `root`, unpacked or not.

    Args:
        root: the folder.

    Raises:
        MissingFileError: if the folder is missing.
        UserError: if `root` is None or an archive is damaged.
    """

    def __init__(self, root):
        if root is None:
            raise UserError("This data set is read from a folder; name it with `data_dir`. Received: data_dir=None")
        self.root = pathlib.Path(root).expanduser()
        if not self.root.is_dir():
            raise MissingFileError(f"There is no folder {root}; give the folder of the data set as `data_dir`.")
        self._paths = {}
        archives = []
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for file in sorted(files):
                path = pathlib.Path(folder, file)
                self._paths[path.relative_to(self.root).as_posix()] = str(path)
                if path.suffix.lower() == ".zip":
                    archives.append(path)
        for archive in archives:
            # Unpacked files have precedence. Archives made on a Mac contain a metadata file in __MACOSX for every file.
            for name in _entries(archive):
                if not name.endswith("/") and "__MACOSX/" not in name:
                    self._paths.setdefault(name, f"{archive}{ZIP_MARK}{name}")

    def images(self, folder, required=True):
        """The images below a folder of the tree.

        Args:
            folder: end of the folder's path.
            required: whether missing images are an error; True by default.

        Returns:
            Sorted list of (name below `folder`, path).

        Raises:
            MissingFileError: if there are no images and `required` is True.
        """
        found = {}
        for name, path in self._paths.items():
            _, mark, rest = f"/{name}".partition(f"/{folder}/")
            if mark and is_image_name(rest):
                found.setdefault(rest, path)
        if required and not found:
            raise self._absent(f"images under {folder}/")
        return sorted(found.items())

    def beside(self, file):
        """{name: path} of all files below the folder that contains the file with this name.

        Raises:
            MissingFileError: if there is no such file.
        """
        base = self._name(file).removesuffix(file)
        return {name.removeprefix(base): path for name, path in self._paths.items() if name.startswith(base)}

    def lines(self, file):
        """The stripped, non-blank lines of the text file whose path ends with `file`.

        Raises:
            MissingFileError: if there is no such file.
        """
        text = read_bytes(self.path(file)).decode("utf-8-sig", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def path(self, name):
        """The path of the file whose path in the tree ends with `name`.

        Raises:
            MissingFileError: if there is no such file.
        """
        return self._paths[self._name(name)]

    def holds(self, name):
        """Whether the path of a file or folder in the tree ends with `name`."""
        return any(f"/{name}/" in f"/{other}/" for other in self._paths)

    def _name(self, end):
        for name in self._paths:
            if f"/{name}".endswith(f"/{end}"):
                return name
        raise self._absent(end)

    def _absent(self, what):
        return MissingFileError(
            f"There is no {what} in {self.root}, nor in its zip archives; "
            "give the folder of the data set as `data_dir`."
        )


def _entries(archive):
    try:
        return open_zip(archive).namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"Archive {archive} cannot be read ({error}); fetch it again.") from None
