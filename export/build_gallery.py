"""Builds a searchable gallery of images, or adds images to one.

    python -m export.build_gallery --model=m.tflite --images=DIR --output=gallery.sqlite

The name of an image's folder is its identity. An interrupted command can be repeated: it skips the images that are
already in the gallery. Needs only numpy, Pillow and ai-edge-litert or tflite-runtime; a .keras model, such as a teacher
that embeds the gallery of its student on the phone, also needs TensorFlow:

    python -m export.build_gallery --model=teacher.keras --query_model=m.tflite --images=DIR --output=gallery.sqlite
"""

import pathlib

from .plain_command import CommandParser, run_light


def command_parser():
    parser = CommandParser(__doc__)
    add = parser.add_argument
    add("--model", help="The .tflite or .keras file that embeds the images.")
    add("--query_model", help="The .tflite file that will embed the queries of a new gallery. Default: --model.")
    add("--images", help="Folder of images, including zip archives in it; or archive.zip, or archive.zip!/folder.")
    add("--csv", help="List path,identity,camera,split: the rows of split gallery, or all if there are none.")
    add("--output", help="The gallery file.")
    add("--embedding_type", choices=("int8", "float16"), help="Number type of a new gallery. Default: int8.")
    add("--batch_size", type=int, default=32, help="Images per transaction.")
    add("--replace", action="store_true", help="Embed images that are already in the gallery again.")
    add("--remove", nargs="+", action="extend", metavar="PATH", help="Remove these paths before adding images.")
    add("--strict_data", action="store_true", help="Stop at an unreadable image instead of reporting and skipping it.")
    return parser


def main(options):
    _check(options)
    from .gallery.gallery import Gallery

    if options.remove:
        with _alone(options.output), Gallery(options.output) as gallery:
            gallery.check().remove(options.remove)
            print(f"{options.output}: {len(options.remove)} removed, {len(gallery)} left")
    if options.images or options.csv:
        _add(options)


def _check(options):
    """Raises for mistakes that can be found before the model and the images are loaded."""
    from keras_cdd.errors import UserError

    if not options.output:
        raise UserError("--output is missing; name the gallery's file.")
    if options.images and options.csv:
        raise UserError("--images and --csv were both given; give one of them.")
    if not (options.images or options.csv or options.remove):
        raise UserError("--images is missing; give a folder of images, or a --csv.")
    if (options.images or options.csv) and not options.model:
        raise UserError("--model is missing; give a .tflite or .keras file.")
    if options.batch_size < 1:
        raise UserError(f"--batch_size must be positive. Received: {options.batch_size}")


def _alone(path):
    """Holds a gallery, which others may read meanwhile."""
    from keras_cdd.run_folder.lock import Lock

    return Lock(path, f"gallery {path}")


def _add(options):
    from keras_cdd.errors import UserError

    from .gallery.embedding_model import EmbeddingModel
    from .gallery.format import GalleryFormat
    from .gallery.gallery import Gallery
    from .gallery.image_list import images_below, images_in_csv

    records = images_below(options.images) if options.images else images_in_csv(options.csv)
    model = EmbeddingModel(options.model)
    query = EmbeddingModel(options.query_model) if options.query_model else model

    def new_format():
        lengths = [each.embedder.embedding_size for each in (query, model)]
        if lengths[0] != lengths[1]:
            raise UserError(
                f"--query_model {query.path} gives embeddings of {lengths[0]} numbers and --model {model.path} of "
                f"{lengths[1]}; give a student and its teacher, or leave --query_model out."
            )
        others = () if query.sha256 == model.sha256 else (model.sha256, model.path.name)
        stored = options.embedding_type or "int8"
        return GalleryFormat(query.sha256, query.path.name, query.image_size, lengths[0], stored, *others)

    output = pathlib.Path(options.output)
    if not output.is_file() or not output.stat().st_size:
        # Fails here if the model does not embed images, before an empty gallery file exists.
        new_format()
    with _alone(output), Gallery(output, create=new_format) as gallery:
        model.vouch(gallery, adds=True)
        if options.query_model:
            query.vouch(gallery)
        if options.embedding_type not in (None, gallery.format.embedding_type):
            raise UserError(
                f"Gallery {output} stores {gallery.format.embedding_type}, not --embedding_type="
                f"{options.embedding_type}; build another one for that."
            )
        added = _add_to(gallery, model, records, options)
        if added.count or len(added.unreadable) < len(records):
            return
        if gallery.created:
            gallery.close()
            output.unlink()
        raise UserError(f"None of {len(records)} images can be read, the first is {records[0].path}.")


def _add_to(gallery, model, records, options):
    from .gallery.builder import add_images
    from .gallery.progress import Progress

    source = str(options.images or options.csv)
    wanted = {record.path: record for record in records}
    known = wanted.keys() & gallery.check().labels().keys()
    new = [record for path, record in wanted.items() if options.replace or path not in known]
    gallery.start(source)
    with Progress(len(new)) as progress:
        added = add_images(gallery, model, new, options.batch_size, progress, options.strict_data)
    gallery.finish(source)
    left_alone = 0 if options.replace else len(known)
    counts = f"{added.count} images embedded, {left_alone} there already, {len(added.unreadable)} unreadable"
    print(f"{gallery.path}: {counts}; {len(gallery)} in all")
    return added


def run():
    run_light(main, command_parser())


if __name__ == "__main__":
    run()
