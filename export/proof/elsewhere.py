"""Whether files embed photos elsewhere as they do here: for checks on other programs and processors."""

import pathlib
import sys

import numpy as np

from keras_cdd.commands.errors import explained_errors
from keras_cdd.errors import MissingFileError, UserError

from ..gallery.image_list import images_below
from ..plain_command import CommandParser, without_keras
from .runtimes import embed_with, likeness

# XNNPACK in different versions: images whose similarities differ by less than this may swap ranks.
TIE = 1e-4


def check_files(about, name, embed, runtime, arguments=None):
    """The command `FILE... [--images=FOLDER] [--count=64]`: compares the files and exits, with status 1 if one differs.

    A missing file, a lack of photos, or a file that does not run prints one line; the exit status is 1.

    Args:
        about: first line of `--help`.
        name: of the other place.
        embed: function of a file's path and photos, uint8 (N, height, width, 3), which returns the embeddings
            (N, D) of the other place.
        runtime: the package that embeds them here, one of `RUNTIMES`.
        arguments: of the command; by default those that this process was started with.
    """
    without_keras()
    parser = CommandParser(about)
    parser.add_argument("files", nargs="*", type=pathlib.Path, help=".tflite files")
    parser.add_argument("--images", help="A folder or archive of photos to embed; by default those of toy vehicles.")
    parser.add_argument("--count", type=int, default=64, help="The number of photos; 64 by default.")
    options = parser.parse_args(arguments)
    with explained_errors(options.debug):
        if not options.files:
            raise UserError("There is no file to check; give MODELS=, or make one with: make quickstart")
        if options.count < 2:
            raise UserError(f"--count must be at least 2. Received: {options.count}")
        sys.exit(not all([_ranks_alike(path, name, embed, runtime, options) for path in options.files]))


def _ranks_alike(path, name, embed, runtime, options):
    photos = _photos(path, options.images, options.count)
    alike = likeness(embed_with(runtime, path, photos), embed(path, photos))
    ranks = alike["similarity_lost"] <= TIE
    detail = f"cosine at least {alike['cosine_min']:.6f}, {alike['same_nearest']} % same nearest"
    same = "the same to the bit" if alike["identical"] else detail
    print(f"{path}: {name} ranks {len(photos)} photos {'as' if ranks else 'otherwise than'} {runtime} here, {same}")
    return ranks


def _photos(path, folder, count):
    """At most `count` photos of a folder, evenly spread, in the size of a file's input, uint8 (N, height, width, 3)."""
    from keras_cdd.data import load_dataset, load_image
    from keras_cdd.evaluation import load_embedder

    if not path.is_file():
        raise MissingFileError(f"There is no model {path}; export one with python -m export.to_tflite.")
    size = load_embedder(path).image_size
    records = images_below(folder) if folder else load_dataset("synthetic").query
    if len(records) < 2:
        raise UserError(f"There is one photo in {folder}, and nothing to rank; give a folder of at least two.")
    chosen = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return np.stack([load_image(records[place].path, size) for place in chosen])
