"""Downloads data sets."""

import pathlib

from keras_cdd.data.file_tree import FileTree
from keras_cdd.errors import UserError


def fetch_missing(data_dir, content, url, md5=None):
    """Downloads an archive to a folder, unless its content is already there.

    Args:
        data_dir: the folder; it is created if it is missing.
        content: name of a file or folder in the archive. If it exists below `data_dir`, unpacked or in a zip archive,
            nothing is downloaded.
        url: address of the archive.
        md5: hex MD5 sum of the archive, or None (the default) if none is published.

    Raises:
        UserError: if the download fails or has another checksum; no file is kept then.
    """
    if data_dir is None:
        raise UserError("A download needs a folder; name it with `data_dir`. Received: data_dir=None")
    folder = pathlib.Path(data_dir).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if FileTree(folder).holds(content):
        return
    import keras  # Not at the top, because reading existing data needs no Keras.

    target = folder / url.rsplit("/", 1)[1]
    part = target.with_name(f"{target.name}.part")
    try:
        keras.utils.get_file(part.name, url, file_hash=md5, hash_algorithm="md5", cache_dir=folder, cache_subdir="")
        part.replace(target)
    except Exception as error:
        # Keras raises a bare Exception without a network, and ValueError for another checksum.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{url} cannot be fetched into {folder} ({reason}); try again, or fetch it by hand.") from error
    finally:
        part.unlink(missing_ok=True)
