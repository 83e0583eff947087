"""Commands in forks of one process that has TensorFlow loaded: loading it takes longer than most commands run.

They know the backbone of `tests.tiny_backbone`, too, and time a single call.

`python -m tests.forked SOCKET` serves until its standard input ends.
"""

import contextlib
import gc
import json
import os
import pathlib
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

POSSIBLE = hasattr(os, "fork") and hasattr(socket, "recv_fds")


def run(place, *arguments, cwd=None):
    """Like `subprocess.run([sys.executable, *arguments], capture_output=True, text=True)`.

    Args:
        place: of the server's socket.
        arguments: `-m`, a module and its arguments, or `-c`, a script and its arguments.
        cwd: the command's folder, this process's by default.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, open(os.devnull) as nothing:
        status = ask(place, arguments, [file.fileno() for file in (nothing, out, err)], cwd)
        texts = [file.seek(0) or file.read().decode() for file in (out, err)]
    return subprocess.CompletedProcess([sys.executable, *arguments], status, *texts)


def ask(place, arguments, descriptors=(0, 1, 2), cwd=None):
    """The exit status of a command in a fork, with this process's environment and the given stdin, stdout, stderr."""
    request = {"arguments": arguments, "cwd": str(cwd or os.getcwd()), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(place))
        socket.send_fds(connection, [b"3"], list(descriptors))
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        return int(connection.makefile().read())


@contextlib.contextmanager
def served():
    """Starts a server that ends with the block; yields the path of its socket, at which it will listen."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    # The path of a socket may have about a hundred characters: pytest's folders are too long in places.
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "socket")
        command = [sys.executable, "-m", "tests.forked", place]
        with (
            open(place + ".errors", "w") as errors,
            subprocess.Popen(command, cwd=os.path.dirname(os.path.dirname(__file__)), stderr=errors, **pipes) as server,
        ):
            yield place
            server.stdin.close()


def wait_for(place, seconds=300):
    """Waits until a server listens.

    Raises:
        RuntimeError: with the traceback of a server that has failed.
        TimeoutError: if it does not listen in that time.
    """
    errors = pathlib.Path(f"{place}.errors")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
            connection.connect(str(place))
            return
        if "Traceback" in (failed := errors.read_text()):
            raise RuntimeError(failed)
        time.sleep(0.1)
    raise TimeoutError(f"no server listens at {place}")


def serve(place):
    import keras_cdd.experiment
    import keras_cdd.report  # noqa: F401
    from export.proof import runtimes
    from keras_cdd.experiment.latency import latency_ms
    from tests.tiny_backbone import add_tiny

    add_tiny()
    # A latency of one call instead of the median of twenty; of an exported file, of twenty instead of two seconds.
    latency_ms.__defaults__ = (1,)
    runtimes.latency_ms.__defaults__ = (0.0,)
    # A fork would otherwise walk through all that is loaded, and copy its memory, each time it collects garbage.
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        # Standard input is readable once whoever started this process has ended or closed it.
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                # A command may ask for another one and wait for it.
                if not os.fork():
                    answer(connection)
                    os._exit(0)
            reap()


def reap():
    """Forgets the forks that have answered."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer(connection):
    message, descriptors, *_ = socket.recv_fds(connection, 1, 3)
    if not message:
        return  # Somebody has looked whether this server listens.
    request = json.load(connection.makefile())
    child = os.fork()
    if not child:
        become(request, descriptors)
        sys.exit()
    for descriptor in descriptors:
        os.close(descriptor)
    connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def become(request, descriptors):
    """Turns a fork into the command, to the end of its interpreter."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    # A shell lets the programs that it starts in the background ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    kind, what, *arguments = request["arguments"]
    sys.argv, sys.path[0] = [what, *arguments], ""
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = kind
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    serve(sys.argv[1])
