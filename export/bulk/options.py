"""The flags that say what to embed and into which files, and what they mean (imports lazily, for `without_keras`)."""

BATCH_SIZE, ROWS = 32, 8192


def add_options(parser):
    """Adds them to a `CommandParser`."""
    add = parser.add_argument
    add("--model", help="The .tflite or .keras file that embeds the images.")
    add("--images", help="Folder of images, including zip archives in it; or archive.zip, or archive.zip!/folder.")
    add("--csv", help="List path,identity,camera,split: the rows of split gallery, or all if there are none.")
    add("--output", help="Folder of the Parquet files; made if it is missing.")
    add("--embedding_type", choices=("int8", "float16"), default="int8", help="Number type. Default: int8.")
    add("--rows", type=int, default=ROWS, help=f"Images per file, a multiple of --batch_size. Default: {ROWS}.")
    add("--batch_size", type=int, default=BATCH_SIZE, help="Images that the model gets at a time.")


def check_options(options):
    """Raises UserError for mistakes that can be found before the model and the images are loaded."""
    from keras_cdd.errors import UserError

    if not options.model:
        raise UserError("--model is missing; give a .tflite or .keras file.")
    if not options.output:
        raise UserError("--output is missing; name a folder for the files.")
    if bool(options.images) == bool(options.csv):
        raise UserError("Give either --images, a folder, or --csv, a list.")
    if options.batch_size < 1:
        raise UserError(f"--batch_size must be positive. Received: {options.batch_size}")
    if options.rows < 1 or options.rows % options.batch_size:
        raise UserError(f"--rows must be a multiple of --batch_size={options.batch_size}. Received: {options.rows}")


def prepare(options):
    """What the options name.

    Returns:
        `(model, records, part_format)`: `EmbeddingModel`, list of `ImageRecord`s, `PartFormat`.

    Raises:
        UserError: if the model or the images are missing or cannot be used, or if pyarrow is not installed.
    """
    from ..gallery.embedding_model import EmbeddingModel
    from ..gallery.format import GalleryFormat
    from ..gallery.image_list import listed_images
    from .part_file import require_pyarrow
    from .part_format import PartFormat, list_digest

    require_pyarrow()
    model = EmbeddingModel(options.model)
    records = listed_images(options.images, options.csv)
    gallery = GalleryFormat(
        model.sha256, model.path.name, model.image_size, model.embedder.embedding_size, options.embedding_type
    )
    source = str(options.images or options.csv)
    digest = list_digest(records)
    return model, records, PartFormat(gallery, digest, len(records), options.rows, options.batch_size, source)
