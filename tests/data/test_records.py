"""Labels and validation of data sets."""

import dataclasses

import numpy as np
import pytest

from keras_cdd.data.records import ImageRecord, RetrievalDataset


def dataset(**options):
    records = [ImageRecord(f"{i}_{n}", i, n) for i in ("b", "a", "c") for n in range(2)]
    records += [ImageRecord(f"q{n}", "z", 1, "query") for n in range(2)]
    records += [ImageRecord("g", "z", 2, "gallery")]
    return RetrievalDataset.from_records("toy", records, **options)


def test_records_are_sorted_into_their_splits_and_labels_are_contiguous():
    toy = dataset()
    assert [len(part) for part in (toy.train, toy.query, toy.gallery)] == [6, 2, 1]
    assert toy.num_identities == 3
    np.testing.assert_array_equal(toy.labels, [1, 1, 0, 0, 2, 2])
    assert toy.labels.dtype == np.int32
    np.testing.assert_array_equal(toy.labels_of(toy.train[4:]), [2, 2])
    assert toy.validate() is toy


def test_an_identity_without_a_name_is_called_by_its_number_or_text():
    toy = dataset(names={7: "Golden-Delicious"})
    assert [toy.name_of(identity) for identity in (7, 8, "z")] == ["Golden-Delicious", "8", "z"]
    assert hash(toy) == hash(dataclasses.replace(toy, names={}))


def test_integer_identities_are_ordered_by_number():
    toy = dataclasses.replace(dataset(), train=tuple(ImageRecord(str(i), i) for i in (10, 9, 100)))
    np.testing.assert_array_equal(toy.labels, [1, 0, 2])


@pytest.mark.parametrize("split", ["train", "query", "gallery"])
def test_an_empty_split_is_refused_when_it_is_needed(split):
    toy = dataclasses.replace(dataset(), **{split: ()})
    with pytest.raises(ValueError, match=f"no {split} images"):
        toy.validate()
    assert toy.validate([other for other in ("train", "query", "gallery") if other != split]) is toy


def test_an_identity_with_one_image_is_refused_but_only_reported_in_published_sets(caplog):
    single = (*dataset().train, ImageRecord("d", "lonely"))
    with pytest.raises(ValueError, match="1 training identities with one image only, as 'lonely'"):
        dataclasses.replace(dataset(), train=single).validate()
    dataclasses.replace(dataset(published=True), train=single).validate()
    assert "lonely" in caplog.text


def test_queries_without_a_camera_are_refused_beside_a_gallery_with_cameras():
    query = tuple(dataclasses.replace(record, camera=None) for record in dataset().query)
    with pytest.raises(ValueError, match="2 queries without one, as q0"):
        dataclasses.replace(dataset(), query=query).validate()
    gallery = tuple(dataclasses.replace(record, camera=None) for record in dataset().gallery)
    dataclasses.replace(dataset(), query=query, gallery=gallery).validate()


def test_identities_that_are_trained_and_tested_are_refused():
    gallery = (*dataset().gallery, ImageRecord("x", "a", 2, "gallery"))
    with pytest.raises(ValueError, match="tests 1 identities that it trains on, as 'a'"):
        dataclasses.replace(dataset(), gallery=gallery).validate()


def test_rescaling_makes_ink_bright():
    scale, offset = dataset(inverted=True).rescaling
    assert (0 * scale + offset, 255 * scale + offset) == (1.0, -1.0)
    scale, offset = dataset().rescaling
    assert (0 * scale + offset, 255 * scale + offset) == (-1.0, 1.0)


@pytest.mark.parametrize("identity, camera, good", [("z", 1, False), ("y", 2, False), ("z", -1, True), ("z", 3, True)])
def test_a_query_must_have_a_match_of_another_or_an_unknown_camera(identity, camera, good):
    query = tuple(dataclasses.replace(record, camera=camera if camera == -1 else 1) for record in dataset().query)
    toy = dataclasses.replace(dataset(), query=query, gallery=(ImageRecord("g", identity, camera, "gallery"),))
    if good:
        assert toy.validate() is toy
    else:
        with pytest.raises(ValueError, match="no query with a match in the gallery"):
            toy.validate()
