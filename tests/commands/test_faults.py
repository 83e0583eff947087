"""The output of a failing command depends on the cause: a user's mistake, the machine or a bug."""

import errno
import json
import signal
import subprocess
import sys
import types

import pytest

from keras_cdd import train
from keras_cdd.commands import absl_command
from keras_cdd.commands.errors import REPORT, explained_errors
from keras_cdd.commands.installed import require_packages
from keras_cdd.errors import MissingFileError, UserError
from keras_cdd.run_folder.saved import saved_text


def fail(capsys, error, debug=False):
    """Exit status and stderr of a command that raises."""
    with pytest.raises(SystemExit) as ended, explained_errors(debug):
        raise error
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("error", [UserError("a\n  b"), MissingFileError("a b")])
def test_a_user_s_mistake_is_one_line(capsys, error):
    assert fail(capsys, error) == (1, "error: a b\n")
    with pytest.raises(type(error)), explained_errors(debug=True):
        raise error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EMFILE])
def test_what_the_machine_refuses_is_one_line(capsys, code):
    status, said = fail(capsys, OSError(code, "it says why", "place"))
    assert status == 1 and said == f"error: [Errno {code}] it says why: 'place'\n"


@pytest.mark.parametrize(
    "error",
    [ValueError("a shape"), KeyError("a"), ImportError("no _lib.so"), FileNotFoundError(errno.ENOENT, "gone", "x")],
)
def test_a_fault_of_ours_shows_its_traceback_and_how_to_report_it(capsys, error):
    status, said = fail(capsys, error)
    lines = said.splitlines()
    assert status == 1 and lines[0].startswith("Traceback") and lines[-1] == REPORT
    assert any(line.startswith(f"{type(error).__name__}: ") for line in lines)
    assert not any(line.startswith("error: ") for line in lines)


def test_ctrl_c_ends_with_its_own_status(capsys):
    assert fail(capsys, KeyboardInterrupt()) == (130, "stopped.\n")
    assert fail(capsys, KeyboardInterrupt("by a library")) == (130, "stopped.\n")


def test_a_stopped_command_says_what_it_is_told_to(capsys):
    with pytest.raises(SystemExit), explained_errors(False, lambda: "Nothing is lost."):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "stopped. Nothing is lost.\n"


def test_a_full_disk_names_what_is_saved(capsys):
    with pytest.raises(SystemExit), explained_errors(False, lambda: "x has it."):
        raise OSError(errno.ENOSPC, "it is full", "x")
    assert capsys.readouterr().err == f"error: [Errno {errno.ENOSPC}] it is full: 'x'; x has it.\n"


# Python waits for such a thread when it ends.
ENDLESS = """
import threading, time
from keras_cdd.errors import UserError

def main(*_):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    print("printed", flush=True)
    raise {error}
"""
COMMANDS = {
    "absl_command": """
from keras_cdd.commands.absl_command import run_command
from keras_cdd.report.__main__ import ReportFlags
run_command(main, {"report": ReportFlags})
""",
    "plain_command": """
from export.plain_command import CommandParser, run_light
run_light(main, CommandParser("A command."))
""",
}


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize(
    "error, status, said",
    [("KeyboardInterrupt()", 130, "stopped."), ("UserError('no data')", 1, "no data"), ("KeyError('a')", 1, REPORT)],
)
def test_a_stopped_or_failed_command_ends_whatever_its_threads_do(run_python, kind, error, status, said):
    done = run_python("-c", ENDLESS.format(error=error) + COMMANDS[kind])
    assert done.returncode == status and done.stdout == "printed\n" and said in done.stderr


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "2> >(exec 0<&-)"])
def test_it_ends_even_if_nobody_hears_it(closed):
    code = ENDLESS.format(error="KeyboardInterrupt()").replace('    print("printed", flush=True)\n', "")
    code += COMMANDS["plain_command"]
    command = ["bash", "-c", f'"$1" -c "$2" {closed}', "bash", sys.executable, code]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 130


@pytest.mark.parametrize(
    "error, said", [(KeyboardInterrupt(), "stopped.\n"), (OSError(28, "full"), "error: [Errno 28] full\n")]
)
def test_a_hint_that_fails_hides_no_error(capsys, error, said):
    with pytest.raises(SystemExit), explained_errors(False, lambda: 1 / 0):
        raise error
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("state", ["[]", "{}", "3", "x"])
def test_an_odd_checkpoint_is_not_counted_as_saved(tmp_path, state):
    (tmp_path / "checkpoints/student").mkdir(parents=True)
    (tmp_path / "checkpoints/student/state.json").write_text(state)
    assert saved_text(tmp_path) is None


@pytest.mark.parametrize("resume, how", [(True, ""), (False, ", without --noresume,")])
@pytest.mark.parametrize(
    "saved, what",
    [
        ({}, None),
        ({"teacher": 2}, "the teacher after epoch 2"),
        ({"teacher": 2, "teacher.keras": 0}, "the trained teacher"),
        ({"teacher.keras": 0, "student.old": 3}, "the student after epoch 3"),
        ({"teacher.keras": 0, "student": 4, "student.keras": 0}, "the trained student"),
    ],
)
def test_a_stopped_run_says_what_is_saved(capsys, monkeypatch, tmp_path, resume, how, saved, what):
    for name, epoch in saved.items():
        path = tmp_path / (name if "keras" in name else f"checkpoints/{name}/state.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"epoch": epoch}))
    values = types.SimpleNamespace(resume=resume, debug=False, workdir=str(tmp_path))
    monkeypatch.setattr(absl_command, "define_flags", lambda sections: None)
    monkeypatch.setattr(absl_command.flags, "FLAGS", values)
    monkeypatch.setattr(absl_command.app, "run", lambda main, flags_parser: main([]))
    monkeypatch.setattr(absl_command, "end_at_once", sys.exit)
    monkeypatch.setattr(train, "main", interrupted)
    with pytest.raises(SystemExit):
        train.run()
    said = f"{tmp_path} has {what}: the same command{how} continues from there." if what else "Nothing is saved yet."
    assert capsys.readouterr().err == f"stopped. {said}\n"


def interrupted(argv):
    raise KeyboardInterrupt


def test_a_user_s_mistakes_can_be_caught_as_what_python_calls_them():
    assert issubclass(UserError, ValueError)
    assert issubclass(MissingFileError, UserError) and issubclass(MissingFileError, FileNotFoundError)
    assert str(MissingFileError("There is no x.")) == "There is no x."


def test_an_optional_package_that_is_missing_is_a_user_s_mistake():
    require_packages("x", {"json": "json"})
    with pytest.raises(UserError, match="^--precision=int8_qat needs .* pip install a-package another.$"):
        require_packages("--precision=int8_qat", {"json": "json", "_nowhere": "a-package", "_nor_here": "another"})


WAITING = """
import contextlib, signal, sys, time
# A shell lets the programs that it starts in the background ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.modules["keras"] = None
from keras_cdd.commands import errors
errors.SECONDS_TO_STOP = 0.2

@contextlib.contextmanager
def turned():
    try:
        yield
    except KeyboardInterrupt:
        raise RuntimeError("An error occurred in a traced function") from None

class Finalizing(contextlib.nullcontext):
    def __enter__(self):
        self.sleep, time.sleep = time.sleep, self.wait

    def wait(self, seconds):
        time.sleep = self.sleep
        Last()

class Last:
    def __del__(self):
        time.sleep(60)

with errors.explained_errors(False):
    with {stop}:
        print("on", flush=True)
        time.sleep(60)
    time.sleep(60)
"""
STOPS = {
    "passed on": "contextlib.nullcontext()",
    "dropped": "contextlib.suppress(KeyboardInterrupt)",
    "turned into another error": "turned()",
    "dropped in a finalizer": "Finalizing()",
}


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("how", STOPS)
def test_a_signal_ends_a_command_however_the_first_is_treated(number, status, how):
    code = WAITING.format(stop=STOPS[how])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as command:
        assert command.stdout.readline() == "on\n"
        command.send_signal(number)
        said = command.stderr.read()
    assert command.returncode == status and said.splitlines()[-1] == "stopped." and "Traceback" not in said
