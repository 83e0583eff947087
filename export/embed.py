"""Embeds many images into Parquet files, which databases, other programs and build_gallery read.

    python -m export.embed --model=m.tflite --images=DIR --output=embeddings

An interrupted command can be repeated: it writes the files that are missing. Several processes or machines share the
work with --shard=0/8 to --shard=7/8 and the same --output, on a disk that all of them see. The number of shards may
change in between. Needs numpy, Pillow, pyarrow and ai-edge-litert or tflite-runtime; a .keras model also needs
TensorFlow.
"""

import pathlib
import re

from .bulk.options import add_options, check_options, prepare
from .plain_command import CommandParser, run_light


def command_parser():
    parser = CommandParser(__doc__)
    add_options(parser)
    parser.add_argument("--shard", default="0/1", help="Share of the work, from 0/n to n-1/n. Default: 0/1, all.")
    parser.add_argument("--strict_data", action="store_true", help="Stop at an unreadable image, not skip it.")
    return parser


def main(options):
    check_options(options)
    shard, shards = _shard(options.shard)
    model, records, part_format = prepare(options)
    from keras_cdd.errors import UserError
    from keras_cdd.run_folder.writing import make_folder

    from .bulk.shard import parts_to_write, write_parts
    from .gallery.progress import Progress

    make_folder(options.output)
    mine = range(shard, part_format.parts, shards)
    parts = [part for part in parts_to_write(part_format, options.output) if part in mine]
    with Progress(sum(len(part_format.positions(part)) for part in parts)) as progress:
        done = write_parts(part_format, options.output, parts, model, records, progress, options.strict_data)
    there = len(mine) - len(parts)
    counts = f"{done.images} images embedded, {len(done.unreadable)} unreadable"
    others = f"; {len(mine)} of {part_format.parts} files are this shard's" if shards > 1 else ""
    print(f"{options.output}: {counts}; {len(parts)} files written, {there} there already{others}")
    if len(done.unreadable) == len(records):
        for part in parts:
            pathlib.Path(options.output, part_format.name(part)).unlink()
        raise UserError(f"None of {len(records)} images can be read, the first: {done.unreadable[0]}")


def _shard(text):
    """`(shard, shards)` of text such as "3/8"."""
    from keras_cdd.errors import UserError

    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    shard, shards = map(int, match.groups()) if match else (0, 0)
    if shard >= shards:
        raise UserError(f"--shard must be i/n with i from 0 to n - 1, such as 0/8. Received: {text}")
    return shard, shards


def run():
    run_light(main, command_parser(), saved="Files that are there are whole: the same command continues from there.")


if __name__ == "__main__":
    run()
