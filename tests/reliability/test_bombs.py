"""Small files that promise gigabytes are refused by name, and little memory is taken for them."""

import zipfile

import pytest
from PIL import Image

GIB = 1 << 30
# Prints what a reader says, and the MiB by which it made its process grow at most.
MEASURED = """
import pathlib, sys
from keras_cdd.data import read_image
from keras_cdd.errors import UserError
status = pathlib.Path("/proc/self/status")
pathlib.Path("/proc/self/clear_refs").write_text("5")
most = lambda: int(status.read_text().partition("VmHWM:")[2].split()[0]) // 1024
before = most()
try:
    read_image(sys.argv[1])
except UserError as error:
    print(error)
print(most() - before)
"""


def zipped(path, name, size):
    """A zip archive of an entry of zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as entry:
        for _ in range(size >> 20):
            entry.write(bytes(1 << 20))


@pytest.fixture(scope="module")
def bombs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bombs")
    Image.new("L", (20_000, 20_000)).save(folder / "large.png")
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        archive.write(folder / "large.png", "a.png")
    zipped(folder / "zeros.zip", "a.png", GIB)
    return folder


@pytest.mark.parametrize(
    "name, said",
    [
        ("large.png", "400000000 pixels"),
        ("pictures.zip!/a.png", "400000000 pixels"),
        ("zeros.zip!/a.png", "1,073,741,824 bytes"),
    ],
)
def test_memory_is_bounded(run_python, bombs, tally, name, said):
    done = run_python("-c", MEASURED, str(bombs / name))
    assert done.returncode == 0, done.stderr
    line, grown = done.stdout.splitlines()
    assert f"{bombs / name}" in line and said in line
    assert int(grown) < 64
    tally(f"bombs: {name}", 1, f"refused by name; {grown} MiB more")
