"""A file from a stranger runs no code, reads no other file, writes nowhere else, and its names are only text."""

import io
import json
import os
import sqlite3
import zipfile

import h5py
import keras
import numpy as np
import pytest

from export.gallery.format import GalleryFormat
from export.gallery.gallery import Gallery
from export.gallery.image import GalleryImage
from export.gallery.vector_codec import encode
from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.errors import UserError
from keras_cdd.evaluation import load_embedder
from keras_cdd.models.pretrained.reading import read_model, read_weights
from keras_cdd.models.pretrained.torch_file import DTYPES
from keras_cdd.run_folder.checkpoint import load_checkpoint, save_checkpoint
from keras_cdd.run_folder.reading import load_model
from tests.models.torch_files import Tensor, plain, zipped


class Runs:
    """Runs code where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    """A folder that hostile files would make."""
    yield tmp_path / "code_has_run"
    assert not (tmp_path / "code_has_run").exists()


def hostile_model(mark):
    image = keras.Input((4, 4, 3))
    code = f"lambda x: (__import__('os').mkdir({str(mark)!r}), x)[1]"
    x = keras.layers.Lambda(eval(code), output_shape=(4, 4, 3))(image)
    model = keras.Model(image, keras.layers.Flatten(name="embedding")(x))
    if mark.exists():
        mark.rmdir()
    return model


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_no_lambda_of_a_model_is_run(tmp_path, mark):
    model = hostile_model(mark)
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"model{suffix}"
        model.save(path)
        mark.rmdir() if mark.exists() else None
        readers = [read_weights, read_model]
        if suffix == ".keras":
            readers += [load_embedder, lambda path: load_model(path, "Model", "train it again")]
        for read in readers:
            with pytest.raises(UserError, match="[Ll]ambda"):
                read(path)
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "model.keras").rename(tmp_path / "checkpoint/model.keras")
    with pytest.raises(UserError, match="[Ll]ambda"):
        load_checkpoint(tmp_path / "checkpoint")


def rewritten(path, change):
    """Writes a `.keras` file anew, with its config changed by `change(config)`."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(entries["config.json"])
    change(config)
    entries["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.fixture
def saved(tmp_path):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image)))
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


@pytest.mark.parametrize(
    "module, name", [("os", "mkdir"), ("builtins", "eval"), ("subprocess", "Popen"), ("keras.utils", "get_file")]
)
def test_a_config_calls_no_function(saved, mark, module, name):
    def change(config):
        layer = config["config"]["layers"][1]
        layer |= {"module": module, "class_name": name, "config": str(mark), "registered_name": name}

    rewritten(saved, change)
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(saved, "Model", "train it again")


def write_secret(folder):
    secret = np.array([7.25, 7.25], np.float32)
    (folder / "secret").write_bytes(secret.tobytes())
    with h5py.File(folder / "other.h5", "w") as file:
        file["secret"] = secret


def replace_by_link(file, name, kind, folder):
    """Puts what leads to the secret in place of a dataset of an open HDF5 file."""
    del file[name]
    if kind == "link":
        file[name] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")
    else:
        file.create_dataset(name, (2,), "f4", external=[(str(folder / "secret"), 0, 8)])


def names_in(file):
    found = []
    file.visit(found.append)
    return found


def test_weights_are_taken_from_no_other_file(saved, tmp_path):
    write_secret(tmp_path)
    with zipfile.ZipFile(saved) as archive:
        whole = archive.read("model.weights.h5")
        config, metadata = archive.read("config.json"), archive.read("metadata.json")
    for link in ("link", "external storage"):
        weights = io.BytesIO(whole)
        with h5py.File(weights, "r+") as file:
            replace_by_link(file, "layers/dense/vars/1", link, tmp_path)
        with zipfile.ZipFile(saved, "w") as archive:
            archive.writestr("model.weights.h5", weights.getvalue())
            archive.writestr("config.json", config)
            archive.writestr("metadata.json", metadata)
        try:
            model = load_model(saved, "Model", "train it again")
        except UserError:
            continue
        assert 7.25 not in model.layers[-1].bias.numpy(), link


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("link", ["link", "external storage"])
def test_an_hdf5_file_is_read_by_itself_alone(tmp_path, link):
    write_secret(tmp_path)
    image = keras.Input((4, 4, 3))
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image))).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        replace_by_link(file, [name for name in names_in(file) if name.endswith("bias")][0], link, tmp_path)
    for read in (read_weights, read_model):
        with pytest.raises(UserError, match=r"model\.h5"):
            read(tmp_path / "model.h5")


def test_no_pickle_of_a_numpy_file_is_run(tmp_path, mark):
    odd = np.array([Runs(mark)], object)
    np.savez(tmp_path / "w.npz", path=odd, embedding=odd)
    for read in (read_weights, EmbeddingFile):
        with pytest.raises(UserError, match="allow_pickle=False"):
            read(tmp_path / "w.npz")
    save_checkpoint(tmp_path / "saved", keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), {}, {})
    (tmp_path / "w.npz").rename(tmp_path / "saved/variables.npz")
    with pytest.raises(UserError, match="allow_pickle=False"):
        load_checkpoint(tmp_path / "saved")


@pytest.mark.parametrize("write", [zipped, plain])
def test_no_pickle_of_a_torch_file_is_run(tmp_path, mark, write):
    write(tmp_path / "w.pth", {"state_dict": {"kernel": Tensor(np.ones((2, 3), np.float32))}, "more": Runs(mark)})
    with pytest.raises(UserError, match="only tensors are read"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("write", [zipped, plain])
def test_a_tensor_is_no_larger_than_its_file(tmp_path, write):
    """Strides of zero would make terabytes of four bytes."""
    array = np.lib.stride_tricks.as_strided(np.ones(1, np.float32), (1 << 20, 1 << 20), (0, 0))
    write(tmp_path / "w.pth", {"kernel": Tensor(array, storage=np.ones(1, np.float32))})
    with pytest.raises(UserError, match="more elements than its storage"):
        read_weights(tmp_path / "w.pth")


def test_torch_files_name_number_types_only():
    assert all(np.dtype(dtype).kind in "fiubV" for dtype in DTYPES.values())


NAMES = [
    "'); DROP TABLE images; --",
    '"; ATTACH DATABASE "x" AS y; --',
    "<script>alert(1)</script>",
    "%s{0}\\",
    "\u202egnp",
]


def test_names_are_text_to_the_gallery(tmp_path):
    vectors = np.eye(8)[: len(NAMES)]
    rows = [GalleryImage(name, name, name, b"") for name in NAMES]
    made = GalleryFormat("0" * 64, NAMES[0], (8, 8), 8, "int8")
    with Gallery(tmp_path / "g.sqlite", create=lambda: made) as gallery:
        gallery.start(NAMES[0])
        gallery.add(rows, *encode(vectors, "int8"))
        assert gallery.labels() == {name: name for name in NAMES} and gallery.unfinished == NAMES[0]
        gallery.remove(NAMES[:1])
        assert list(gallery.labels()) == NAMES[1:]
        gallery.copy_to(tmp_path / "it's a copy.sqlite")
    assert {path.name for path in tmp_path.iterdir()} == {"g.sqlite", "it's a copy.sqlite"}


def test_a_gallery_runs_nothing_of_its_schema(tmp_path):
    """Views and triggers of a stranger's file may not call functions with side effects."""
    with Gallery(tmp_path / "g.sqlite", create=lambda: GalleryFormat("0" * 64, "m", (8, 8), 8, "int8")) as gallery:
        gallery.add([GalleryImage("a", "b", None, b"")], *encode(np.eye(1, 8), "int8"))
    with sqlite3.connect(tmp_path / "g.sqlite") as file:
        file.execute("CREATE TRIGGER t AFTER INSERT ON images BEGIN SELECT load_extension('x.so'); END")
    with Gallery(tmp_path / "g.sqlite") as gallery, pytest.raises(UserError, match="cannot be used"):
        gallery.add([GalleryImage("c", "d", None, b"")], *encode(np.eye(1, 8), "int8"))
