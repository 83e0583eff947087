"""The row of photos: frames, marks, captions."""

import numpy as np
import pytest
from PIL import Image

from keras_cdd.report.ranking_strip import GREEN, GREY, RED, RankedPhoto, ranking_strip

PHOTO = np.full((20, 30, 3), 200, np.uint8)


def colours(picture, box):
    return {colour for _, colour in picture.crop(box).getcolors(1 << 16)}


def test_right_is_green_wrong_is_red_unknown_is_grey():
    results = [RankedPhoto(PHOTO, ("0.9",), match) for match in (True, False, None)]
    picture = ranking_strip(RankedPhoto(PHOTO), results, tile=64)
    whole = colours(picture, (0, 0, *picture.size))
    assert {GREEN, RED, GREY} <= whole
    # From left to right: the query, then the results in their order.
    third = (picture.width - 80) // 3
    seen = [colours(picture, (80 + n * third, 0, 80 + (n + 1) * third, picture.height)) for n in range(3)]
    assert [[frame in part for frame in (GREEN, RED, GREY)] for part in seen] == np.eye(3, dtype=bool).tolist()
    assert not {GREEN, RED, GREY} & colours(picture, (0, 0, 72, picture.height))


def test_photos_keep_their_shape():
    red = Image.new("RGB", (300, 100), (250, 0, 0))
    picture = np.asarray(ranking_strip(RankedPhoto(red), [], tile=64))
    rows, columns = np.nonzero((picture == (250, 0, 0)).all(-1))
    assert np.ptp(columns) == pytest.approx(3 * np.ptp(rows), abs=4)


def test_long_captions_stay_in_their_column():
    short, long = (RankedPhoto(PHOTO, (text,), True) for text in ("a", "photos/of/a/very/long/way/" * 5))
    results = [long, RankedPhoto(PHOTO, (), False)]
    sizes = {ranking_strip(RankedPhoto(PHOTO), [photo, results[1]], tile=64).size for photo in (short, long)}
    assert len(sizes) == 1
    picture = ranking_strip(RankedPhoto(PHOTO), results, tile=64)
    assert colours(picture, (picture.width - 64, 72, *picture.size)) == {(255, 255, 255)}


def test_any_number_of_results_and_a_title():
    plain, titled = (ranking_strip(RankedPhoto(PHOTO), [], title, tile=64) for title in ("", "query 3"))
    assert titled.height > plain.height and titled.width == plain.width


@pytest.mark.parametrize("image", [PHOTO / 255.0, PHOTO[..., 0], "photo.png"])
def test_what_is_no_photo_is_refused(image):
    with pytest.raises(ValueError, match="Received"):
        ranking_strip(RankedPhoto(image), [])
