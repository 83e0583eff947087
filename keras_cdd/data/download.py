"""Fetching a data set that is not there yet."""

import pathlib

from keras_cdd.data.file_tree import FileTree
from keras_cdd.errors import UserError


def fetch_missing(data_dir, content, url, md5=None):
    """Downloads an archive into a folder unless the folder holds its content already.

    Args:
        data_dir: folder, made if need be.
        content: a file or folder of the archive; when it is below `data_dir`, packed or not, nothing is done.
        url: of the archive.
        md5: checksum of the archive, or None if none is published.

    Raises:
        UserError: if it cannot be fetched, or has another checksum; the file is not kept then.
    """
    if data_dir is None:
        raise UserError("A download needs a folder; name it with `data_dir`. Received: data_dir=None")
    folder = pathlib.Path(data_dir).expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if FileTree(folder).holds(content):
        return
    import keras  # Not at the top: reading data that is there needs no Keras.

    target = folder / url.rsplit("/", 1)[1]
    part = target.with_name(f"{target.name}.part")
    try:
        keras.utils.get_file(part.name, url, file_hash=md5, hash_algorithm="md5", cache_dir=folder, cache_subdir="")
        part.replace(target)
    except Exception as error:
        # Keras raises a bare Exception where there is no network, and ValueError for another checksum.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{url} cannot be fetched into {folder} ({reason}); try again, or fetch it by hand.") from error
    finally:
        part.unlink(missing_ok=True)
