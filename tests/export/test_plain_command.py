"""Start and errors of the commands without Keras."""

import subprocess
import sys

import pytest

from export.plain_command import CommandParser, run_light
from keras_cdd.commands import errors
from keras_cdd.errors import MissingFileError, UserError


def parser():
    parser = CommandParser("Doubles a number.")
    parser.add_argument("--number", type=int, default=1, help="The number.")
    return parser


def run(monkeypatch, main, *flags, saved=""):
    """A failing command would end this process."""
    monkeypatch.setattr(errors, "end_at_once", sys.exit)
    monkeypatch.setattr(sys, "argv", ["double", *flags])
    run_light(main, parser(), saved)


def raising(error):
    def main(_):
        raise error

    return main


def test_runs(monkeypatch, capsys):
    run(monkeypatch, lambda options: print(2 * options.number), "--number=21")
    assert capsys.readouterr().out == "42\n"


@pytest.mark.parametrize("error", [UserError("a\n  b"), MissingFileError("a b")])
def test_a_user_s_mistake_is_one_line(monkeypatch, capsys, error):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, raising(error))
    assert ended.value.code == 1 and capsys.readouterr().err == "error: a b\n"
    with pytest.raises(type(error)):
        run(monkeypatch, raising(error), "--debug")


@pytest.mark.parametrize("error", [ValueError("a"), KeyError("a"), ImportError("a")])
def test_a_fault_of_ours_is_not_hidden(monkeypatch, capsys, error):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, raising(error))
    said = capsys.readouterr().err
    assert ended.value.code == 1 and said.startswith("Traceback") and "issue tracker" in said.splitlines()[-1]


@pytest.mark.parametrize("saved, said", [("", "stopped.\n"), ("It goes on.", "stopped. It goes on.\n")])
def test_ctrl_c(monkeypatch, capsys, saved, said):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, raising(KeyboardInterrupt()), saved=saved)
    assert ended.value.code == 130 and capsys.readouterr().err == said


@pytest.mark.parametrize("flags", [["--nix"], ["--number=x"], ["--num=3"], ["3"]])
def test_syntax(monkeypatch, capsys, flags):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, print, *flags)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1


def test_help(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, print, "--help")
    said = capsys.readouterr().out
    assert ended.value.code == 0 and said.startswith("Doubles a number.") and "--number" in said


def test_without_keras():
    code = "from export.plain_command import without_keras; without_keras(); import keras_cdd, sys; "
    code += "print('Distiller' in vars(keras_cdd), 'tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
