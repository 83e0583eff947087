"""Copies a model and its gallery to the Android app and makes the app's test data.

    python -m export.android_assets --model=m.tflite --gallery=gallery.sqlite

Writes the app's assets (manifest, model, gallery, six sample photos) and golden vectors for its tests. With --pair, it
also writes model and gallery to a .zip file that an installed app can import.
"""

import json
import os
import pathlib
import shutil
import tempfile
import zipfile

from .plain_command import CommandParser, run_light

ASSETS, GOLDEN = "app/src/main/assets", "core/src/test/resources/golden"
SAMPLES = 6


def command_parser():
    parser = CommandParser(__doc__)
    add = parser.add_argument
    add("--model", help="The .tflite file that the gallery was built with; its input must be uint8.")
    add("--gallery", help="The gallery that build_gallery wrote.")
    add("--samples", help="Sample photos: a CSV, a folder or a zip archive. Default: images of the gallery.")
    add("--android_dir", default="android_demo", help="The app's source folder.")
    add("--pair", help="Also write model and gallery to this .zip file; --android_dir is then optional.")
    return parser


def main(options):
    _check(options)
    from .android.golden_vectors import write_golden
    from .android.sample_photos import sample_photos
    from .gallery.embedding_model import EmbeddingModel
    from .gallery.gallery import Gallery

    with Gallery(options.gallery) as gallery, tempfile.TemporaryDirectory() as folder:
        model = EmbeddingModel(options.model)
        model.vouch(gallery)
        _check_pair(model, gallery.check())
        pair, golden = pathlib.Path(folder, "pair"), pathlib.Path(folder, "golden")
        golden.mkdir()
        photos = sample_photos(gallery, SAMPLES, options.samples)
        _write_pair(pair, photos, model, gallery)
        write_golden(golden, photos, model, gallery)
        if options.pair:
            _zip(pair, options.pair)
            print(f"{options.pair}: {os.path.getsize(options.pair):,} bytes, to be imported by the app")
        if os.path.isdir(options.android_dir):
            _place(pair, pathlib.Path(options.android_dir, ASSETS))
            _place(golden, pathlib.Path(options.android_dir, GOLDEN))
            print(f"{options.android_dir}/{ASSETS}: {model.path.name}, {len(gallery)} images")


def _check(options):
    """Raises for mistakes that can be found before the model and the gallery are loaded."""
    from keras_cdd.errors import MissingFileError, UserError

    for name in ("model", "gallery"):
        if not getattr(options, name):
            raise UserError(f"--{name} is missing; give a file.")
    if not options.pair and not os.path.isdir(options.android_dir):
        raise MissingFileError(f"There is no folder {options.android_dir}; give the app's source as --android_dir.")
    if options.pair and not options.pair.lower().endswith(".zip"):
        raise UserError(f"--pair must end in .zip. Received: {options.pair}")
    if options.pair and not os.path.isdir(os.path.dirname(options.pair) or "."):
        raise MissingFileError(f"There is no folder for --pair={options.pair}; make it first.")


def _check_pair(model, gallery):
    from keras_cdd.errors import UserError

    if gallery.unfinished:
        raise UserError(f"Gallery {gallery.path} lacks images of {gallery.unfinished}; run build_gallery again.")
    if not len(gallery):
        raise UserError(f"Gallery {gallery.path} is empty; add images with build_gallery.")
    if model.path.suffix != ".tflite":
        raise UserError(
            f"Model {model.path} is no .tflite file; the app needs one, see --query_model of build_gallery."
        )
    if model.embedder.input_type != "uint8":
        raise UserError(
            f"Model {model.path} takes {model.embedder.input_type} pixels and the app gives uint8; export it with "
            "--input_type=uint8."
        )


def _write_pair(folder, photos, model, gallery):
    from PIL import Image

    from .android.manifest import FILE, GALLERY_FILE, MODEL_FILE, make_manifest, read_manifest

    (folder / "samples").mkdir(parents=True)
    shutil.copyfile(model.path, folder / MODEL_FILE)
    gallery.copy_to(folder / GALLERY_FILE)
    samples = [(f"samples/{number}.png", photo.identity) for number, photo in enumerate(photos)]
    for (file, _), photo in zip(samples, photos, strict=True):
        Image.fromarray(photo.pixels).save(folder / file)
    manifest = make_manifest(model, folder / GALLERY_FILE, gallery, samples)
    (folder / FILE).write_text(json.dumps(manifest, indent=1) + "\n")
    read_manifest(folder)


def _place(source, target):
    """Copies the files of `source` to `target`, and removes photos and tensors that only `target` has."""
    from keras_cdd.run_folder.writing import copy_file

    for old in target.rglob("*"):
        if old.suffix in (".png", ".rgb") and not (source / old.relative_to(target)).is_file():
            old.unlink()
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        final = target / file.relative_to(source)
        final.parent.mkdir(parents=True, exist_ok=True)
        copy_file(file, final)


def _zip(folder, path):
    from keras_cdd.run_folder.writing import whole

    with whole(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, file.relative_to(folder).as_posix())


def run():
    run_light(main, command_parser())


if __name__ == "__main__":
    run()
