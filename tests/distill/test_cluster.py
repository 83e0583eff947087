"""The cluster that the environment of a process describes."""

import json

import pytest

from keras_cdd.distill.cluster import Cluster, cluster_of
from keras_cdd.errors import UserError


def tf_config(kind, index, **jobs):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def test_tf_config():
    assert cluster_of(tf_config("worker", 1, worker=["a:1", "b:1"])) == Cluster(("a:1", "b:1"), 1)
    jobs = {"worker": ["a:1", "b:1"], "chief": ["c:1"]}
    assert cluster_of(tf_config("chief", 0, **jobs)) == Cluster(("c:1", "a:1", "b:1"), 0)
    assert cluster_of(tf_config("worker", 1, **jobs)) == Cluster(("c:1", "a:1", "b:1"), 2)


def test_an_indexed_job():
    job = {"JOB_COMPLETION_INDEX": "1", "CDD_WORKERS": "3", "CDD_SERVICE": "cdd"}
    found = cluster_of(job, "train-cars-1.cdd.default.svc.cluster.local")
    assert found == Cluster(("train-cars-0.cdd:8888", "train-cars-1.cdd:8888", "train-cars-2.cdd:8888"), 1)
    with pytest.raises(UserError, match="CDD_SERVICE is missing"):
        cluster_of(job | {"CDD_SERVICE": ""}, "train-1")
    with pytest.raises(UserError, match="CDD_WORKERS must be a number. Received: None"):
        cluster_of({"JOB_COMPLETION_INDEX": "1"}, "train-1")


def test_a_slurm_step():
    step = {
        "SLURM_JOB_ID": "123456",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "n[9-10],gpu3",
        "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)",
    }
    # Nodes stay in Slurm's order, in which it numbers the tasks.
    assert cluster_of(step) == Cluster(("n9:13456", "n9:13457", "n10:13456", "gpu3:13456"), 2)
    with pytest.raises(UserError, match="SLURM_STEP_NODELIST is missing: start the command with srun"):
        cluster_of({"SLURM_PROCID": "0"})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "finds no workers in its environment"),
        ({"TF_CONFIG": "worker"}, "TF_CONFIG must have"),
        ({"TF_CONFIG": "[]"}, "TF_CONFIG must have"),
        (tf_config("worker", 0, worker=["a:1"], ps=["b:1"]), "only `chief` and `worker`"),
        (tf_config("evaluator", 0, worker=["a:1"]), "only `chief` and `worker`"),
        (tf_config("worker", 2, worker=["a:1", "b:1"]), "A cluster of 2 workers has no worker 2"),
    ],
)
def test_what_is_no_cluster(environment, message):
    with pytest.raises(UserError, match=message):
        cluster_of(environment)
