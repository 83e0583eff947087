"""The examples for Slurm and Kubernetes start what the program expects."""

import pathlib
import re
import subprocess

import yaml
from absl import flags

from keras_cdd.distill.cluster import PORT, cluster_of
from keras_cdd.settings.flags import config_from_flags, define_flags

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


def test_the_slurm_script():
    path = EXAMPLES / "slurm.sh"
    parsed = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert not parsed.returncode, parsed.stderr
    text = path.read_text()
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert len(options) == text.count("#SBATCH") and options["ntasks-per-node"] == "1"
    arguments = re.search(r"keras_cdd\.train (.*)", text.replace("\\\n", " "))[1].split()
    assert_parsed([argument.replace('"', "") for argument in arguments])


def test_the_kubernetes_manifest():
    service, job = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
    assert service["spec"]["clusterIP"] == "None" and service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
    assert [port["containerPort"] for port in container["ports"]] == [PORT]
    # As Kubernetes names a pod of an Indexed Job.
    host = f"{job['metadata']['name']}-1"
    found = cluster_of(environment | {"JOB_COMPLETION_INDEX": "1"}, host)
    assert len(found.addresses) == spec["completions"]
    assert found.addresses[1] == f"{host}.{service['metadata']['name']}:{PORT}"
    mount, volume = container["volumeMounts"][0], pod["volumes"][0]
    config = assert_parsed(container["command"][3:])
    assert config.run.workdir.startswith(mount["mountPath"]) and mount["name"] == volume["name"]


def assert_parsed(arguments):
    values = flags.FlagValues()
    define_flags(values=values)
    values([__file__, *(argument.replace("=keras_cdd/", f"={ROOT}/keras_cdd/") for argument in arguments)])
    config = config_from_flags(values)
    assert config.training.strategy == "multi_worker"
    return config
