"""Starts the commands that use absl flags."""

import sys

import tensorflow as tf
from absl import app, flags, logging

from keras_cdd.commands.errors import end_at_once, explained_errors
from keras_cdd.commands.installed import as_called, with_own_flagfiles
from keras_cdd.quiet_start import quiet_start
from keras_cdd.settings.flags import define_flags, help_text, parse_flags


def run_command(main, sections, hint=lambda: ""):
    """Runs `main(argv)` under absl; `explained_errors` reports its errors.

    A stopped or failed command ends the process. A flag syntax error prints absl's message and exits with status 2.
    `--debug` shows tracebacks. `--help` prints the docstring of main's module and all flags.

    Args:
        main: function of the command-line arguments.
        sections: name -> dataclass with the flags of the command.
        hint: see `explained_errors`. Default: no hint.
    """
    define_flags(sections)
    about = sys.modules[main.__module__].__doc__

    def guarded(argv):
        with explained_errors(flags.FLAGS.debug, hint, end_at_once):
            return main(argv)

    with quiet_start():
        # TensorFlow prints messages when it first lists devices; that would otherwise happen while flags are parsed.
        tf.config.list_physical_devices()
    logging.set_verbosity(logging.WARNING)
    app.run(guarded, flags_parser=lambda argv: _parse(argv, about, sections))


def _parse(argv, about, sections):
    if {"--help", "-h", "--helpshort", "--helpfull"} & set(argv):
        print(help_text(as_called(about), sections))
        sys.exit()
    try:
        rest = parse_flags(with_own_flagfiles(argv))
        if len(rest) > 1:
            raise flags.Error(f"Unknown argument {rest[1]!r}; flags start with --.")
        return rest
    except flags.Error as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
