"""What a search found, as a picture."""

import pathlib

from keras_cdd.report.ranking_strip import RankedPhoto, ranking_strip

# A frame around thumbnails of 96 pixels, so that they are shown as they are.
TILE = 112


def query_identity(gallery, path):
    """Who or what a query shows, as far as the gallery can tell, or None.

    That is the identity of the image with this path, or else the name of the folder in which the query lies, if some
    image of the gallery has it for identity.
    """
    labels = gallery.labels()
    folder = pathlib.PurePath(path).parent.name
    return labels.get(path, folder if folder in labels.values() else None)


def ranking_picture(query, caption, identity, results):
    """Draws the query and what was found: right ones green, wrong ones red, grey where an identity is unknown.

    Args:
        query: uint8 (H, W, 3).
        caption: name of the query.
        identity: of the query, or None.
        results: (`GalleryImage`, similarity) pairs, best first.

    Returns:
        PIL image.

    Raises:
        ValueError: if a thumbnail is damaged.
    """
    photos = [
        RankedPhoto(image.picture(), (image.identity or "?", f"{similarity:.3f}"), _match(identity, image.identity))
        for image, similarity in results
    ]
    return ranking_strip(RankedPhoto(query, (identity or "query", caption)), photos, tile=TILE)


def _match(wanted, found):
    return None if wanted is None or found is None else wanted == found
