"""Makes flags from the fields of `config.py`, and a `Config` from parsed flags."""

import dataclasses
import textwrap
import typing

from absl import flags

from keras_cdd.errors import UserError
from keras_cdd.settings.config import SECTIONS, Config


def define_flags(sections=SECTIONS, values=flags.FLAGS):
    """Defines a flag for every field of the given sections, and `--debug`; call it once, before parsing.

    Args:
        sections: name -> dataclass; the sections of `Config` by default.
        values: `absl.flags.FlagValues`; the global flags by default.
    """
    for section in sections.values():
        types = typing.get_type_hints(section)
        for field in dataclasses.fields(section):
            _define(field.name, types[field.name], field.default, field.metadata, values)
    flags.DEFINE_bool("debug", False, "Show the whole traceback of an error.", flag_values=values)


def _define(name, kind, default, metadata, values):
    kinds = {kind, *typing.get_args(kind)}
    text, choices = metadata["help"], metadata["choices"]
    if typing.get_origin(kind) is tuple:
        flags.DEFINE_list(name, [str(value) for value in default], text, flag_values=values)
    elif metadata.get("switch"):
        parser, writer = _Switch(choices, metadata["switch"]), flags.ArgumentSerializer()
        flags.DEFINE_flag(flags.Flag(parser, writer, name, default, text, boolean=True), values)
    elif choices and str in kinds:
        flags.DEFINE_enum(name, default, list(choices), text, flag_values=values)
    elif bool in kinds:
        flags.DEFINE_bool(name, default, text, flag_values=values)
    elif int in kinds:
        flags.DEFINE_integer(name, default, text, flag_values=values)
    elif float in kinds:
        flags.DEFINE_float(name, default, text, flag_values=values)
    else:
        flags.DEFINE_string(name, default, text, flag_values=values)


class _Switch(flags.EnumParser):
    """Of a choice that was true or false in earlier releases, whose runs and scripts remain valid."""

    def __init__(self, choices, switch):
        super().__init__(list(choices))
        self._values = {"false": switch[0], "true": switch[1]}

    def parse(self, argument):
        return super().parse(self._values.get(argument, argument))


def help_text(about, sections=SECTIONS):
    """The text of `--help`: `about`, then all flags with their defaults, grouped by section."""
    lines = [about.strip()]
    for section in sections.values():
        lines += ["", section.__doc__.split("\n")[0]]
        for field in dataclasses.fields(section):
            shown = "" if field.default is None else "=" + _as_text(field.default)
            name = f"  --[no]{field.name}" if isinstance(field.default, bool) else f"  --{field.name}{shown}"
            text = field.metadata["help"] + (" On by default." if field.default is True else "")
            if field.metadata["choices"]:
                text += f" One of {', '.join(map(str, field.metadata['choices']))}."
            first, *rest = textwrap.wrap(text, 78)
            lines += [f"{name:<34}{first}" if len(name) < 33 else f"{name}\n{'':34}{first}"]
            lines += [f"{'':34}{line}" for line in rest]
    return "\n".join([*lines, "", "Also --flagfile=F (a flag a line) and --debug (the whole traceback of an error)."])


def parse_flags(argv, values=flags.FLAGS):
    """Parses arguments, the first of which is the name of the program.

    Args:
        argv: list of text.
        values: `absl.flags.FlagValues`; the global flags by default.

    Returns:
        `argv` without the flags.

    Raises:
        flags.Error: if a flag is unknown or has an unusable value, or if a flagfile cannot be read.
    """
    try:
        return values(argv)
    except RecursionError:
        # absl looks for known flags of a similar name, one call a letter.
        raise flags.Error("Unknown command line flag of a thousand letters or more.") from None
    except (OSError, ValueError) as error:
        # A flagfile that is no UTF-8, a folder, or a name that no file can have.
        raise flags.Error(f"Cannot read a flagfile: {error}") from None


def config_from_flags(values=flags.FLAGS):
    """Returns the parsed flags as a `Config`.

    Raises:
        UserError: if a value is invalid.
    """
    return Config(**{name: section_from_flags(section, values) for name, section in SECTIONS.items()})


def config_from_flagfile(path):
    """Reads the settings of a run from its `flags.flags`.

    Raises:
        UserError: if the file cannot be read or a value is invalid.
    """
    try:
        return _config_of([f"--flagfile={path}"])
    except flags.Error as error:
        raise UserError(f"The settings {path} cannot be read ({error}); train the run again.") from None


def current_text(text):
    """The text of an earlier release's flagfile as this one writes it, or `text` if it holds something else.

    Flags that the earlier release did not have get their defaults.
    """
    try:
        return flagfile_text(_config_of(text.splitlines()))
    except (flags.Error, UserError):
        return text


def _config_of(arguments):
    values = flags.FlagValues()
    define_flags(values=values)
    _, *others = parse_flags(["run", *arguments], values)
    if others:
        raise flags.Error(f"no flag: {others[0]}")
    return config_from_flags(values)


def section_from_flags(section, values):
    """The dataclass `section` with the values of parsed flags.

    Raises:
        UserError: if a list holds something else than numbers.
    """
    types = typing.get_type_hints(section)
    return section(**{f.name: _value(f.name, types[f.name], values[f.name].value) for f in dataclasses.fields(section)})


def _value(name, kind, value):
    if typing.get_origin(kind) is not tuple:
        return value
    item = typing.get_args(kind)[0]
    try:
        return tuple(item(part) for part in value)
    except ValueError:
        raise UserError(f"--{name} is a list of numbers separated by commas. Received: {','.join(value)}") from None


def _as_text(value):
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def flagfile_text(config):
    """The text of a flagfile that repeats the run."""
    lines = []
    for section in SECTIONS:
        for name, value in dataclasses.asdict(getattr(config, section)).items():
            if isinstance(value, bool):
                lines.append(f"--{name}" if value else f"--no{name}")
            elif value is not None:
                lines.append(f"--{name}={_as_text(value)}")
    return "\n".join(lines) + "\n"
