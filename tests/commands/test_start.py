"""What a process prints and loads when it starts: with Keras, without it, and on another backend."""

import json
import os
import subprocess
import sys

import pytest

from keras_cdd.keras_backend import switch_on_onednn
from keras_cdd.quiet_start import quiet_start

# Loading TensorFlow takes three seconds each time.
pytestmark = pytest.mark.slow


def python(*arguments, **environment):
    removed = ("KERAS_BACKEND", "KERAS_HOME", "TF_CPP_MIN_LOG_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in removed}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=False)


def test_help_says_nothing_on_stderr():
    done = python("-m", "keras_cdd.evaluate", "--help")
    assert done.returncode == 0 and "--model" in done.stdout and done.stderr == ""


@pytest.mark.parametrize(
    "command", [("keras_cdd.evaluate", "--model=nowhere.keras"), ("export.to_tflite", "--workdir=nowhere")]
)
def test_a_mistake_is_all_that_stderr_holds(command):
    done = python("-m", *command)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "nowhere" in done.stderr


def test_nothing_is_caught_where_tensorflow_is_loaded_already():
    code = "import tensorflow, tempfile; del tempfile.TemporaryFile; import keras_cdd; print(keras_cdd.Distiller)"
    done = python("-c", code)
    assert done.returncode == 0 and "Distiller" in done.stdout, done.stderr


KNOWN_LINES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795547881.471275   10738 port.cc:153] oneDNN custom operations are on. You may see slightly",
    "2026-01-01 00:00:00.1: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on. You may see",
    "I0000 00:00:1795547881.471587   10738 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will",
    "I0000 00:00:1.9   10750 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU",
    "To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate",
    "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",
    "E0000 00:00:1.4   10738 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit",
)
UNKNOWN_LINES = (
    "E0000 00:00:1.4   10738 cuda_dnn.cc:500] Loaded runtime CuDNN library: 9.1 but source was compiled with: 9.3",
    "RuntimeError: module was compiled against NumPy 2",
    "not whole",
)


def test_known_lines_are_taken_out_and_others_follow(capfd):
    with quiet_start():
        os.write(2, "\n".join([KNOWN_LINES[0], UNKNOWN_LINES[0], *KNOWN_LINES[1:], *UNKNOWN_LINES[1:]]).encode())
        print("from Python", file=sys.__stderr__)
    assert capfd.readouterr().err.splitlines() == [*UNKNOWN_LINES[:-1], UNKNOWN_LINES[-1] + "from Python"]


def test_a_failure_shows_what_was_written_before_it(capfd):
    with pytest.raises(ImportError), quiet_start():
        os.write(2, b"a library is missing\n")
        raise ImportError("broken")
    assert capfd.readouterr().err == "a library is missing\n"


def test_where_stderr_is_closed_nothing_fails():
    code = "import os; os.close(2)\nfrom keras_cdd.quiet_start import quiet_start\nwith quiet_start(): print('ran')"
    assert python("-c", f"import sys; sys.modules['keras'] = None\n{code}").stdout == "ran\n"


HIDDEN = "import sys; sys.modules['keras'] = None; import keras_cdd; "


def test_without_keras_the_package_says_what_it_lacks():
    for use in ("keras_cdd.Distiller", "from keras_cdd import gate_model", "from keras_cdd import *"):
        done = python("-c", HIDDEN + use)
        last = done.stderr.splitlines()[-1]
        assert done.returncode and last.startswith("ImportError: keras_cdd.") and "needs TensorFlow and Keras" in last
    done = python("-c", HIDDEN + "from keras_cdd import data, evaluation; print(hasattr(keras_cdd, 'nonsense'))")
    assert done.stdout == "False\n"


# Makes it a Python without Keras and TensorFlow, whatever is installed here.
NOT_INSTALLED = """
import importlib.machinery, sys
class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in ("keras", "tensorflow")
        return None if absent else super().find_spec(name, path, target)
sys.meta_path = [Finder if finder is importlib.machinery.PathFinder else finder for finder in sys.meta_path]
"""


def test_where_keras_is_not_installed():
    done = python("-c", NOT_INSTALLED + "import keras_cdd.data.image\nkeras_cdd.fuse")
    assert done.stderr.splitlines()[-1].startswith("ImportError: keras_cdd.fuse needs TensorFlow and Keras")
    assert done.stderr.count("Traceback") == 1


@pytest.mark.parametrize("how", ["variable", "file"])
def test_another_backend_is_named_with_the_remedy(tmp_path, how):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    environment = {"variable": {"KERAS_BACKEND": "jax"}, "file": {"KERAS_HOME": str(tmp_path)}}[how]
    done = python("-c", "import keras_cdd", **environment)
    last = done.stderr.splitlines()[-1]
    assert done.returncode and last.startswith("ImportError: keras_cdd needs Keras on TensorFlow")
    assert "'jax'" in last and "KERAS_BACKEND=tensorflow" in last


def test_the_variable_outweighs_the_file(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    done = python("-c", "import keras_cdd", KERAS_HOME=str(tmp_path), KERAS_BACKEND="tensorflow")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "threads, cores, chosen", [("", 1, None), ("0", 1, None), ("1", 8, None), ("", 2, "1"), ("2", 1, "1")]
)
def test_onednn_is_switched_on_where_there_are_threads(monkeypatch, threads, cores, chosen):
    """With one thread, gradients of 1x1 convolutions with strides would damage memory on processors with AVX2."""
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    switch_on_onednn()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    del os.environ["TF_ENABLE_ONEDNN_OPTS"]
    switch_on_onednn()
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == chosen


def test_a_broken_installation_shows_its_own_traceback(tmp_path):
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").write_text("import a_library_that_is_missing\n")
    done = python("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import keras_cdd")
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'a_library_that_is_missing'"


def test_plain_commands_take_no_notice_of_the_backend():
    done = python("-m", "export.search", KERAS_BACKEND="jax")
    assert done.returncode == 1 and done.stderr == "error: --model is missing; give a file.\n"
