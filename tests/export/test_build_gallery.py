"""Building galleries of photos: added images, refused images, and that a kill loses nothing."""

import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from export.build_gallery import command_parser, main
from export.gallery.embedding_model import EmbeddingModel
from export.gallery.gallery import Gallery
from keras_cdd.data import load_image
from keras_cdd.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]

KILLED_IN_A_BATCH = """
import os, signal, sys
from export.plain_command import without_keras
without_keras()
from export import build_gallery
from export.gallery import gallery

class File:
    def __init__(self, file): self.file, self.rows = file, 0
    def __getattr__(self, name): return getattr(self.file, name)
    def execute(self, *command):
        self.rows += command[0] == gallery.INSERT
        if self.rows == 14: os.kill(os.getpid(), signal.SIGKILL)
        return self.file.execute(*command)

add = gallery.Gallery.add
def killed(self, *batch):
    self._file = self._file if isinstance(self._file, File) else File(self._file)
    add(self, *batch)
gallery.Gallery.add = killed
build_gallery.main(build_gallery.command_parser().parse_args(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path, photos):
    """24 photos of 8 identities, none of them of the model's size."""
    for number, photo in enumerate(photos):
        path = tmp_path / "photos" / f"id{number // 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).resize((40, 30)).save(path)
    return tmp_path / "photos"


def build(model, output, *more):
    main(command_parser().parse_args([f"--model={model}", f"--output={output}", "--batch_size=4", *more]))


def content(path):
    file = sqlite3.connect(path)
    rows = file.execute("SELECT * FROM images ORDER BY id").fetchall(), file.execute("SELECT * FROM meta").fetchall()
    file.close()
    return rows


def test_holds_what_the_model_gives(tiny_tflite, folder, tmp_path, capsys):
    build(tiny_tflite, tmp_path / "g.sqlite", f"--images={folder}")
    assert "g.sqlite: 24 images embedded, 0 there already, 0 unreadable; 24 in all" in capsys.readouterr().out
    with Gallery(tmp_path / "g.sqlite") as gallery:
        assert gallery.unfinished is None
        labels = gallery.labels()
        assert list(labels) == sorted(str(path) for path in folder.rglob("*.png"))
        assert all(label == pathlib.Path(path).parent.name for path, label in labels.items())
        model, vectors = EmbeddingModel(tiny_tflite), gallery.vectors()
        embeddings = model.embed(np.stack([load_image(path, (16, 16)) for path in labels]))
        stored = vectors.stored * vectors.scales[:, None]
        assert np.sum(stored * embeddings, axis=1).min() > 0.999
        assert gallery.images([1])[0].picture().size == (40, 30)
        assert gallery.format.model_sha256 == model.sha256


def test_killed_in_the_middle_of_a_batch(tiny_tflite, folder, tmp_path, capsys):
    output, flags = tmp_path / "g.sqlite", [f"--images={folder}", "--embedding_type=float16"]
    command = [sys.executable, "-c", KILLED_IN_A_BATCH, f"--model={tiny_tflite}", f"--output={output}", *flags]
    done = subprocess.run([*command, "--batch_size=4"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Gallery(output) as gallery:
        assert (len(gallery), gallery.unfinished) == (12, str(folder))
    build(tiny_tflite, output, *flags)
    assert "12 images embedded, 12 there already" in capsys.readouterr().out
    build(tiny_tflite, tmp_path / "whole.sqlite", *flags)
    assert content(output) == content(tmp_path / "whole.sqlite")
    assert not list(tmp_path.glob("*-journal"))


def test_adding_replacing_removing(tiny_tflite, folder, tmp_path, capsys):
    output, first = tmp_path / "g.sqlite", str(folder / "id0" / "00.png")
    build(tiny_tflite, output, f"--images={folder / 'id0'}")
    before = content(output)
    # Nothing of it is a folder below the given one.
    assert [row[2] for row in before[0]] == [None, None, None]
    shutil.copy(folder / "id7" / "21.png", first)
    build(tiny_tflite, output, f"--images={folder / 'id0'}")
    assert content(output) == before
    build(tiny_tflite, output, f"--images={folder / 'id0'}", "--replace")
    after = content(output)
    assert after[0][0][:2] == before[0][0][:2] and after[0][0][4:] != before[0][0][4:]
    assert after[0][1:] == before[0][1:]
    main(command_parser().parse_args([f"--output={output}", "--remove", first]))
    assert "1 removed, 2 left" in capsys.readouterr().out
    assert content(output)[0] == before[0][1:]


def test_csv_and_archives(tiny_tflite, folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, f"all/{path.relative_to(folder)}")
    build(tiny_tflite, tmp_path / "zip.sqlite", f"--images={tmp_path / 'photos.zip'}!/all/id1")
    with Gallery(tmp_path / "zip.sqlite") as gallery:
        assert list(gallery.labels()) == [f"{tmp_path}/photos.zip!/all/id1/0{n}.png" for n in (3, 4, 5)]
    rows = ["path,identity,camera,split", "photos/id0/00.png,a,shop,query", "photos.zip!/all/id1/03.png,b,,gallery"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    build(tiny_tflite, tmp_path / "csv.sqlite", f"--csv={tmp_path / 'list.csv'}")
    with Gallery(tmp_path / "csv.sqlite") as gallery:
        assert gallery.images([1])[0][:3] == (f"{tmp_path}/photos.zip!/all/id1/03.png", "b", None)
        assert len(gallery) == 1
    (tmp_path / "list.csv").write_text("\n".join(rows[:2]))
    build(tiny_tflite, tmp_path / "query.sqlite", f"--csv={tmp_path / 'list.csv'}")
    with Gallery(tmp_path / "query.sqlite") as gallery:
        assert gallery.images([1])[0][1:3] == ("a", "shop")


def test_unreadable_images(tiny_tflite, folder, tmp_path, capsys):
    output, bad = tmp_path / "g.sqlite", folder / "id3" / "10.png"
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(ValueError, match="10.png cannot be read"):
        build(tiny_tflite, output, f"--images={folder}", "--strict_data")
    build(tiny_tflite, output, f"--images={folder}")
    said = capsys.readouterr()
    assert "1 unreadable; 23 in all" in said.out and "10.png cannot be read" in said.err
    shutil.copy(folder / "id3" / "09.png", bad)
    build(tiny_tflite, output, f"--images={folder}")
    assert "1 images embedded, 23 there already" in capsys.readouterr().out


def test_a_name_that_is_no_text(tiny_tflite, folder, tmp_path, capsys):
    shutil.copy(folder / "id0" / "00.png", os.fsencode(folder) + b"/caf\xe9.png")
    build(tiny_tflite, tmp_path / "g.sqlite", f"--images={folder}")
    said = capsys.readouterr()
    assert "1 unreadable; 24 in all" in said.out and "has a name that is no UTF-8" in said.err


def test_nothing_is_left_where_nothing_can_be_done(tiny_tflite, tmp_path):
    output, folder = tmp_path / "g.sqlite", tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="no images in .*photos"):
        build(tiny_tflite, output, f"--images={folder}")
    (folder / "a.png").write_bytes(b"no photo")
    with pytest.raises(ValueError, match="None of 1 images can be read, the first: .*a.png"):
        build(tiny_tflite, output, f"--images={folder}")
    (tmp_path / "m.tflite").write_bytes(tiny_tflite.read_bytes()[:-100])
    with pytest.raises(ValueError, match="m.tflite cannot be used"):
        build(tmp_path / "m.tflite", output, f"--images={folder}")
    assert not output.exists()


def test_another_model_is_refused(tiny_tflite, folder, tmp_path):
    output, other = tmp_path / "g.sqlite", tmp_path / "m.tflite"
    build(tiny_tflite, output, f"--images={folder / 'id0'}")
    before = output.read_bytes()
    flipped = bytearray(tiny_tflite.read_bytes())
    flipped[len(flipped) // 2] ^= 4
    other.write_bytes(flipped)
    with pytest.raises(ValueError, match="built with another model, model_int8.tflite, than .*m.tflite"):
        build(other, output, f"--images={folder}")
    with pytest.raises(ValueError, match="stores int8, not --embedding_type=float16"):
        build(tiny_tflite, output, f"--images={folder}", "--embedding_type=float16")
    assert output.read_bytes() == before


@pytest.fixture
def teacher(network, tmp_path):
    """The network for images of twice the size, in a `.keras` file."""
    image = keras.Input((32, 32, 3))
    path = tmp_path / "teacher.keras"
    keras.Model(image, network(keras.layers.AveragePooling2D(2)(image))["embedding"]).save(path)
    return path


def test_a_teacher_embeds_the_gallery_of_its_student(teacher, tiny_tflite, folder, tmp_path, capsys):
    output = tmp_path / "g.sqlite"
    build(teacher, output, f"--images={folder / 'id0'}", f"--query_model={tiny_tflite}")
    build(teacher, output, f"--images={folder / 'id1'}")
    assert "3 images embedded, 0 there already, 0 unreadable; 6 in all" in capsys.readouterr().out
    with Gallery(output) as gallery:
        student, embedder = EmbeddingModel(tiny_tflite), EmbeddingModel(teacher)
        student.vouch(gallery)
        expected = embedder.embed(np.stack([load_image(path, (32, 32)) for path in gallery.labels()]))
        vectors = gallery.vectors()
        assert np.sum(vectors.stored * vectors.scales[:, None] * expected, axis=1).min() > 0.999
        assert gallery.format.image_size == (16, 16) and gallery.format.model_sha256 == student.sha256
        assert gallery.format.gallery_model_sha256 == embedder.sha256
        with pytest.raises(UserError, match="built with another model, model_int8.tflite, than .*teacher.keras"):
            embedder.vouch(gallery)
    before = output.read_bytes()
    with pytest.raises(UserError, match="built with another model, teacher.keras, than .*model_int8.tflite"):
        build(tiny_tflite, output, f"--images={folder / 'id2'}")
    assert output.read_bytes() == before


def test_a_query_model_of_another_length_is_refused(tiny_tflite, folder, tmp_path):
    image = keras.Input((16, 16, 3))
    keras.Model(image, keras.layers.GlobalAveragePooling2D()(image)).save(tmp_path / "other.keras")
    with pytest.raises(UserError, match="embeddings of 8 numbers and other.keras of 3"):
        build(tmp_path / "other.keras", tmp_path / "g", f"--images={folder}", f"--query_model={tiny_tflite}")
    assert not (tmp_path / "g").exists()


@pytest.mark.slow
def test_a_keras_file_builds_and_searches_as_a_command(teacher, tiny_tflite, folder, tmp_path, run_python):
    """In forks; test_documents.py has such a command whose process loads TensorFlow itself."""

    def run(name, *flags):
        done = run_python("-m", f"export.{name}", *flags, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return done.stdout

    mine, theirs = tmp_path / "mine.sqlite", tmp_path / "theirs.sqlite"
    photo = folder / "id3" / "10.png"
    run("build_gallery", f"--model={teacher}", f"--images={folder}", f"--output={mine}")
    run(
        "build_gallery",
        f"--model={teacher}",
        f"--images={folder}",
        f"--output={theirs}",
        f"--query_model={tiny_tflite}",
    )
    for model, gallery in ((teacher, mine), (tiny_tflite, theirs)):
        found = run("search", f"--model={model}", f"--gallery={gallery}", f"--query={photo}", "--top_k=1", "--json")
        (best,) = json.loads(found)["results"]
        assert best["similarity"] > 0.9
    assert best["path"] == str(photo)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--output is missing"),
        (["--output=g"], "--images is missing"),
        (["--output=g", "--images=x"], "--model is missing"),
        (["--output=g", "--images=x", "--csv=y", "--model=m"], "give one of them"),
        (["--output=g", "--images=x", "--model=m", "--batch_size=0"], "--batch_size must be positive. Received: 0"),
        (["--output=g", "--from=x", "--csv=y"], "--csv and --from were both given"),
        (["--output=g", "--from=x", "--embedding_type=int8"], "that of the embeddings in --from"),
        (["--output=g", "--from=nix"], "no embeddings in nix; export.embed --output=nix makes them"),
        (["--output=g.sqlite", "--images=nix", "--model=m.tflite"], "no folder or zip archive nix"),
        (["--output=g.sqlite", "--images=nix.zip!/a", "--model=m.tflite"], "no archive nix.zip"),
        (["--output=g.sqlite", f"--images={os.path.dirname(__file__)}", "--model=m.tflite"], "no images in"),
        (["--output=g.sqlite", "--remove", "a.jpg"], "no gallery g.sqlite"),
    ],
)
def test_mistakes_are_named(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        main(command_parser().parse_args(flags))
    assert not list(tmp_path.iterdir())
