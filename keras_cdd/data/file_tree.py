"""Files of a data set, in folders and in zip archives alike."""

import os
import pathlib
import zipfile

from keras_cdd.data.image import ZIP_MARK, is_image_name


class FileTree:
    """Everything below a folder, the contents of the zip archives that lie in it included.

    Args:
        root: the folder.

    Raises:
        FileNotFoundError: naming the folder, if it is missing.
    """

    def __init__(self, root):
        self.root = pathlib.Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"There is no folder {root}; give the data set's folder with --data_dir.")
        # Name with / -> path that `read_image` takes.
        self._paths = {}
        for folder, folders, files in os.walk(self.root):
            folders.sort()
            for file in sorted(files):
                path = pathlib.Path(folder, file)
                self._paths[path.relative_to(self.root).as_posix()] = str(path)
        for archive in sorted(self.root.glob("*.zip")):
            with zipfile.ZipFile(archive) as opened:
                for name in opened.namelist():
                    self._paths.setdefault(name, f"{archive}{ZIP_MARK}{name}")

    def images(self, folder):
        """Sorted (name below `folder`, path) of the images under a folder, wherever in the tree it lies.

        Raises:
            FileNotFoundError: if there is none.
        """
        found = []
        for name, path in self._paths.items():
            _, mark, rest = f"/{name}".partition(f"/{folder}/")
            if mark and is_image_name(rest):
                found.append((rest, path))
        if not found:
            raise FileNotFoundError(f"There are no images under {folder}/ in {self.root}, nor in its zip archives.")
        return sorted(found)

    def lines(self, file):
        """The lines of a text file of that name, wherever it lies, without blank ones.

        Raises:
            FileNotFoundError: if there is none.
        """
        for name, path in self._paths.items():
            if f"/{name}".endswith(f"/{file}"):
                archive, mark, entry = path.partition(ZIP_MARK)
                data = zipfile.ZipFile(archive).read(entry) if mark else pathlib.Path(path).read_bytes()
                return [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
        raise FileNotFoundError(f"There is no {file} in {self.root}, nor in its zip archives.")

    def path(self, name):
        """The path of the file whose name ends so.

        Raises:
            FileNotFoundError: if there is none.
        """
        if name in self._paths:
            return self._paths[name]
        for other, path in self._paths.items():
            if other.endswith(f"/{name}"):
                return path
        raise FileNotFoundError(f"There is no {name} in {self.root}, nor in its zip archives.")
