"""What a kill, and what a power cut, at every change of a folder would leave on the disk."""

import os
import pathlib
import shutil


class Recorder:
    """An answer for `system_calls.watched`: remembers the folder before every call.

    A power cut loses what was written to a file since its last `fsync`, and which names a folder got and lost since the
    folder's own. Of these two it may lose both, or only the first: a file is empty then, or has its old content, under
    its new name.

    Args:
        folder: all that is in it at the start is on the disk.

    Attributes:
        calls: the list of `Call`s.
        kills: a tree per call, what a kill before it leaves, and a last one: what the process leaves at its end.
        cuts: likewise, a pair of trees per call: the names of a folder as of its last `fsync`, and all as they are now.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.calls, self.kills, self.cuts = [], [], []
        self._contents = {}
        self._nodes = {}
        self._all_on_disk(self.folder)

    def __call__(self, call):
        self.calls.append(call)
        self.look()
        self._follow(call)

    def look(self):
        """Remembers the folder as it is now."""
        self.kills.append({path: self._once(content) for path, content in tree(self.folder).items()})
        self.cuts.append((dict(self._synced(self._node(self.folder), "")), dict(self._named(self.folder, ""))))

    def _once(self, content):
        return content if content is None else self._contents.setdefault(content, content)

    def _node(self, path):
        number = path.lstat().st_ino
        return self._nodes.setdefault(number, {} if path.is_dir() else [b""])

    def _all_on_disk(self, folder):
        for path in [folder, *folder.rglob("*")]:
            self._sync(path)

    def _sync(self, path):
        node = self._node(path)
        if path.is_dir():
            node.clear()
            node.update({child.name: self._node(child) for child in path.iterdir()})
        else:
            node[0] = self._once(path.read_bytes())

    def _follow(self, call):
        path = pathlib.Path(call.path)
        if call.what == "sync" and path.exists():
            self._sync(path)
        gone = path if call.what in ("unlink", "rmdir") else pathlib.Path(call.target) if call.target else None
        if gone is not None and gone.exists():
            # Its number may be that of another file soon.
            del self._nodes[gone.lstat().st_ino]

    def _synced(self, node, place):
        for name, child in node.items():
            yield place + name, None if isinstance(child, dict) else child[0]
            if isinstance(child, dict):
                yield from self._synced(child, f"{place}{name}/")

    def _named(self, folder, place):
        for path in sorted(folder.iterdir()):
            yield place + path.name, None if path.is_dir() else self._node(path)[0]
            if path.is_dir():
                yield from self._named(path, f"{place}{path.name}/")


def tree(folder):
    """Dict path below a folder -> content of the file, or None of a folder."""
    paths = sorted(pathlib.Path(folder).rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def write_tree(content, folder):
    """Makes a folder of a `tree`, in place of what is there."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for path, data in content.items():
        if data is None:
            os.makedirs(f"{folder}/{path}", exist_ok=True)
        else:
            with open(f"{folder}/{path}", "wb") as file:
                file.write(data)


def distinct(trees):
    """The different ones of trees, in their order."""
    return list({tuple(sorted(content.items())): content for content in trees}.values())
