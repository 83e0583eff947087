"""Whether files embed photos elsewhere as LiteRT does here: for checks on other programs and processors."""

import argparse
import pathlib
import sys

import numpy as np

from keras_cdd.commands.errors import explained_errors
from keras_cdd.errors import MissingFileError

from ..gallery.image_list import images_below
from ..plain_command import without_keras
from .runtimes import embed_with, likeness

# XNNPACK in different versions: images whose similarities differ by less than this may swap ranks.
TIE = 1e-4


def check_files(about, name, embed, arguments=None):
    """The command `FILE... [--images=FOLDER] [--count=64]`: compares the files and exits, with status 1 if one differs.

    Args:
        about: first line of `--help`.
        name: of the other place.
        embed: function of a file's path and photos, uint8 (N, height, width, 3), which returns the embeddings
            (N, D) of the other place.
        arguments: of the command; by default those that this process was started with.

    A missing file, a lack of photos, or a file that does not run prints one line; the exit status is 1.
    """
    without_keras()
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("files", nargs="+", type=pathlib.Path, help=".tflite files")
    parser.add_argument("--images", help="A folder or archive of photos to embed; by default those of toy vehicles.")
    parser.add_argument("--count", type=int, default=64, help="The number of photos.")
    options = parser.parse_args(arguments)
    with explained_errors(debug=False):
        sys.exit(not all([_ranks_alike(path, name, embed, options) for path in options.files]))


def _ranks_alike(path, name, embed, options):
    if not path.is_file():
        raise MissingFileError(f"There is no model {path}; export one with python -m export.to_tflite.")
    photos = _photos(path, options.images, options.count)
    alike = likeness(embed_with("ai-edge-litert", path, photos), embed(path, photos))
    ranks = alike["similarity_lost"] <= TIE
    detail = f"cosine at least {alike['cosine_min']:.6f}, {alike['same_nearest']} % same nearest"
    same = "the same to the bit" if alike["identical"] else detail
    print(f"{path}: {name} ranks {len(photos)} photos {'as' if ranks else 'otherwise than'} LiteRT here, {same}")
    return ranks


def _photos(path, folder, count):
    """`count` photos of a folder, evenly spread, in the size of a file's input, uint8 (count, height, width, 3)."""
    from ai_edge_litert.interpreter import Interpreter

    from keras_cdd.data import load_dataset, load_image

    (details,) = Interpreter(str(path)).get_input_details()
    records = images_below(folder) if folder else load_dataset("synthetic").query
    chosen = records[:: max(1, len(records) // count)][:count]
    return np.stack([load_image(record.path, details["shape"][1:3].tolist()) for record in chosen])
