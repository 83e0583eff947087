"""A TFLite file as a function of images, and the interpreters that run it (no TensorFlow).

One file, since it is also run by its path, in a process of its own.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys

import numpy as np

# The packages that run files, the faster first, and what is imported of them.
RUNTIMES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
NO_RUNTIME = "There is no interpreter for .tflite files; pip install ai-edge-litert."


class TFLiteEmbedder:
    """Runs a `.tflite` file with one image input; of several outputs, the one called `embedding`.

    Integer inputs (uint8, int8) are quantized and integer outputs dequantized with the file's own scales.
    Files of a fixed batch get one image at a time.

    Args:
        path: of the file.
        threads: of the interpreter; as many as processors if None.

    Attributes:
        image_size: (height, width).
        embedding_size: D.
        input_type, output_type: names of the numbers that go in and come out, as "uint8" or "float32".
        output_quantization: (scale, zero_point) of integer outputs; (0.0, 0) of others.

    Raises:
        ValueError: if the file is damaged, does not take images, or has several outputs and none called
            `embedding`, or an output that is not (N, D).
        ImportError: if there is no interpreter.
    """

    def __init__(self, path, threads=None):
        runtimes = installed_runtimes()
        if not runtimes:
            raise ImportError(NO_RUNTIME)
        self._interpreter = open_interpreter(runtimes[0], path, threads or os.cpu_count())
        inputs = self._interpreter.get_input_details()
        shapes = [tuple(int(side) for side in details["shape"]) for details in inputs]
        if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
            raise ValueError(f"A model that embeds takes images (N, H, W, 3). Received: inputs {shapes}")
        self.image_size = shapes[0][1:3]
        self._input, self._output = inputs[0], _embedding(self._interpreter)
        if len(self._output["shape"]) != 2:
            raise ValueError(f"An embedding must be of shape (N, D). Received: output {tuple(self._output['shape'])}")
        self.embedding_size = int(self._output["shape"][1])
        self.input_type, self.output_type = (np.dtype(end["dtype"]).name for end in (self._input, self._output))
        self.output_quantization = self._output["quantization"]
        self._any_batch = self._input["shape_signature"][0] == -1
        self._batch = None

    def __call__(self, images):
        """Embeddings (N, D) float32 of images (N, height, width, 3) in 0..255.

        Raises:
            ValueError: if the images have another size.
        """
        images = np.asarray(images)
        if images.shape[1:] != (*self.image_size, 3):
            expected = f"(N, {self.image_size[0]}, {self.image_size[1]}, 3)"
            raise ValueError(f"Argument `images` must be {expected}. Received: shape {images.shape}")
        if self._any_batch:
            return self._run(images)
        return np.concatenate([self._run(images[n : n + 1]) for n in range(len(images))])

    def _run(self, images):
        index = self._input["index"]
        if len(images) != self._batch:
            self._interpreter.resize_tensor_input(index, images.shape)
            self._interpreter.allocate_tensors()
            self._batch = len(images)
        self._interpreter.set_tensor(index, np.ascontiguousarray(_quantized(images, self._input)))
        self._interpreter.invoke()
        return _dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)


def _embedding(interpreter):
    """The details of the output that is the embedding."""
    outputs = interpreter.get_output_details()
    if len(outputs) == 1:
        return outputs[0]
    signature = next(iter(interpreter.get_signature_list()), None)
    named = interpreter.get_signature_runner(signature).get_output_details() if signature else {}
    if "embedding" not in named:
        raise ValueError(f"One of several outputs must be called `embedding`. Received: {sorted(named)}")
    return named["embedding"]


def _quantized(values, details):
    scale, zero = details["quantization"]
    if not scale:
        return values.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    return np.clip(np.rint(values / scale + zero), limits.min, limits.max).astype(details["dtype"])


def _dequantized(values, details):
    scale, zero = details["quantization"]
    values = values.astype(np.float32)
    return (values - zero) * np.float32(scale) if scale else values


def installed_runtimes():
    """Those of `RUNTIMES` that are there, the faster first; none where no package is installed."""
    return [package for package, module in RUNTIMES.items() if importlib.util.find_spec(module)]


def open_interpreter(package, path, threads):
    """An `Interpreter` of a file; all runtimes compute it with XNNPACK's kernels if they can, so that all rank alike.

    Args:
        package: one of `installed_runtimes`.
        path: of a `.tflite` file.
        threads: to compute with.

    Raises:
        ValueError, RuntimeError: if the file is damaged.
    """
    module = importlib.import_module(f"{RUNTIMES[package]}.interpreter")
    arguments = {"model_path": str(path), "num_threads": threads}
    if package == "tflite-runtime":
        with contextlib.suppress(RuntimeError):
            return module.Interpreter(**arguments, experimental_delegates=_xnnpack(threads))
        # XNNPACK refuses shapes that are known at run time only.
    return module.Interpreter(**arguments)


def _xnnpack(threads):
    """A list of the delegate, empty where the package was built without it."""
    wrapper = importlib.import_module("tflite_runtime._pywrap_tensorflow_interpreter_wrapper")
    library = ctypes.CDLL(wrapper.__file__)
    return [_Xnnpack(library, threads)] if hasattr(library, "TfLiteXNNPackDelegateCreate") else []


class _Xnnpack:
    """XNNPACK's kernels, integers among them, for tflite-runtime, whose own choice leaves integers to slower ones.

    Those round otherwise, so that near ties of a ranking change places. There is no Python call for it: what an
    interpreter asks of a delegate is the pointer that the package's library gives to a call from C.
    """

    _SIGNED_AND_UNSIGNED_INTEGERS = 1 | 2

    class _Options(ctypes.Structure):
        """The start of `TfLiteXNNPackDelegateOptions`, with room for the rest."""

        _fields_ = [("threads", ctypes.c_int32), ("flags", ctypes.c_uint32), ("rest", ctypes.c_uint8 * 248)]

    def __init__(self, library, threads):
        library.TfLiteXNNPackDelegateOptionsDefault.restype = self._Options
        library.TfLiteXNNPackDelegateCreate.restype = ctypes.c_void_p
        library.TfLiteXNNPackDelegateDelete.argtypes = [ctypes.c_void_p]
        options = library.TfLiteXNNPackDelegateOptionsDefault()
        options.threads = threads
        options.flags |= self._SIGNED_AND_UNSIGNED_INTEGERS
        self._library = library
        self._pointer = library.TfLiteXNNPackDelegateCreate(ctypes.byref(options))

    def _get_native_delegate_pointer(self):
        return self._pointer

    def __del__(self):
        self._library.TfLiteXNNPackDelegateDelete(self._pointer)


def _try(path):
    """Embeds one black image."""
    embedder = TFLiteEmbedder(path, threads=1)
    embedder(np.zeros((1, *embedder.image_size, 3), np.uint8))


if __name__ == "__main__":
    # `model_file` runs this file in a process of its own.
    try:
        _try(sys.argv[1])
    except Exception as error:
        sys.exit(str(error))
