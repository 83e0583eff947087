"""Which embeddings the asymmetric figure of a summary compares."""

import numpy as np

from keras_cdd.data import load_dataset
from keras_cdd.evaluation import rank_embeddings
from keras_cdd.experiment.experiment import asymmetric_accuracy


class Ranked:
    """An evaluator of the built-in data that reads no image."""

    dataset = load_dataset("synthetic")

    def rank(self, query, gallery):
        sides = (self.dataset.query, self.dataset.gallery)
        return rank_embeddings(query, gallery, *([record.identity for record in side] for side in sides))


def embeddings(length, quality, seed):
    """Of queries and gallery: a direction for each identity, and noise."""
    rng, dataset = np.random.default_rng(seed), Ranked.dataset
    identities = {record.identity for record in dataset.query}
    directions = {identity: np.random.default_rng(identity).normal(size=length) for identity in sorted(identities)}
    sides = (dataset.query, dataset.gallery)
    return [
        np.array([quality * directions[record.identity] + rng.normal(size=length) for record in side]) for side in sides
    ]


def test_the_students_queries_are_searched_in_the_teachers_gallery():
    student, teacher = embeddings(8, 1.0, 1), embeddings(8, 3.0, 2)
    found = asymmetric_accuracy({"student": student, "teacher": teacher}, Ranked())["asymmetric"]
    own, theirs = (Ranked().rank(*sides).as_percent() for sides in (student, teacher))
    assert own["mAP"] < found["mAP"] < theirs["mAP"]
    assert found == Ranked().rank(student[0], teacher[1]).as_percent()


def test_it_is_left_out_where_embeddings_cannot_be_compared():
    student = embeddings(8, 1.0, 1)
    assert asymmetric_accuracy({"student": student}, Ranked()) == {}
    assert asymmetric_accuracy({"student": student, "teacher": embeddings(6, 3.0, 2)}, Ranked()) == {}
