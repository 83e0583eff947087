"""Builds a searchable gallery of images, or adds images to one.

    python -m export.build_gallery --model=m.tflite --images=DIR --output=gallery.sqlite

The name of an image's folder is its identity. An interrupted command can be repeated: it skips the images that are
already in the gallery. Needs only numpy, Pillow and ai-edge-litert or tflite-runtime; a .keras model, such as a teacher
that embeds the gallery of its student on the phone, also needs TensorFlow:

    python -m export.build_gallery --model=teacher.keras --query_model=m.tflite --images=DIR --output=gallery.sqlite

--from=embeddings takes what export.embed wrote, in place of --images, and needs pyarrow and no model.
"""

import pathlib

from .plain_command import CommandParser, run_light

SOURCES = {"--images": "images", "--csv": "csv", "--from": "embeddings"}


def command_parser():
    parser = CommandParser(__doc__)
    add = parser.add_argument
    add("--model", help="The .tflite or .keras file that embeds the images.")
    add("--query_model", help="The .tflite file that will embed the queries of a new gallery. Default: --model.")
    add("--images", help="Folder of images, including zip archives in it; or archive.zip, or archive.zip!/folder.")
    add("--csv", help="List path,identity,camera,split: the rows of split gallery, or all if there are none.")
    add("--from", dest="embeddings", help="Folder of embeddings that export.embed wrote, in place of images.")
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
    if _sources(options):
        _add(options)


def _sources(options):
    """The flags that say what to add, of those that were given."""
    return [flag for flag, name in SOURCES.items() if getattr(options, name)]


def _check(options):
    """Raises for mistakes that can be found before the model and the images are loaded."""
    from keras_cdd.errors import UserError

    if not options.output:
        raise UserError("--output is missing; name the gallery's file.")
    given = _sources(options)
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} were both given; give one of them.")
    if not (given or options.remove):
        raise UserError("--images is missing; give a folder of images, or a --csv.")
    if given and not (options.model or options.embeddings):
        raise UserError("--model is missing; give a .tflite or .keras file.")
    if options.embeddings and options.embedding_type:
        raise UserError("--embedding_type is that of the embeddings in --from; leave it out.")
    if options.batch_size < 1:
        raise UserError(f"--batch_size must be positive. Received: {options.batch_size}")


def _alone(path):
    """Holds a gallery, which others may read meanwhile."""
    from keras_cdd.run_folder.lock import Lock

    return Lock(path, f"gallery {path}")


def _add(options):
    from keras_cdd.errors import UserError

    from .gallery.embedding_model import EmbeddingModel
    from .gallery.gallery import Gallery

    images = _images(options)
    query = EmbeddingModel(options.query_model) if options.query_model else None
    output = pathlib.Path(options.output)
    if not output.is_file() or not output.stat().st_size:
        # Fails here if the model does not embed images, before an empty gallery file exists.
        _new_format(images, query)
    with _alone(output), Gallery(output, create=lambda: _new_format(images, query)) as gallery:
        images.vouch(gallery)
        if query:
            query.vouch(gallery)
        if images.embedding_type not in (None, gallery.format.embedding_type):
            raise UserError(
                f"Gallery {output} stores {gallery.format.embedding_type}, not --embedding_type="
                f"{images.embedding_type}; build another one for that."
            )
        added = _add_to(gallery, images, options)
        if added.count or len(added.unreadable) < len(images):
            return
        if gallery.created:
            gallery.close()
            output.unlink()
        raise UserError(f"None of {len(images)} images can be read, the first: {added.unreadable[0]}")


def _images(options):
    """What is to be added: `ImagesToEmbed` or `EmbeddedImages`."""
    from .bulk.embedded_images import EmbeddedImages
    from .bulk.part_folder import PartFolder
    from .gallery.embedding_model import EmbeddingModel
    from .gallery.image_list import listed_images
    from .gallery.images_to_embed import ImagesToEmbed

    if options.embeddings:
        return EmbeddedImages(PartFolder(options.embeddings), EmbeddingModel(options.model) if options.model else None)
    records = listed_images(options.images, options.csv)
    model, source = EmbeddingModel(options.model), str(options.images or options.csv)
    return ImagesToEmbed(model, records, source, options.embedding_type, options.batch_size, options.strict_data)


def _new_format(images, query):
    """`GalleryFormat` of a gallery of these images for queries of another model, if one is given."""
    from keras_cdd.errors import UserError

    made = images.new_format()
    if query is None or query.sha256 == made.model_sha256:
        return made
    size = query.embedder.embedding_size
    if size != made.embedding_size:
        raise UserError(
            f"--query_model {query.path} gives embeddings of {size} numbers and {made.model_file} of "
            f"{made.embedding_size}; give a student and its teacher, or leave --query_model out."
        )
    names, others = (query.sha256, query.path.name), (made.model_sha256, made.model_file)
    return type(made)(*names, query.image_size, size, made.embedding_type, *others)


def _add_to(gallery, images, options):
    from .gallery.builder import add_batches

    gallery.check()
    gallery.start(images.source)
    added = add_batches(gallery, images.batches(gallery, () if options.replace else gallery))
    gallery.finish(images.source)
    there, unreadable = len(images) - added.count - len(added.unreadable), len(added.unreadable)
    counts = f"{added.count} images embedded, {there} there already, {unreadable} unreadable"
    print(f"{gallery.path}: {counts}; {len(gallery)} in all")
    return added


def run():
    run_light(main, command_parser(), saved="The gallery has all whole batches: the same command continues from there.")


if __name__ == "__main__":
    run()
