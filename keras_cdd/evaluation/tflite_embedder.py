"""A TFLite file as a function of images, and the interpreters that run it (without TensorFlow).

This is a single module without imports from the package, because `model_file` also runs it by its path in a separate
process.
"""

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys

import numpy as np

# Package that runs TFLite files -> module to import; the faster package first.
RUNTIMES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
NO_RUNTIME = "There is no interpreter for .tflite files; pip install ai-edge-litert."


class TFLiteEmbedder:
    """Runs a `.tflite` file with one image input and returns its output, or that called `embedding` of several.

    Images are quantized for integer inputs (uint8, int8) and integer outputs are dequantized, with the scales in the
    file. Files with a fixed batch size get one image at a time.

    Args:
        path: path of the file.
        threads: threads of the interpreter; None (the default) for one per processor.

    Attributes:
        image_size: (height, width) in pixels.
        embedding_size: D.
        batch: number of images that the file takes at a time; None if any.
        input_type, output_type: number types of the file's input and output, for example "uint8" or "float32".
        output_quantization: (scale, zero_point) of integer outputs, (0.0, 0) of others.

    Raises:
        ValueError: if the file is damaged or does not take images, if none of several outputs is called `embedding`,
            or if the embedding is not of shape (N, D).
        ImportError: if no interpreter is installed.
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
        batch = int(self._input["shape_signature"][0])
        self.batch = None if batch == -1 else batch
        self._prepared = None

    def __call__(self, images):
        """Embeddings (N, D) float32, not normalised, of images (N, height, width, 3) in 0..255.

        Raises:
            ValueError: if the images do not have the size `image_size`.
        """
        images = np.asarray(images)
        if images.shape[1:] != (*self.image_size, 3):
            expected = f"(N, {self.image_size[0]}, {self.image_size[1]}, 3)"
            raise ValueError(f"Argument `images` must be {expected}. Received: shape {images.shape}")
        if self.batch is None:
            return self._run(images)
        return np.concatenate([self._run(images[n : n + 1]) for n in range(len(images))])

    def prepare(self, count=1):
        """Makes room for so many images at a time; a call does that by itself where the number is another."""
        if count != self._prepared:
            self._interpreter.resize_tensor_input(self._input["index"], (count, *self.image_size, 3))
            self._interpreter.allocate_tensors()
            self._prepared = count

    def _run(self, images):
        self.prepare(len(images))
        index = self._input["index"]
        self._interpreter.set_tensor(index, np.ascontiguousarray(_quantized(images, self._input)))
        self._interpreter.invoke()
        return _dequantized(self._interpreter.get_tensor(self._output["index"]), self._output)


def _embedding(interpreter):
    """The interpreter's details of the embedding output."""
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
    """Names of the installed packages among `RUNTIMES`, the faster first; empty where none is installed."""
    return [package for package, module in RUNTIMES.items() if importlib.util.find_spec(module)]


def open_interpreter(package, path, threads):
    """Opens a file with a runtime; every runtime uses XNNPACK's kernels where it can, so that rankings agree.

    Args:
        package: one of `installed_runtimes`.
        path: path of a `.tflite` file.
        threads: number of threads.

    Returns:
        The runtime's `Interpreter`; its tensors are not allocated yet.

    Raises:
        ValueError, RuntimeError: if the file is damaged.
    """
    module = importlib.import_module(f"{RUNTIMES[package]}.interpreter")
    arguments = {"model_path": str(path), "num_threads": threads}
    if package == "tflite-runtime":
        with contextlib.suppress(RuntimeError):
            return module.Interpreter(**arguments, experimental_delegates=_xnnpack(threads))
        # Reached where XNNPACK refuses the file: it does not support shapes that are only known at run time.
    return module.Interpreter(**arguments)


def _xnnpack(threads):
    """A list with the XNNPACK delegate; empty where the package was built without it."""
    wrapper = importlib.import_module("tflite_runtime._pywrap_tensorflow_interpreter_wrapper")
    library = ctypes.CDLL(wrapper.__file__)
    return [_Xnnpack(library, threads)] if hasattr(library, "TfLiteXNNPackDelegateCreate") else []


class _Xnnpack:
    """XNNPACK delegate with integer kernels for tflite-runtime, which uses XNNPACK for floats only by default.

    Its other integer kernels are slower and round differently, so that near ties in a ranking change places. The
    package has no Python function that creates this delegate. An interpreter only needs the pointer to it, which the
    package's library returns when called through C.
    """

    _SIGNED_AND_UNSIGNED_INTEGERS = 1 | 2

    class _Options(ctypes.Structure):
        """The first fields of `TfLiteXNNPackDelegateOptions`, and space for the rest."""

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
    # `model_file` runs this file in a separate process.
    try:
        _try(sys.argv[1])
    except Exception as error:
        sys.exit(str(error))
