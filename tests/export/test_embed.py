"""Embedding into Parquet files: shards, kills, odd images, foreign output, and the gallery made of the files."""

import importlib.util
import json
import os
import pathlib
import shutil

import keras
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from export import build_gallery, embed_beam
from export.bulk import part_file, shard
from export.bulk.part_folder import PartFolder
from export.embed import command_parser, main
from export.gallery.embedding_model import EmbeddingModel
from keras_cdd.data import load_image
from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.errors import UserError


@pytest.fixture
def folder(tmp_path, photos):
    """22 photos of 8 identities, none of them of the model's size, damaged: 00.png and all of the batch 08 to 11."""
    for number, photo in enumerate(photos[:22]):
        path = tmp_path / "photos" / f"id{number // 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).resize((40, 30)).save(path)
        if number in (0, 8, 9, 10, 11):
            path.write_bytes(path.read_bytes()[:60])
    return tmp_path / "photos"


def embed(model, output, *more, rows=8):
    flags = [f"--model={model}", f"--output={output}", f"--rows={rows}", "--batch_size=4", *more]
    main(command_parser().parse_args(flags))


def build(output, *more):
    flags = [f"--output={output}", "--batch_size=4", *more]
    build_gallery.main(build_gallery.command_parser().parse_args(flags))


def tables(output):
    """Name of every file -> its table."""
    return {path.name: pyarrow.parquet.read_table(path) for path in sorted(output.glob("part-*"))}


def test_holds_what_the_model_gives(tiny_tflite, folder, tmp_path, capsys):
    embed(tiny_tflite, tmp_path / "out", f"--images={folder}")
    said = capsys.readouterr()
    assert "17 images embedded, 5 unreadable; 3 files written, 0 there already" in said.out
    assert said.err.count("cannot be read") == 5
    found = tables(tmp_path / "out")
    assert {name: len(table) for name, table in found.items()} == {
        "part-00000-of-00003.parquet": 7,
        "part-00001-of-00003.parquet": 4,
        "part-00002-of-00003.parquet": 6,
    }
    rows = [row for table in found.values() for row in table.to_pylist()]
    model = EmbeddingModel(tiny_tflite)
    expected = model.embed(np.stack([load_image(row["path"], (16, 16)) for row in rows]))
    stored = np.array([row["embedding"] for row in rows]) * np.array([row["scale"] for row in rows])[:, None]
    assert np.sum(stored * expected, axis=1).min() > 0.999
    assert {(row["identity"], row["camera"]) for row in rows} == {(f"id{n}", None) for n in (0, 1, 2, 4, 5, 6, 7)}
    assert all(row["thumbnail"].startswith(b"\xff\xd8") and row["model_sha256"] == model.sha256 for row in rows)
    first = tmp_path / "out/part-00000-of-00003.parquet"
    assert str(found[first.name].schema.field("embedding").type) == "fixed_size_list<element: int8>[8]"
    # A trainer takes them as a teacher's.
    assert EmbeddingFile(first).embedding_size == 8


@pytest.mark.parametrize("embedding_type", ["int8", "float16"])
def test_shards_equal_one_run_row_by_row(tiny_tflite, folder, tmp_path, embedding_type):
    flags = [f"--images={folder}", f"--embedding_type={embedding_type}"]
    embed(tiny_tflite, tmp_path / "one", *flags, rows=4)
    # Their number changes: the first of two shards, then three.
    for part in ("1/2", "2/3", "0/3", "1/3"):
        embed(tiny_tflite, tmp_path / "many", *flags, f"--shard={part}", rows=4)
    one, many = tables(tmp_path / "one"), tables(tmp_path / "many")
    assert one.keys() == many.keys() and len(one) == 6
    assert all(one[name].equals(many[name], check_metadata=True) for name in one)


def test_a_killed_shard_goes_on(tiny_tflite, folder, tmp_path, monkeypatch, capsys):
    flags = [f"--images={folder}", "--shard=0/1"]
    writes = []

    def killed(table, file):
        writes.append(file)
        if len(writes) == 2:
            raise KeyboardInterrupt
        part_file.write_table(table, file)

    monkeypatch.setattr(shard, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        embed(tiny_tflite, tmp_path / "out", *flags)
    # What a kill in the middle of the write would have left.
    writes[1].write_bytes(b"PAR1 half a file")
    assert list(tables(tmp_path / "out")) == ["part-00000-of-00003.parquet"]
    before = (tmp_path / "out/part-00000-of-00003.parquet").stat().st_mtime_ns
    with pytest.raises(UserError, match="lack 2 of 3 files, as part-00001-of-00003.parquet; repeat export.embed"):
        build(tmp_path / "g.sqlite", f"--from={tmp_path / 'out'}")
    assert not (tmp_path / "g.sqlite").exists()
    embed(tiny_tflite, tmp_path / "out", *flags)
    assert "2 files written, 1 there already" in capsys.readouterr().out
    assert (tmp_path / "out/part-00000-of-00003.parquet").stat().st_mtime_ns == before
    embed(tiny_tflite, tmp_path / "whole", *flags)
    found, expected = tables(tmp_path / "out"), tables(tmp_path / "whole")
    assert found.keys() == expected.keys() and all(found[name].equals(expected[name]) for name in found)
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("embedding_type", ["int8", "float16"])
def test_the_gallery_of_the_files_is_that_of_the_images(tiny_tflite, folder, tmp_path, embedding_type, capsys):
    flags = [f"--images={folder}", f"--embedding_type={embedding_type}"]
    build(tmp_path / "direct.sqlite", f"--model={tiny_tflite}", *flags)
    embed(tiny_tflite, tmp_path / "out", *flags)
    capsys.readouterr()
    build(tmp_path / "g.sqlite", f"--from={tmp_path / 'out'}")
    assert "17 images embedded, 0 there already, 5 unreadable; 17 in all" in capsys.readouterr().out
    assert (tmp_path / "g.sqlite").read_bytes() == (tmp_path / "direct.sqlite").read_bytes()
    build(tmp_path / "g.sqlite", f"--from={tmp_path / 'out'}", f"--model={tiny_tflite}")
    assert "0 images embedded, 17 there already, 5 unreadable; 17 in all" in capsys.readouterr().out


def test_a_list_with_cameras(tiny_tflite, folder, tmp_path):
    rows = ["photos/id5/15.png,a,shop,gallery", "photos/id4/12.png,b,,gallery", "photos/id4/13.png,b,,query"]
    (tmp_path / "list.csv").write_text("\n".join(["path,identity,camera,split", *rows]))
    flags = [f"--csv={tmp_path / 'list.csv'}"]
    build(tmp_path / "direct.sqlite", f"--model={tiny_tflite}", *flags)
    embed(tiny_tflite, tmp_path / "out", *flags)
    build(tmp_path / "g.sqlite", f"--from={tmp_path / 'out'}")
    assert (tmp_path / "g.sqlite").read_bytes() == (tmp_path / "direct.sqlite").read_bytes()
    (table,) = tables(tmp_path / "out").values()
    assert table.select(["identity", "camera"]).to_pylist() == [
        {"identity": "a", "camera": "shop"},
        {"identity": "b", "camera": None},
    ]


def test_a_teacher_embeds_for_its_student(network, tiny_tflite, folder, tmp_path):
    image, teacher = keras.Input((32, 32, 3)), tmp_path / "teacher.keras"
    keras.Model(image, network(keras.layers.AveragePooling2D(2)(image))["embedding"]).save(teacher)
    flags = [f"--images={folder}"]
    build(tmp_path / "direct.sqlite", f"--model={teacher}", f"--query_model={tiny_tflite}", *flags)
    embed(teacher, tmp_path / "out", *flags)
    build(tmp_path / "g.sqlite", f"--from={tmp_path / 'out'}", f"--query_model={tiny_tflite}")
    assert (tmp_path / "g.sqlite").read_bytes() == (tmp_path / "direct.sqlite").read_bytes()
    with pytest.raises(UserError, match="out was embedded with another model, teacher.keras, than .*tflite"):
        build(tmp_path / "g.sqlite", f"--from={tmp_path / 'out'}", f"--model={tiny_tflite}")


def test_output_of_something_else_is_refused(tiny_tflite, folder, tmp_path):
    output, other, flags = tmp_path / "out", tmp_path / "m.tflite", [f"--images={folder}"]
    embed(tiny_tflite, output, *flags, "--shard=1/3")
    other.write_bytes(tiny_tflite.read_bytes() + bytes(16))
    before = {path: path.read_bytes() for path in output.iterdir()}
    with pytest.raises(UserError, match="another model, model_int8.tflite, than m.tflite: their SHA-256 differ"):
        embed(other, output, *flags)
    with pytest.raises(UserError, match="are int8, not --embedding_type=float16"):
        embed(tiny_tflite, output, *flags, "--embedding_type=float16")
    with pytest.raises(UserError, match="were made with --rows=8 --batch_size=4"):
        embed(tiny_tflite, output, *flags, rows=12)
    shutil.copy(folder / "id1/03.png", folder / "id1/new.png")
    with pytest.raises(UserError, match="are of another list, 22 images of .*photos; this one has 23"):
        embed(tiny_tflite, output, *flags)
    assert before == {path: path.read_bytes() for path in output.iterdir()}


def test_damaged_files_are_named(tiny_tflite, folder, tmp_path):
    output = tmp_path / "out"
    embed(tiny_tflite, output, f"--images={folder}")
    path = output / "part-00001-of-00003.parquet"
    table = pyarrow.parquet.read_table(path)
    for changed, message in (
        (table.replace_schema_metadata(None), "it holds no embeddings of this program"),
        (table.slice(1), "it has 3 rows and not one for each of its 8 images"),
        (table.set_column(4, "scale", pyarrow.array(np.full(4, 0.1))), "12.png does not fit its scale"),
    ):
        pyarrow.parquet.write_table(changed, path)
        with pytest.raises(UserError, match=f"part-00001-of-00003.parquet cannot be used: .*{message}"):
            list(PartFolder(output).batches())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="part-00001-of-00003.parquet cannot be used: .*; remove it and embed again"):
        embed(tiny_tflite, output, f"--images={folder}")


def test_unreadable_images(tiny_tflite, folder, tmp_path):
    with pytest.raises(ValueError, match="00.png cannot be read"):
        embed(tiny_tflite, tmp_path / "out", f"--images={folder}", "--strict_data")
    shutil.copy(folder / "id1/03.png", os.fsencode(folder) + b"/id0/caf\xe9.png")
    embed(tiny_tflite, tmp_path / "out", f"--images={folder}")
    first = pyarrow.parquet.read_metadata(tmp_path / "out/part-00000-of-00003.parquet").metadata
    unreadable = json.loads(first[part_file.UNREADABLE])
    assert [row for row, _ in unreadable] == [0, 3] and "no UTF-8" in unreadable[1][1]
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="None of 23 images can be read, the first: .*00.png"):
        embed(tiny_tflite, tmp_path / "none", f"--images={folder}")
    assert not list((tmp_path / "none").iterdir())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--model is missing"),
        (["--model=m"], "--output is missing"),
        (["--model=m", "--output=o"], "Give either --images"),
        (["--model=m", "--output=o", "--images=x", "--csv=y"], "Give either --images"),
        (["--model=m", "--output=o", "--images=x", "--rows=20"], "--rows must be a multiple of --batch_size=32"),
        (["--model=m", "--output=o", "--images=x", "--shard=2/2"], "--shard must be i/n .*Received: 2/2"),
        (["--model=m", "--output=o", "--images=x", "--shard=1"], "--shard must be i/n .*Received: 1"),
        (["--model=m.tflite", "--output=o", "--images=x"], "no model m.tflite"),
    ],
)
def test_mistakes_are_named(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        main(command_parser().parse_args(flags))
    assert not list(tmp_path.iterdir())


def test_without_pyarrow_one_line_says_so(tiny_tflite, folder, tmp_path, monkeypatch):
    found = part_file.require_packages.__globals__["importlib"].util
    monkeypatch.setattr(found, "find_spec", lambda name: None if name == "pyarrow" else pathlib)
    with pytest.raises(UserError, match="not installed; run pip install pyarrow==25.0.0"):
        embed(tiny_tflite, tmp_path / "out", f"--images={folder}")


@pytest.mark.skipif(importlib.util.find_spec("apache_beam") is not None, reason="Apache Beam is installed")
def test_without_beam_one_line_says_so(tiny_tflite, folder, tmp_path):
    flags = [f"--model={tiny_tflite}", f"--images={folder}", f"--output={tmp_path}", "--", "--runner=FlinkRunner"]
    options = embed_beam.command_parser().parse_args(flags)
    assert options.beam == ["--runner=FlinkRunner"]
    with pytest.raises(UserError, match="not installed; run pip install -r requirements-beam.txt"):
        embed_beam.main(options)
