"""The report as one self-contained HTML page."""

import pathlib
import re

import jinja2

from keras_cdd.errors import UserError
from keras_cdd.models.backbones import STOCK_BACKBONES
from keras_cdd.report.channels import channel_map, importance_chart
from keras_cdd.report.curves import curves
from keras_cdd.report.duration import duration
from keras_cdd.report.headline import COLUMNS, evaluated, headline, savings
from keras_cdd.report.shortened import shortened
from keras_cdd.run_folder import layout
from keras_cdd.run_folder.reading import RunFiles
from keras_cdd.run_folder.writing import write_bytes, write_text
from keras_cdd.settings.sections import DEFAULT_BACKBONE


def write_report(workdir):
    """Writes `report.html` for a run that is finished, in progress or interrupted.

    Args:
        workdir: folder of the run.

    Returns:
        Path of the page. An older page is replaced only when the new one is complete.

    Raises:
        FileNotFoundError: if the folder holds no run.
        UserError: if its logs are damaged, or of another version.
    """
    run = RunFiles(workdir)
    target = run.path / layout.REPORT
    try:
        page = render(run)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, jinja2.UndefinedError) as error:
        if isinstance(error, UserError):
            raise
        # A log with other names or values can fail anywhere.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"The logs of run {run.path} are damaged ({reason}); --debug shows where.") from error
    # Names of files that are no UTF-8 get into the page as escapes.
    write_bytes(target, page.encode(errors="backslashreplace"))
    return target


def render(run):
    """The page as HTML text, from `RunFiles`."""
    return _TEMPLATES.get_template("page.html.jinja").render(
        name=run.path.resolve().name,
        state=_state(run),
        finished=bool(run.summary),
        settings=run.settings,
        network=_network(run.settings),
        surgeries=run.surgeries,
        environment=_flat(run.environment),
        columns=COLUMNS,
        headline=headline(run),
        evaluated=list(evaluated(run)) if run.evaluations else [],
        savings=savings(run),
        seconds=run.summary.get("seconds", {}),
        curves=curves(run),
        channels=_channels(run),
        examples=run.examples if run.summary else None,
    )


def write_charts(workdir, folder):
    """Writes every chart of a run to a separate SVG file, which follows light and dark mode like the page.

    Args:
        workdir: folder of the run.
        folder: folder for the files, created if missing. The files are named after the titles of the charts.

    Returns:
        Paths of the files.

    Raises:
        FileNotFoundError: if `workdir` holds no run.
    """
    run, folder = RunFiles(workdir), pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"--charts {folder} is a file; give a folder.") from None
    colours = _TEMPLATES.get_template("colours.css.jinja").render()
    style = f"<style>{colours}svg {{ font-family: system-ui, sans-serif; }}</style>"
    paths = []
    for chart in [*curves(run), *_channels(run)]:
        paths.append(folder / ("_".join(re.findall(r"\w+", chart.title.lower())) + ".svg"))
        write_text(paths[-1], re.sub(r"(<svg [^>]*>)", rf"\1{style}", chart.svg, count=1))
    return paths


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters["shortened"] = shortened


def _channels(run):
    return [chart for chart in (channel_map(run), importance_chart(run)) if chart]


def _network(settings):
    """The student's network in words."""
    if model := settings.get("student_model"):
        return pathlib.Path(model).name
    backbone = settings.get("backbone")
    if backbone is None:
        return "the teacher's network" if "teacher" in settings else DEFAULT_BACKBONE
    return backbone if backbone in STOCK_BACKBONES else f"{backbone}, width {settings.get('width', '')}"


def _state(run):
    """The progress of the run in words."""
    if run.summary:
        seconds = sum(run.summary.get("seconds", {}).values())
        return f"finished after {duration(seconds)}"
    if not run.epochs:
        return "begun; no epoch is complete"
    last = run.epochs[-1]
    of = run.settings.get("epochs" if last["stage"] == "student" else "teacher_epochs", "?")
    return f"not finished: {last['stage']} epoch {last['epoch']} of {of} is complete"


def _flat(tree, prefix=""):
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key} ")
        else:
            flat[f"{prefix}{key}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat
