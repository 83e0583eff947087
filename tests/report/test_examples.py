"""The choice of example queries and their results."""

import base64
import io
import types

import numpy as np
import pytest
from PIL import Image

from keras_cdd.data.records import ImageRecord, RetrievalDataset
from keras_cdd.models import gated_resnet
from keras_cdd.report.activations import activation_maps
from keras_cdd.report.examples import Examples


def test_best_and_worst_are_those_of_the_student(examples, collected):
    precisions = examples.precisions["student"]
    shown = {kind: [precisions[q] for k, q in examples.chosen if k == kind] for kind in ("best", "worst", "random")}
    assert shown["best"] == sorted(precisions, reverse=True)[:2] and shown["worst"] == sorted(precisions)[:2]
    assert len(shown["random"]) == 2 and len({query for _, query in examples.chosen}) == 6
    assert [ranking["kind"] for ranking in collected["rankings"]] == ["best"] * 2 + ["worst"] * 2 + ["random"] * 2


def chosen(identities, precisions, count=2):
    """The identities of the examples of each kind, for queries of these identities (a letter each)."""
    records = tuple(ImageRecord(str(n), identity, split="query") for n, identity in enumerate(identities))
    store = types.SimpleNamespace(records=records)
    evaluator = types.SimpleNamespace(query=store, gallery=store, dataset=RetrievalDataset("letters", (), records, ()))
    pairs = Examples(evaluator, {}, {"student": np.asarray(precisions)}, count).chosen
    assert len({query for _, query in pairs}) == len(pairs)
    return {kind: "".join(identities[query] for k, query in pairs if k == kind) for kind in ("best", "worst", "random")}


def test_best_and_worst_are_of_different_identities():
    found = chosen("aaaabbccddddeeee", np.linspace(0.95, 0.05, 16), count=3)
    assert found["best"] == "abc" and found["worst"] == "edc" and len(set(found["random"])) == 3


def test_the_best_of_an_identity_represents_it():
    assert chosen("abababcdcdcd", np.linspace(1, 0, 12)) | {"random": ""} == {"best": "ab", "worst": "dc", "random": ""}
    assert chosen("aaabccc", [0.9, 0.8, 0.7, np.nan, 0.3, 0.2, 0.1])["worst"] == "ca"


def test_an_identity_comes_again_where_there_are_too_few():
    found = chosen("aaaaaabbbbbb", np.linspace(1, 0, 12), count=3)
    assert found["best"] == "aba" and found["worst"] == "bab" and sorted(set(found["random"])) == ["a", "b"]
    assert chosen("aaaaaa", np.linspace(1, 0, 6)) == {"best": "aa", "worst": "aa", "random": "aa"}
    assert chosen("a", [0.5]) == {"best": "a", "worst": "", "random": ""}


def test_the_choice_of_examples_is_repeatable(evaluator):
    precisions = np.random.default_rng(0).integers(0, 4, len(evaluator.query.records)) / 4  # Many ties.
    first, again = (Examples(evaluator, {}, {"student": precisions}).chosen for _ in range(2))
    assert first == again


def test_photos_bear_the_names_of_their_identities(examples, collected, evaluator):
    for (_, query), ranking in zip(examples.chosen, collected["rankings"], strict=True):
        name = evaluator.dataset.name_of(examples.query[query].identity)
        assert ranking["query"]["name"] == name and ranking["query"]["words"] == f"query: {name}"
        for result in (*ranking["student"], *ranking["teacher"]):
            name = evaluator.dataset.name_of(int(result["identity"]))
            assert result["name"] == name and f": {name}, " in result["words"]
    shown = [example["image"]["name"] for example in collected["activations"]]
    assert shown == [evaluator.dataset.name_of(examples.query[q].identity) for _, q in examples.chosen[::2][:4]]
    words = [picture["words"] for example in collected["activations"] for picture in example["maps"]]
    assert all(any(text.endswith(f" responds to {name}") for name in shown) for text in words)


def test_strips_bear_names_too(examples, evaluator, monkeypatch):
    captions = []

    def draw(asked, found, title):
        captions.append((asked.caption, {photo.caption[1] for photo in found}))
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("keras_cdd.report.examples.ranking_strip", draw)
    list(examples.strips())
    name = evaluator.dataset.name_of
    asked = [name(examples.query[query].identity) for _, query in examples.chosen for _ in ("student", "teacher")]
    assert [caption for caption, _ in captions] == [(text,) for text in asked]
    known = {name(record.identity) for record in examples.gallery}
    assert all(found <= known for _, found in captions)


def test_rankings_follow_the_metric(examples, collected):
    """Similarities fall, junk is absent, and marks are those of the identities."""
    for (_, query), ranking in zip(examples.chosen, collected["rankings"], strict=True):
        asked = examples.query[query]
        for who in ("student", "teacher"):
            similarities = [result["similarity"] for result in ranking[who]]
            assert len(similarities) == 5 and similarities == sorted(similarities, reverse=True)
            assert all(r["match"] == (r["identity"] == str(asked.identity)) for r in ranking[who])
        for record, _, match in examples._results("student", query):
            assert not (match and record.camera == asked.camera)
    best = collected["rankings"][0]
    assert best["average_precision"]["student"] > 50 and best["student"][0]["match"]


def test_pictures_are_small_photos(collected):
    for picture in collected["pictures"]:
        head, data = picture.split(",")
        image = Image.open(io.BytesIO(base64.b64decode(data)))
        assert head == "data:image/jpeg;base64" and max(image.size) <= 128
    used = [r["picture"] for ranking in collected["rankings"] for r in (ranking["query"], *ranking["student"])]
    assert set(used) <= set(range(len(collected["pictures"])))


def test_strips_show_student_above_teacher(examples):
    strips = list(examples.strips())
    assert len(strips) == 6 and all(picture.dtype == np.uint8 and picture.shape[2] == 3 for _, picture in strips)
    assert all(picture.shape[0] % 2 == 0 for _, picture in strips)


def test_maps_light_up_where_the_network_responds():
    network = gated_resnet("resnet18", width=4, image_size=(64, 64), embedding_size=8)
    images = np.full((1, 64, 64, 3), 127, np.uint8)
    images[0, :32, :32] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    maps = activation_maps(network, images)
    assert list(maps) == ["stage2_block2", "stage4_block2"]
    fine = maps["stage2_block2"][0].astype(float).sum(-1)
    assert fine.shape == (128, 128) and fine[:64, :64].mean() > 1.5 * fine[80:, 80:].mean()


@pytest.mark.parametrize("size", [(16, 16), (32, 48)])
def test_maps_have_the_shape_of_the_photo(size):
    network = gated_resnet("resnet18", width=4, image_size=size, embedding_size=8, stem="small")
    images = np.zeros((2, *size, 3), np.uint8)
    for pictures in activation_maps(network, images).values():
        assert pictures.shape == (2, *(side * 128 // max(size) for side in size), 3)
