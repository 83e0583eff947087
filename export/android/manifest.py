"""The manifest: which model and which gallery belong together, for the phone."""

import hashlib
import json
import pathlib
import re

from keras_cdd.errors import MissingFileError, UserError

FILE, FORMAT, VERSION = "manifest.json", "keras_cdd manifest", 1
MODEL_FILE, GALLERY_FILE = "model.tflite", "gallery.sqlite"

_SHA256 = re.compile("[0-9a-f]{64}")
# A file beside the manifest, or in one folder there.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_WHAT = {
    "model": {
        "file": "name",
        "sha256": "sha256",
        "bytes": "count",
        "image_height": "count",
        "image_width": "count",
        "input_type": ("uint8",),
        "embedding_size": "count",
        "output_type": ("float32", "int8", "uint8"),
        "output_scale": "number",
        "output_zero_point": "integer",
    },
    "gallery": {"file": "name", "sha256": "sha256", "images": "count", "embedding_type": ("int8", "float16")},
}
_RULES = {
    "name": lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value)),
    "sha256": lambda value: isinstance(value, str) and bool(_SHA256.fullmatch(value)),
    "integer": lambda value: type(value) is int,
    "count": lambda value: type(value) is int and value > 0,
    "number": lambda value: type(value) in (int, float) and value >= 0,
}


def make_manifest(model, gallery_file, gallery, samples):
    """The content of a manifest.

    Args:
        model: `EmbeddingModel`.
        gallery_file: the copy of the gallery that goes with it.
        gallery: `Gallery`.
        samples: [(file name, identity)] of photos to try.

    Returns:
        A dict for JSON.
    """
    content, embedder = model.path.read_bytes(), model.embedder
    scale, zero_point = embedder.output_quantization
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": {
            "file": MODEL_FILE,
            "sha256": model.sha256,
            "bytes": len(content),
            "image_height": embedder.image_size[0],
            "image_width": embedder.image_size[1],
            "input_type": embedder.input_type,
            "embedding_size": embedder.embedding_size,
            "output_type": embedder.output_type,
            "output_scale": float(scale),
            "output_zero_point": int(zero_point),
        },
        "gallery": {
            "file": GALLERY_FILE,
            "sha256": hashlib.sha256(pathlib.Path(gallery_file).read_bytes()).hexdigest(),
            "images": len(gallery),
            "embedding_type": gallery.format.embedding_type,
        },
        "samples": [{"file": file, "identity": identity} for file, identity in samples],
    }


def read_manifest(folder):
    """Reads the manifest of a folder and checks the files that it names.

    Returns:
        The dict of `make_manifest`.

    Raises:
        FileNotFoundError: if the manifest or a file is missing.
        ValueError: saying what is wrong with it, or which file is not the one that it means.
    """
    path = pathlib.Path(folder, FILE)
    if not path.is_file():
        raise MissingFileError(f"There is no {path}; make it with android_assets.")
    try:
        manifest = parse_manifest(path.read_bytes())
    except ValueError as error:
        raise UserError(f"Manifest {path} cannot be used: {error}; make it again with android_assets.") from None
    for part in ("model", "gallery"):
        file = path.parent / manifest[part]["file"]
        if not file.is_file():
            raise MissingFileError(f"There is no {file}, which {path} names; make both again with android_assets.")
        if hashlib.sha256(file.read_bytes()).hexdigest() != manifest[part]["sha256"]:
            raise UserError(f"{file} is not the file that {path} means; make both again with android_assets.")
    return manifest


def parse_manifest(content):
    """The dict that the bytes of a manifest hold.

    Raises:
        ValueError: saying what is wrong.
    """
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError("it is no manifest")
    if manifest.get("version") is True or manifest.get("version") != VERSION:
        raise ValueError(f"it has version {manifest.get('version')!r} and this program reads version {VERSION}")
    for part, fields in _WHAT.items():
        _check(part, manifest.get(part), fields)
    samples = manifest.get("samples")
    if not isinstance(samples, list):
        raise ValueError("it has no list `samples`")
    for sample in samples:
        _check("samples", sample, {"file": "name"})
        if not isinstance(sample.get("identity"), str | None):
            raise ValueError("a sample's identity is no text")
    return manifest


def _check(part, found, fields):
    if not isinstance(found, dict):
        raise ValueError(f"its {part} is missing")
    for field, rule in fields.items():
        value = found.get(field)
        good = value in rule if isinstance(rule, tuple) else _RULES[rule](value)
        if not good:
            raise ValueError(f"its {part} has an unusable {field}, {str(value)[:40]!r}")
