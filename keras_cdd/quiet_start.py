"""Keeps what TensorFlow and LiteRT print of themselves at every start from who runs a command."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Written by TensorFlow's C++ code to file descriptor 2, past Python's `logging` and partly past TF_CPP_MIN_LOG_LEVEL.
KNOWN = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|.*oneDNN custom operations are on\."
    rb"|.*cudart_stub\.cc:\d+\] Could not find cuda drivers"
    rb"|.*cpu_feature_guard\.cc:\d+\]"
    rb"|To enable the following instructions:"
    rb"|.*failed call to cuInit"
    rb"|fully_quantize: \d+, inference_type: "
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate for CPU\."
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Takes the `KNOWN` lines out of what is written to stderr meanwhile; all other lines follow at the end.

    Where stderr cannot be caught, as it is closed or there is no room for a temporary file, nothing is taken out.
    """
    with contextlib.ExitStack() as stack:
        try:
            caught, stderr = stack.enter_context(tempfile.TemporaryFile()), os.dup(2)
        except OSError:
            yield
            return
        _flush()
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            caught.seek(0)
            for line in caught:
                if not KNOWN.match(line):
                    os.write(2, line)


def _flush() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
