"""The cost of the exported files on this machine: bytes, mAP and milliseconds on one thread of ai-edge-litert.

`python -m benchmarks.deployed --workdir=runs/x` compares the teacher in float32 with every model_*.tflite that
`export.to_tflite` wrote to this folder. `python -m benchmarks.deployed --geometry` builds a ResNet-50 for 224x224
pixels with random weights, removes random channels, those that save most MACs first, down to `--target_macs` and in
groups of `--round_to` channels (as these flags do in training; integer kernels compute in such groups), with
`--residual` from the widths of the stages, too, and compares the int8 student with the float32 teacher. It also prints
the sum of the measured times of the student's layers, which `--target_ms` limits, beside the least time of the whole
file.
"""

import dataclasses
import json
import pathlib
import platform
import statistics
import tempfile
import time

from absl import flags

from keras_cdd.commands.absl_command import run_command
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.settings.option import option

GEOMETRY = {"backbone": "resnet50", "width": 64, "image_size": (224, 224)}
# Without one of these, a processor multiplies 8-bit integers no faster than floats.
DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


@dataclasses.dataclass(frozen=True)
class BenchmarkFlags:
    """Flags of this command."""

    workdir: str | None = option(None, "Folder of a finished run with exported files.")
    geometry: bool = option(False, "Instead of --workdir: a ResNet-50 for 224x224 pixels with random weights.")
    target_macs: float = option(0.35, "For --geometry: fraction of the MACs to keep.")
    round_to: int = option(32, "For --geometry: channel counts are multiples of this.")
    residual: bool = option(False, "For --geometry: remove channels that additions join, too.")
    data_dir: str | None = option(None, "Folder of the run's data set, if it has moved.")
    csv: str | None = option(None, "The run's CSV file, if it has moved.")
    rounds: int = option(30, "How often every file is run; the files take turns.")


@dataclasses.dataclass(frozen=True)
class Row:
    """A file; its mAP in percent and the sum of its layers' times, None if it has none."""

    name: str
    path: pathlib.Path
    m_ap: float | None = None
    layers_ms: float | None = None


def main(_):
    values = flags.FLAGS
    if (values.workdir is None) == (not values.geometry) or min(values.rounds, values.round_to) < 1:
        raise UserError(
            "Give either --workdir of a finished run or --geometry, and --rounds and --round_to of at least 1."
        )
    if not 0 < values.target_macs <= 1:
        raise UserError(f"--target_macs must be above 0 and at most 1. Received: {values.target_macs}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        rows = geometry_rows(folder, values) if values.geometry else run_rows(values, folder)
        times = times_ms([row.path for row in rows], values.rounds)
        print(table(rows, [statistics.median(taken) for taken in times]))
        for row, taken in zip(rows, times, strict=True):
            if row.layers_ms is not None:
                print(f"{row.name}: {row.layers_ms:.2f} ms by its layers, {min(taken):.2f} ms at least as a whole")
    found = [name for name in DOT_PRODUCTS if name in _processor_flags()]
    print(f"{platform.machine()}, 8-bit dot products: {', '.join(found) or 'none, so int8 gains size but no speed'}")


def run_rows(values, folder):
    """Rows of the run's teacher in float32 and of the exported files."""
    import keras_cdd
    from export.conversion.quantize import to_tflite
    from keras_cdd.evaluation import Evaluator, load_embedder
    from keras_cdd.run_folder.reading import RunFiles

    run = RunFiles(values.workdir, values.data_dir, values.csv)
    reports = sorted(pathlib.Path(values.workdir).glob("model_*.json"), key=lambda path: -_read(path)["bytes"])
    if not reports:
        raise MissingFileError(f"Run {values.workdir} has no model_*.tflite; python -m export.to_tflite makes them.")
    teacher = folder / "teacher.tflite"
    teacher.write_bytes(to_tflite(keras_cdd.fuse(run.model("teacher")), "float32"))
    m_ap = Evaluator(run.dataset, run.image_size).evaluate(load_embedder(teacher)).as_percent()["mAP"]
    students = [
        Row(f"student {_read(path)['precision']}", path.with_suffix(".tflite"), _read(path)["mAP"]) for path in reports
    ]
    return [Row("teacher float32", teacher, m_ap), *students]


def geometry_rows(folder, values):
    """Rows of a plain network in float32 and a slim one of the same geometry in float32 and int8."""
    import keras
    import numpy as np

    import keras_cdd
    from export.conversion.integer_form import integer_form
    from export.conversion.quantize import to_tflite

    keras.utils.set_random_seed(0)
    teacher = keras_cdd.fuse(keras_cdd.gated_resnet(**GEOMETRY, indicators="none"))
    student = _slim(teacher, values)
    macs = [keras_cdd.count_macs(model) for model in (teacher, student)]
    print(f"MACs: teacher {macs[0]:,}, student {macs[1]:,} ({100 * (1 - macs[1] / macs[0]):.1f} % removed)")
    images = np.random.default_rng(0).integers(0, 256, (8, *GEOMETRY["image_size"], 3), np.uint8)
    contents = {
        "teacher float32": lambda: to_tflite(teacher, "float32"),
        "student float32": lambda: to_tflite(student, "float32"),
        "student int8": lambda: to_tflite(integer_form(student), "int8", images=images),
    }
    rows = []
    for name, content in contents.items():
        layers_ms = _sum_of_layers(student, name.split()[1]) if name.startswith("student") else None
        rows.append(Row(name, folder / f"{name.replace(' ', '_')}.tflite", layers_ms=layers_ms))
        rows[-1].path.write_bytes(content())
    return rows


def _slim(teacher, values):
    """Removes random channels to the budget; of equal ones, those that save most MACs."""
    import numpy as np

    import keras_cdd

    rng = np.random.default_rng(0)
    widths = {name: site.channels for name, site in keras_cdd.sites(teacher, residual=values.residual).items()}
    importance = {name: (rng.permutation(width) + rng.random()) / width for name, width in widths.items()}
    budget = {"target_macs": values.target_macs, "round_to": values.round_to}
    plan = keras_cdd.plan_surgery(teacher, **budget, importance=importance, residual=values.residual)
    return keras_cdd.rebuild(teacher, plan)


def _sum_of_layers(student, precision):
    """What `--target_ms` would limit."""
    from keras_cdd.evaluation.layer_latency import layers_ms
    from keras_cdd.models.cost import graph_costs
    from keras_cdd.models.graph import embedding_graph

    return graph_costs(embedding_graph(student), times=lambda layers: layers_ms(layers, precision)).total("ms")


def times_ms(paths, rounds):
    """Milliseconds of each file for one image on one thread; the files take turns, so all see the same load."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreters, times = [], [[] for _ in paths]
    for path in paths:
        interpreters.append(Interpreter(str(path), num_threads=1))
        interpreters[-1].allocate_tensors()
        (details,) = interpreters[-1].get_input_details()
        noise = np.random.default_rng(0).integers(0, 128, details["shape"]).astype(details["dtype"])
        interpreters[-1].set_tensor(details["index"], noise)
        interpreters[-1].invoke()
    for _ in range(rounds):
        for interpreter, taken in zip(interpreters, times, strict=True):
            start = time.perf_counter()
            interpreter.invoke()
            taken.append(1000 * (time.perf_counter() - start))
    return times


def table(rows, milliseconds):
    """The rows as text; all are compared with the first."""
    lines = [f"{'':<22}{'bytes':>13}{'smaller':>9}{'mAP %':>8}{'ms':>9}{'faster':>8}"]
    first_bytes, first_ms = rows[0].path.stat().st_size, milliseconds[0]
    for row, ms in zip(rows, milliseconds, strict=True):
        size = row.path.stat().st_size
        accuracy = "-" if row.m_ap is None else f"{row.m_ap:.2f}"
        lines.append(
            f"{row.name:<22}{size:>13,}{first_bytes / size:>8.1f}x{accuracy:>8}{ms:>9.2f}{first_ms / ms:>7.1f}x"
        )
    return "\n".join(lines)


def _read(path):
    return json.loads(path.read_text())


def _processor_flags():
    try:
        return pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return []


def run():
    run_command(main, {"benchmark": BenchmarkFlags})


if __name__ == "__main__":
    run()
