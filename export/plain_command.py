"""Starts the commands that need neither Keras nor TensorFlow."""

import argparse
import sys


def without_keras():
    """Blocks the import of Keras, so that `keras_cdd` skips the modules that need it and loads quickly.

    Has no effect if Keras is already loaded.
    """
    sys.modules.setdefault("keras", None)


class CommandParser(argparse.ArgumentParser):
    """Parses `--name=value`; a syntax error prints one line and exits with status 2.

    Args:
        about: first lines of `--help`.
    """

    def __init__(self, about):
        super().__init__(
            description=about, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, prog="command"
        )
        self.usage = argparse.SUPPRESS
        self.add_argument("--debug", action="store_true", help="Show tracebacks.")

    def error(self, message):
        print(f"error: {' '.join(message.split())}; --help lists the flags.", file=sys.stderr)
        sys.exit(2)


def run_light(main, parser, saved=""):
    """Runs `main(options)`; `keras_cdd.commands.errors.explained_errors` reports errors and ends the process.

    What is `saved`, a sentence, is said when the command is stopped, or by an error of the machine; nothing by default.
    Keras is blocked unless an argument names a `.keras` file.
    """
    if not any(argument.endswith(".keras") for argument in sys.argv[1:]):
        without_keras()
    from keras_cdd.commands.errors import end_at_once, explained_errors
    from keras_cdd.commands.installed import as_called

    parser.description = as_called(parser.description)
    options = parser.parse_args()
    with explained_errors(options.debug, lambda: saved, end_at_once):
        main(options)
