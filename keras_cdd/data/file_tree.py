"""Files of a data set, in folders and in zip archives alike."""

import os
import pathlib
import zipfile

from keras_cdd.data.image import ZIP_MARK, is_image_name, open_zip, read_bytes
from keras_cdd.errors import MissingFileError, UserError


class FileTree:
    """Everything below a folder, the contents of the zip archives in it included.

    Names are looked up by their end, so it does not matter how deep below `root` a data set was unpacked, or
    whether it was unpacked at all.

    Args:
        root: the folder.

    Raises:
        FileNotFoundError: naming the folder, if it is missing.
        ValueError: if an archive is damaged.
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
            # Unpacked files win over packed ones; archives made on a Mac carry a shadow of every file.
            for name in _entries(archive):
                if not name.endswith("/") and "__MACOSX/" not in name:
                    self._paths.setdefault(name, f"{archive}{ZIP_MARK}{name}")

    def images(self, folder, required=True):
        """Sorted (name below `folder`, path) of the images under a folder, wherever in the tree it lies.

        Raises:
            FileNotFoundError: if there is none, unless `required` is False.
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
        """{name: path} of everything below the folder in which the file of that name lies.

        Raises:
            FileNotFoundError: if there is no such file.
        """
        base = self._name(file).removesuffix(file)
        return {name.removeprefix(base): path for name, path in self._paths.items() if name.startswith(base)}

    def lines(self, file):
        """The lines of a text file whose name ends so, without blank ones.

        Raises:
            FileNotFoundError: if there is none.
        """
        text = read_bytes(self.path(file)).decode("utf-8-sig", "replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def path(self, name):
        """The path of the file whose name ends so.

        Raises:
            FileNotFoundError: if there is none.
        """
        return self._paths[self._name(name)]

    def holds(self, name):
        """Whether there is a file or a folder whose name ends so."""
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
