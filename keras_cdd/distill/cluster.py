"""The workers of a training on several machines, as the environment of each process tells them."""

import dataclasses
import json
import socket
from collections.abc import Mapping
from typing import Any

from keras_cdd.errors import UserError

# Of pods, each of which has an address of its own.
PORT = 8888
HOW = (
    "--strategy=multi_worker finds no workers in its environment: set TF_CONFIG, start it with srun, or as an Indexed "
    "Job of Kubernetes with CDD_WORKERS and CDD_SERVICE."
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that train together.

    Attributes:
        addresses: "host:port" of every worker, the same in all of them. The first worker is the chief.
        index: of this process among them.
    """

    addresses: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < len(self.addresses):
            raise UserError(f"A cluster of {len(self.addresses)} workers has no worker {self.index}.")


def cluster_of(environment: Mapping[str, str], hostname: str | None = None) -> Cluster:
    """The cluster that environment variables describe.

    `TF_CONFIG` comes first; then an Indexed Job of Kubernetes, whose pods are called `<job>-<index>.<service>`; then a
    step of Slurm.

    Args:
        environment: such as `os.environ`.
        hostname: of this machine; asked of the system by default.

    Raises:
        UserError: if they describe none, or not completely.
    """
    if environment.get("TF_CONFIG"):
        return _of_tf_config(environment["TF_CONFIG"])
    if "JOB_COMPLETION_INDEX" in environment:
        return _of_indexed_job(environment, hostname or socket.gethostname())
    if "SLURM_PROCID" in environment:
        return _of_slurm_step(environment)
    raise UserError(HOW)


def _of_tf_config(text: str) -> Cluster:
    try:
        facts = json.loads(text)
        jobs, task = facts["cluster"], facts["task"]
        chiefs, workers = list(jobs.get("chief", [])), list(jobs.get("worker", []))
        others, place = jobs.keys() - {"chief", "worker"}, int(task["index"])
        kind = task["type"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"TF_CONFIG must have TensorFlow's `cluster` and `task`. Received: {text}") from None
    if others or kind not in ("chief", "worker"):
        raise UserError(f"TF_CONFIG may have only `chief` and `worker` among its jobs. Received: {text}")
    return Cluster((*chiefs, *workers), place if kind == "chief" else len(chiefs) + place)


def _of_indexed_job(environment: Mapping[str, str], hostname: str) -> Cluster:
    index, workers = (_number(environment, name) for name in ("JOB_COMPLETION_INDEX", "CDD_WORKERS"))
    service = environment.get("CDD_SERVICE")
    if not service:
        raise UserError("CDD_SERVICE is missing: the name of the job's headless service, see examples/kubernetes.yaml.")
    job = hostname.partition(".")[0].removesuffix(f"-{index}")
    return Cluster(tuple(f"{job}-{number}.{service}:{PORT}" for number in range(workers)), index)


def _of_slurm_step(environment: Mapping[str, str]) -> Cluster:
    # Not TensorFlow's resolver: it sorts the nodes by name, so that n10 comes before n9, where Slurm does not.
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
        expand_hostlist,
        expand_tasks_per_node,
    )

    names = ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE")
    if missing := [name for name in names if not environment.get(name)]:
        raise UserError(f"{missing[0]} is missing: start the command with srun, which sets it.")
    try:
        hosts = expand_hostlist(environment[names[0]])
        tasks = expand_tasks_per_node(environment[names[1]])
    except ValueError as error:
        raise UserError(f"The nodes of this Slurm step cannot be read: {error}") from None
    # Jobs that share a node have different numbers, and so do their ports.
    first = 10000 + _number(environment, "SLURM_JOB_ID") % 20000
    addresses = [f"{host}:{first + task}" for host, count in zip(hosts, tasks, strict=True) for task in range(count)]
    return Cluster(tuple(addresses), _number(environment, "SLURM_PROCID"))


def _number(environment: Mapping[str, Any], name: str) -> int:
    try:
        return int(environment[name])
    except (KeyError, ValueError):
        raise UserError(f"{name} must be a number. Received: {environment.get(name)}") from None
