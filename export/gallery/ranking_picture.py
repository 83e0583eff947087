"""Draws the result of a search as a picture."""

import pathlib

from keras_cdd.report.ranking_strip import RankedPhoto, ranking_strip

# Room for thumbnails of 96 pixels with a frame, so that they are not resized.
TILE = 112


def query_identity(gallery, path):
    """The identity of a query, as far as the gallery can tell, or None.

    It is the identity of the gallery image with the same path; otherwise the name of the query's folder, if that is an
    identity in the gallery.
    """
    folder = pathlib.PurePath(path).parent.name
    return gallery.identity_of(path, otherwise=folder if folder in gallery.identities() else None)


def ranking_picture(query, caption, identity, results):
    """Draws the query and its results: green for the right identity, red for a wrong one, grey for an unknown one.

    Args:
        query: uint8 (H, W, 3).
        caption: name of the query.
        identity: identity of the query, or None if unknown.
        results: list of (`GalleryImage`, similarity), best first.

    Returns:
        PIL image.

    Raises:
        UserError: if a thumbnail is damaged.
    """
    photos = [
        RankedPhoto(image.picture(), (image.identity or "?", f"{similarity:.3f}"), _match(identity, image.identity))
        for image, similarity in results
    ]
    return ranking_strip(RankedPhoto(query, (identity or "query", caption)), photos, tile=TILE)


def _match(wanted, found):
    return None if wanted is None or found is None else wanted == found
