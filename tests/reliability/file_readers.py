"""What reads manifests, galleries, runs, weights and models; see `readers.py`."""

import hashlib
import json
import os
import random
import shutil

import numpy as np
import pyarrow
import pyarrow.parquet
from safetensors.numpy import save_file

from export.android.manifest import read_manifest
from keras_cdd.data.embedding_file import EmbeddingFile
from keras_cdd.errors import UserError
from keras_cdd.evaluation.tflite_embedder import TFLiteEmbedder
from keras_cdd.models.pretrained.reading import read_weights
from keras_cdd.report.page import write_report
from keras_cdd.run_folder.checkpoint import load_checkpoint
from keras_cdd.run_folder.reading import load_model
from tests.export.gallery.using import use
from tests.models import torch_files
from tests.reliability.change import SEEDS, change
from tests.reliability.damage import damaged, damaged_archive, odd_json


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

    def damage(whole, rng):
        return odd_json(json.loads(whole), rng).encode() if rng.random() < 0.5 else damaged(whole, rng)

    seeds, write = change(place / "manifest.json", damage)

    def read(given):
        write(given)
        found = read_manifest(place)
        assert not any(".." in found[part]["file"] for part in ("model", "gallery"))

    return seeds, read


def gallery(folder):
    path = folder / "gallery.sqlite"
    seeds, write = change(path, damaged)

    def read(given):
        for left in folder.glob("gallery.sqlite-*"):
            left.unlink()
        write(given)
        use(path)

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

    def read(given):
        if isinstance(given, bytes):
            name = "w.pt"
            (folder / name).write_bytes(given)
        else:
            rng = random.Random(given)
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
