"""The manifest, which tells the Android app which model and gallery belong together."""

import hashlib
import json
import pathlib
import re
import sys

from keras_cdd.errors import MissingFileError, UserError

FILE, FORMAT, VERSION = "manifest.json", "keras_cdd manifest", 1
# Of a model that takes any number of images at a time.
ANY_BATCH = "any"
MODEL_FILE, GALLERY_FILE = "model.tflite", "gallery.sqlite"

_SHA256 = re.compile("[0-9a-f]{64}")
# A file beside the manifest, or in a folder beside it.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
_WHAT = {
    "model": {
        "file": "name",
        "sha256": "sha256",
        "bytes": "count",
        "image_height": "count",
        "image_width": "count",
        "input_type": ("uint8",),
        "batch": "batch",
        "embedding_size": "count",
        "output_type": ("float32", "int8", "uint8"),
        "output_scale": "number",
        "output_zero_point": "integer",
    },
    "gallery": {"file": "name", "sha256": "sha256", "images": "count", "embedding_type": ("int8", "float16")},
}
# As Java's `int`.
_LARGEST = (1 << 31) - 1
_RULES = {
    "name": lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value)),
    "sha256": lambda value: isinstance(value, str) and bool(_SHA256.fullmatch(value)),
    "integer": lambda value: type(value) is int and -_LARGEST <= value <= _LARGEST,
    "count": lambda value: type(value) is int and 0 < value <= _LARGEST,
    # Manifests of earlier versions do not name it.
    "batch": lambda value: value in (None, ANY_BATCH) or type(value) is int and 0 < value <= _LARGEST,
    "number": lambda value: type(value) in (int, float) and 0 <= value <= sys.float_info.max,
}


def make_manifest(model, gallery_file, gallery, samples):
    """Makes the content of a manifest.

    Args:
        model: `EmbeddingModel`.
        gallery_file: path of the copy of the gallery that is shipped with the model.
        gallery: `Gallery`, opened.
        samples: list of (file name, identity) of the sample photos.

    Returns:
        Dict that can be written as JSON.
    """
    embedder = model.embedder
    scale, zero_point = embedder.output_quantization
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": {
            "file": MODEL_FILE,
            "sha256": model.sha256,
            "bytes": model.path.stat().st_size,
            "image_height": embedder.image_size[0],
            "image_width": embedder.image_size[1],
            "input_type": embedder.input_type,
            "batch": embedder.batch or ANY_BATCH,
            "embedding_size": embedder.embedding_size,
            "output_type": embedder.output_type,
            "output_scale": float(scale),
            "output_zero_point": int(zero_point),
        },
        "gallery": {
            "file": GALLERY_FILE,
            "sha256": _sha256(gallery_file),
            "images": len(gallery),
            "embedding_type": gallery.format.embedding_type,
        },
        "samples": [{"file": file, "identity": identity} for file, identity in samples],
    }


def read_manifest(folder):
    """Reads the manifest of a folder and checks the SHA-256 of the model and the gallery that it names.

    Args:
        folder: folder with `manifest.json`.

    Returns:
        The dict of `make_manifest`.

    Raises:
        MissingFileError: if the manifest, the model or the gallery is missing.
        UserError: if the manifest is invalid, or if the SHA-256 of a file differs.
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
        if _sha256(file) != manifest[part]["sha256"]:
            raise UserError(f"{file} is not the file that {path} means; make both again with android_assets.")
    return manifest


def parse_manifest(content):
    """Parses the bytes of a manifest and checks every field.

    Returns:
        The dict of `make_manifest`.

    Raises:
        ValueError: if the content is invalid; the message names the first invalid field.
    """
    try:
        manifest = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError("it is no manifest")
    if type(manifest.get("version")) is not int or manifest["version"] != VERSION:
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


def _sha256(path):
    """Hex digest of a file, which may be larger than the memory."""
    with pathlib.Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse(constant):
    """Python's `json` reads NaN and Infinity, which are no JSON."""
    raise ValueError(constant)


def _check(part, found, fields):
    if not isinstance(found, dict):
        raise ValueError(f"its {part} is missing")
    for field, rule in fields.items():
        value = found.get(field)
        good = value in rule if isinstance(rule, tuple) else _RULES[rule](value)
        if not good:
            raise ValueError(f"its {part} has an unusable {field}, {str(value)[:40]!r}")
