"""Measured times of layers, kept in the workdir for this run and in the cache for later ones."""

import contextlib
import hashlib
import importlib.util
import json
import logging
import pathlib

from keras_cdd.errors import UserError
from keras_cdd.run_folder import layout, writing

# Must be increased whenever the same layer is measured in another way.
VERSION = 1


def latency_table(config, workdir):
    """The `LatencyTable` of a run with `--target_ms`, else None.

    Raises:
        UserError: if the runtime is not installed.
    """
    if config.surgery.target_ms is None:
        return None
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise UserError("--target_ms measures layers in LiteRT; pip install ai-edge-litert.")
    return LatencyTable(config.surgery.target_ms_precision, workdir / layout.LATENCY, config.data.cache_dir)


class LatencyTable:
    """Times of layers in milliseconds on one thread of LiteRT; what is not known is measured.

    What the run's own file has, stays, so that a resumed run plans the same on whatever machine.

    Args:
        precision: one of `LAYER_PRECISIONS`.
        path: the run's own file.
        cache_dir: folder that runs share; its folder `latency` has a file for every runtime, processor and precision.
            None or empty for none.
    """

    def __init__(self, precision, path, cache_dir=None):
        self._precision = precision
        self._path = path
        self._cache = pathlib.Path(cache_dir).expanduser() / "latency" if cache_dir else None

    def __call__(self, layers):
        """The milliseconds of each of the layers, which are triples of `LayerShape`, inputs and outputs."""
        known, names = _times(self._path, self._precision), [_name(*layer) for layer in layers]
        if missing := {name: layer for name, layer in zip(names, layers, strict=True) if name not in known}:
            known |= self._found(missing)
            writing.write_json(self._path, {"precision": self._precision, "ms": known})
        return [known[name] for name in names]

    def _found(self, missing):
        """Name -> milliseconds of some layers, from the cache or measured now."""
        from keras_cdd.evaluation.layer_latency import layers_ms, timing_facts

        facts = timing_facts(self._precision)
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
        path = None if self._cache is None else self._cache / f"v{VERSION}_{key}.json"
        cached = {} if path is None else _times(path, self._precision)
        if rest := {name: layer for name, layer in missing.items() if name not in cached}:
            print(f"{len(rest)} layers are measured in {facts['runtime']}, {self._precision}, one thread.", flush=True)
            cached |= dict(zip(rest, layers_ms(list(rest.values()), self._precision), strict=True))
            if path is not None:
                _keep(path, {**facts, "ms": cached})
        return {name: cached[name] for name in missing}


def _name(shape, inputs, outputs):
    kernel, strides, size = ("x".join(map(str, pair)) for pair in (shape.kernel, shape.strides, shape.size))
    kind = "depthwise" if shape.is_depthwise else "convolution"
    return f"{kind} {kernel}, stride {strides}, {inputs} to {outputs} channels of {size}"


def _times(path, precision):
    """Name of a layer -> milliseconds, as the file tells; empty without a readable file of this precision."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        table = json.loads(pathlib.Path(path).read_text())
        if table["precision"] == precision:
            return dict(table["ms"])
    return {}


def _keep(path, table):
    try:
        writing.make_folder(path.parent)
        writing.write_json(path, table)
    except OSError as error:
        logging.warning("The times of layers are not kept in %s for later runs (%s).", path.parent, error.strerror)
