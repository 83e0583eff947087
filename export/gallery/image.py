"""One image of a gallery, and its thumbnail."""

import io
import typing

from PIL import Image

from keras_cdd.errors import UserError

THUMBNAIL_SIDE, THUMBNAIL_QUALITY = 96, 80


class GalleryImage(typing.NamedTuple):
    """A row of a gallery without its embedding.

    Attributes:
        path: path of the image, as it was given when the image was added.
        identity, camera: text, or None if unknown.
        thumbnail: JPEG bytes, at most 96 pixels a side.
    """

    path: str
    identity: str | None
    camera: str | None
    thumbnail: bytes

    def picture(self):
        """The thumbnail as a PIL image, RGB.

        Raises:
            UserError: if it is damaged.
        """
        try:
            return Image.open(io.BytesIO(self.thumbnail)).convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UserError(f"The thumbnail of {self.path} is damaged ({error}); build the gallery again.") from None


def thumbnail_of(pixels):
    """JPEG bytes of a uint8 image (H, W, 3), at most 96 pixels a side."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=THUMBNAIL_QUALITY)
    return content.getvalue()
