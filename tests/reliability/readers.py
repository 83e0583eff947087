"""What reads strangers' files, and inputs for it.

`READERS` has, by name, functions of the folder with the kept runs that return `(inputs, read)`: a strategy of
hypothesis and a function that uses one of its values, or raises `UserError`.
"""

import hashlib
import json
import os
import random
import shutil

import numpy as np
import pyarrow
import pyarrow.parquet
from absl import flags
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

from export.android.manifest import read_manifest
from export.gallery.gallery import Gallery
from export.gallery.image_list import images_below, images_in_csv
from export.gallery.search import top_k
from keras_cdd.data import load_dataset, read_image
from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.data.file_tree import FileTree
from keras_cdd.errors import UserError
from keras_cdd.evaluation.tflite_embedder import TFLiteEmbedder
from keras_cdd.models.pretrained.reading import read_weights
from keras_cdd.report.page import write_report
from keras_cdd.run_folder.checkpoint import load_checkpoint
from keras_cdd.run_folder.reading import load_model
from keras_cdd.settings.config import SECTIONS
from keras_cdd.settings.flags import config_from_flagfile, config_from_flags, define_flags, parse_flags
from tests.models import torch_files
from tests.reliability.damage import damaged, damaged_archive, odd_json

SEEDS = st.integers(0, 2**32 - 1)
NAMES = [name for section in SECTIONS.values() for name in section.__dataclass_fields__] + [
    "debug",
    "flagfile",
    "nosuch",
]
VALUES = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "nan", "inf", "1e999", "1,2", "1,,2", "true", "none", "\0", "a\nb", "é", "9" * 5000]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=20),
    st.lists(st.floats(), max_size=4).map(lambda numbers: ",".join(map(str, numbers))),
)
FLAGS = st.builds(
    lambda dashes, name, equals, value: f"{dashes}{name}{equals}{value}",
    st.sampled_from(["--", "-", "--no", ""]),
    st.sampled_from(NAMES),
    st.sampled_from(["=", " ", ""]),
    VALUES,
)
# A row of a CSV, as it is or with anything in a cell.
CELLS = st.one_of(
    st.sampled_from(
        [
            "photos/query/0004/0004_c0_00001.png",
            "a.zip!/b.png",
            "cat",
            "1",
            "train",
            "query",
            "",
            "\0!/a.png",
            "photos.csv!/a",
            "photos!/a",
        ]
    ),
    st.text(max_size=12),
    st.sampled_from(['"', '"a\nb"', "\0", "../x", "x" * 5000]),
)


def change(path, damage):
    """`(inputs, write)`: a seed writes the file anew, damaged."""
    content = path.read_bytes()
    return SEEDS, lambda seed: path.write_bytes(damage(content, random.Random(seed)))


def command_line(folder):
    values = flags.FlagValues()
    define_flags(values=values)

    def read(arguments):
        for name in values:
            values[name].unparse()
        try:
            parse_flags(["run", *arguments], values)
        except flags.Error as error:
            raise UserError(str(error)) from None
        config_from_flags(values)

    return st.lists(FLAGS.filter(lambda flag: "flagfile" not in flag), max_size=4), read


def flagfile(folder):
    path = folder / "fuzz.flags"
    lines = st.lists(
        st.one_of(FLAGS, st.sampled_from(["#", "--flagfile=fuzz.flags", "--flagfile=run.flags"])), max_size=5
    )
    texts = lines.map(lambda found: "\n".join(found).encode("utf-8", "surrogatepass"))

    def read(content):
        path.write_bytes(content)
        config_from_flagfile(path)

    return st.one_of(texts, st.binary(max_size=60)), read


def csv_list(folder):
    path = folder / "fuzz.csv"
    rows = st.lists(st.lists(CELLS, min_size=3, max_size=5).map(",".join), max_size=5)
    heads = st.sampled_from(
        ["path,identity,camera,split", "\ufeffsplit,path,camera,identity", "path,identity", "", "\0"]
    )
    texts = st.builds(
        lambda head, body, end: end.join([head, *body]).encode("utf-8", "surrogatepass"),
        heads,
        rows,
        st.sampled_from(["\n", "\r\n", "\r"]),
    )
    content = (folder / "photos.csv").read_bytes()
    lines = [line.split(",") for line in content.decode().splitlines()]

    def with_cell(row, column, cell):
        cells = [list(line) for line in lines]
        cells[row][column] = cell
        return "\n".join(map(",".join, cells)).encode("utf-8", "surrogatepass")

    places = (st.integers(0, len(lines) - 1), st.integers(0, len(lines[0]) - 1))
    odd = st.builds(with_cell, *places, CELLS)

    def read(given):
        path.write_bytes(damaged(content, random.Random(given)) if isinstance(given, int) else given)
        images_in_csv(path)
        load_dataset("csv", csv=str(path)).validate()

    return st.one_of(texts, SEEDS, odd, odd), read


def archive(folder):
    shutil.make_archive(str(folder / "all"), "zip", folder, "photos")
    (folder / "tree").mkdir()
    path = (folder / "all.zip").rename(folder / "tree/all.zip")
    seeds, write = change(path, damaged_archive)

    def read(seed):
        write(seed)
        unreadable = 0
        for record in images_below(path):
            try:
                read_image(record.path)
            except UserError:
                unreadable += 1
        FileTree(path.parent).images("photos")
        if unreadable:
            raise UserError("unreadable")

    return seeds, read


def image(folder):
    picture = Image.open(folder / "photos/query/0004/0004_c0_00001.png").convert("RGB")
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "text"
    files = []
    for name, options in {"jpg": {"exif": exif}, "png": {"exif": exif}, "webp": {"exif": exif}, "bmp": {}}.items():
        picture.save(folder / f"whole.{name}", **options)
        files.append((folder / f"fuzz.{name}", (folder / f"whole.{name}").read_bytes()))

    def read(seed):
        rng = random.Random(seed)
        path, content = rng.choice(files)
        path.write_bytes(damaged(content, rng))
        read_image(path)

    return SEEDS, read


def manifest_folder(folder):
    """A folder that `read_manifest` reads."""
    place = folder / "pair"
    place.mkdir()
    shutil.copy(folder / "finished/model_int8.tflite", place / "model.tflite")
    shutil.copy(folder / "gallery.sqlite", place)
    sha = {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in ("model.tflite", "gallery.sqlite")}
    model = {
        "file": "model.tflite",
        "sha256": sha["model.tflite"],
        "bytes": 5,
        "image_height": 16,
        "image_width": 16,
        "input_type": "uint8",
        "batch": 1,
        "embedding_size": 8,
        "output_type": "float32",
        "output_scale": 0.0,
        "output_zero_point": 0,
    }
    gallery = {"file": "gallery.sqlite", "sha256": sha["gallery.sqlite"], "images": 4, "embedding_type": "int8"}
    content = {
        "format": "keras_cdd manifest",
        "version": 1,
        "model": model,
        "gallery": gallery,
        "samples": [{"file": "samples/0.png", "identity": None}],
    }
    (place / "manifest.json").write_text(json.dumps(content, indent=1))
    return place


def manifest(folder):
    place = manifest_folder(folder)
    path = place / "manifest.json"
    whole = path.read_bytes()

    def read(seed):
        rng = random.Random(seed)
        odd = odd_json(json.loads(whole), rng).encode() if rng.random() < 0.5 else damaged(whole, rng)
        path.write_bytes(odd)
        found = read_manifest(place)
        assert not any(".." in found[part]["file"] for part in ("model", "gallery"))

    return SEEDS, read


def gallery(folder):
    path = folder / "gallery.sqlite"
    seeds, write = change(path, damaged)

    def read(seed):
        for left in folder.glob("gallery.sqlite-*"):
            left.unlink()
        write(seed)
        with Gallery(path) as opened:
            vectors = opened.vectors()
            if len(vectors):
                positions, similarities = top_k(vectors, np.eye(1, opened.format.embedding_size), 5)
                assert np.isfinite(similarities).all()
                for found in opened.images(vectors.ids[positions[0]]):
                    found.picture()
            opened.labels()
            opened.check()

    return seeds, read


def run_folder(folder):
    """The JSON files of a run, as its report reads them."""
    run = folder / "finished"
    names = [
        "environment.json",
        "summary.json",
        "metrics.jsonl",
        "surgery.jsonl",
        "cuts.jsonl",
        "channels.json",
        "model_int8.json",
        "flags.flags",
    ]
    whole = {name: (run / name).read_bytes() for name in names}

    def read(seed):
        rng = random.Random(seed)
        name = rng.choice(names)
        odd = damaged(whole[name], rng)
        if name.endswith(".json") and rng.random() < 0.6:
            odd = odd_json(json.loads(whole[name]), rng).encode()
        elif name.endswith(".jsonl") and rng.random() < 0.6:
            odd = "\n".join(odd_json(json.loads(line), rng) for line in whole[name].splitlines()).encode()
        (run / name).write_bytes(odd)
        try:
            write_report(run)
        finally:
            (run / name).write_bytes(whole[name])

    return SEEDS, read


def embeddings(folder):
    rows, names = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), [f"{n}.png" for n in range(4)]
    np.savez(folder / "e.npz", path=names, embedding=rows)
    pyarrow.parquet.write_table(pyarrow.table({"path": names, "embedding": list(rows)}), folder / "e.parquet")
    whole = {name: (folder / name).read_bytes() for name in ("e.npz", "e.parquet")}

    def read(seed):
        rng = random.Random(seed)
        name = rng.choice(sorted(whole))
        odd = damaged_archive(whole[name], rng) if name == "e.npz" else damaged(whole[name], rng)
        (folder / name).write_bytes(odd)
        EmbeddingFile(folder / name)

    return SEEDS, read


def weights(folder):
    arrays = {"conv.weight": np.ones((2, 3, 1, 1), np.float32), "conv.bias": np.ones(2, np.float32)}
    np.savez(folder / "w.npz", **arrays)
    save_file(arrays, folder / "w.safetensors")
    state = {name: torch_files.Tensor(array) for name, array in arrays.items()}
    torch_files.zipped(folder / "w.pth", state)
    torch_files.plain(folder / "w.pt", state)
    whole = {path.name: path.read_bytes() for path in folder.glob("w.*")}

    def read(seed):
        rng = random.Random(seed)
        name = rng.choice(sorted(whole))
        damage = damaged_archive if name in ("w.npz", "w.pth") else damaged
        (folder / name).write_bytes(damage(whole[name], rng))
        read_weights(folder / name)

    return SEEDS, read


def keras_model(folder):
    path = folder / "finished/deploy.keras"
    seeds, write = change(path, damaged_archive)

    def read(seed):
        write(seed)
        load_model(path, "Model", "train the run again")

    return seeds, read


def checkpoint(folder):
    place = folder / "stopped/checkpoints/student"
    whole = {path: path.read_bytes() for path in place.iterdir()}

    def read(seed):
        rng = random.Random(seed)
        path = rng.choice(sorted(whole))
        if path.name == "state.json":
            odd = odd_json(json.loads(whole[path]) | {"version": rng.choice([1, 1, 2, "1"])}, rng).encode()
        else:
            odd = damaged_archive(whole[path], rng)
        path.write_bytes(odd)
        try:
            load_checkpoint(place)
        finally:
            path.write_bytes(whole[path])

    return SEEDS, read


def tflite(folder):
    """As `model_file` tries a file without a recorded SHA-256: in a process of its own, which may crash."""
    path = folder / "finished/model_int8.tflite"
    seeds, write = change(path, damaged)

    def read(seed):
        write(seed)
        child = os.fork()
        if not child:
            status = 1
            try:
                embedder = TFLiteEmbedder(path, threads=1)
                embedder(np.zeros((1, *embedder.image_size, 3), np.uint8))
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1]:
            raise UserError("it cannot be used, or crashes the interpreter")
        # What passed is then loaded by the process itself.
        TFLiteEmbedder(path, threads=1)

    return seeds, read


READERS = {
    "command lines": command_line,
    "flagfiles": flagfile,
    "CSV lists": csv_list,
    "archives": archive,
    "images": image,
    "manifests": manifest,
    "galleries": gallery,
    "run folders": run_folder,
    "embedding files": embeddings,
    "weight files": weights,
    ".keras models": keras_model,
    "checkpoints": checkpoint,
    ".tflite models": tflite,
}
