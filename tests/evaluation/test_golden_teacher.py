"""The authors' trained teacher, through our network, our data and our evaluation."""

import numpy as np
import pytest

from keras_cdd.data import RetrievalDataset, load_dataset
from keras_cdd.evaluation import Evaluator
from keras_cdd.models import gated_resnet, load_pretrained

EVERY = 6


@pytest.mark.slow
def test_golden_teacher_on_omniglot_300(golden, shared_dir):
    """Of every sixth image, our embedding is theirs; test_golden_metrics.py ranks all of theirs."""
    weights = golden("omniglot_300_teacher_weights.npz")
    expected = golden("omniglot_300_embeddings.npz")
    dataset = load_dataset("omniglot_300", shared_dir / "data" / "omniglot")
    classes, size = weights["classifier.classifier.weight"].shape
    teacher = gated_resnet(
        "resnet50",
        width=16,
        image_size=(64, 64),
        num_classes=classes,
        embedding_size=size,
        indicators="none",
        rescaling=dataset.rescaling,
    )
    load_pretrained(teacher, weights)
    queries = int(expected["num_query"])
    assert len(dataset.query) == queries and len(dataset.query + dataset.gallery) == len(expected["embeddings"])
    part = RetrievalDataset("part", dataset.train, dataset.query[::EVERY], dataset.gallery[::EVERY])
    evaluator = Evaluator(part, (64, 64))
    theirs = expected["embeddings"].astype(np.float32)
    theirs = theirs[:queries][::EVERY], theirs[queries:][::EVERY]
    ours = evaluator.embeddings(teacher)
    for found, wanted in zip(ours, theirs, strict=True):
        cosines = np.sum(found * wanted, 1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
        assert cosines.min() > 0.999
    found, wanted = (evaluator.rank(*embeddings).as_percent() for embeddings in (ours, theirs))
    assert found["mAP"] == pytest.approx(wanted["mAP"], abs=0.1)
    assert found["rank1"] == pytest.approx(wanted["rank1"], abs=0.3)
