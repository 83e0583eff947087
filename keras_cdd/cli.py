"""How every command starts, explains itself and fails: one clear line, exit status 1."""

import sys

from absl import app, flags, logging

from keras_cdd.flags import define_flags, help_text

USER_ERRORS = (ValueError, OSError, ImportError)


def run_command(main, sections):
    """Runs `main(argv)` under absl; a user's mistake becomes one line on stderr and exit status 1.

    Flag syntax errors end with absl's message and status 2; `--debug` shows tracebacks; `--help` prints the docstring
    of main's module and every flag.

    Args:
        main: the command.
        sections: name -> dataclass of the flags that it takes.
    """
    define_flags(sections)
    about = sys.modules[main.__module__].__doc__

    def guarded(argv):
        try:
            return main(argv)
        except USER_ERRORS as error:
            if flags.FLAGS.debug:
                raise
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("stopped; the same command starts it again and continues what was saved.", file=sys.stderr)
            sys.exit(130)

    logging.set_verbosity(logging.WARNING)
    app.run(guarded, flags_parser=lambda argv: _parse(argv, about, sections))


def _parse(argv, about, sections):
    if {"--help", "-h", "--helpshort", "--helpfull"} & set(argv):
        print(help_text(about, sections))
        sys.exit()
    try:
        rest = flags.FLAGS(argv)
        if len(rest) > 1:
            raise flags.Error(f"Unknown argument {rest[1]!r}; flags start with --.")
        return rest
    except flags.Error as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
