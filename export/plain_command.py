"""How the commands start that need neither Keras nor TensorFlow."""

import argparse
import sys


def without_keras():
    """Rules Keras out from here on, so that `keras_cdd` leaves out what needs it and loads in no time.

    A process that has loaded Keras already stays as it is.
    """
    sys.modules.setdefault("keras", None)


class CommandParser(argparse.ArgumentParser):
    """Takes `--name=value`; a wrong syntax is one line and exit status 2.

    Args:
        about: what `--help` says first.
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


def run_light(main, parser):
    """Runs `main(options)` without Keras; what fails is told as `keras_cdd.commands.errors` has it."""
    without_keras()
    from keras_cdd.commands.errors import explained_errors
    from keras_cdd.commands.installed import as_called

    parser.description = as_called(parser.description)
    options = parser.parse_args()
    with explained_errors(options.debug):
        main(options)
