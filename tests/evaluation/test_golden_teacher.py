"""The authors' trained teacher, through our network, our data and our evaluation."""

import pytest

from keras_cdd.data import load_dataset
from keras_cdd.evaluation import Evaluator
from keras_cdd.models import gated_resnet, load_pretrained


@pytest.mark.slow
def test_golden_teacher_on_omniglot_300(golden, shared_dir):
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
    metrics = Evaluator(dataset, (64, 64)).evaluate(teacher).as_percent()
    assert metrics["mAP"] == pytest.approx(float(expected["mAP"]), abs=0.05)
    assert metrics["rank1"] == pytest.approx(float(expected["rank1"]), abs=0.05)
