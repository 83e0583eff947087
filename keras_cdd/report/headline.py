"""The results table at the top of the report: teacher, student, deployed form, exported files, other models."""

import dataclasses
import pathlib

MODELS = {"teacher": "teacher.keras", "student": "student.keras", "deploy": "deploy.keras"}
COLUMNS = {
    "mAP": ("mAP", "%", ".2f"),
    "rank1": ("Rank-1", "%", ".2f"),
    "num_params": ("parameters", "", ",d"),
    "macs": ("MACs", "", ",d"),
    "bytes": ("bytes", "", ",d"),
    "latency_ms": ("ms", "", ".2f"),
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the table.

    Attributes:
        name: key of the column in `COLUMNS`.
        value: the number as recorded, or None if it was not measured.
        shown: the number as text.
    """

    name: str
    value: float | None
    shown: str


def headline(run):
    """Row name -> list of `Cell`, one per column of `COLUMNS`; empty before the end of the run.

    Args:
        run: `RunFiles`.
    """
    if not run.summary:
        return {}
    rows = {}
    for name, file in MODELS.items():
        if name not in run.summary:
            # There is no teacher with `--teacher_embeddings`.
            continue
        rows[file] = run.summary[name] | {"bytes": run.size_of(file)}
        rows[file]["latency_ms"] = run.summary.get("latency_ms", {}).get(name)
    for name, measured in run.exported.items():
        # Same network as the deployed form; the latency is that on one thread.
        same = {key: run.summary["deploy"][key] for key in ("num_params", "macs")}
        rows[name] = same | measured | {"latency_ms": measured.get("latency_ms", {}).get("1_thread")}
    rows |= _asymmetric(run) | evaluated(run)
    return {name: [_cell(key, row.get(key)) for key in COLUMNS] for name, row in rows.items()}


def _asymmetric(run):
    """The row of the student's queries in the teacher's gallery, if both embeddings can be compared."""
    found = run.summary.get("asymmetric")
    return {"student in the teacher's gallery": found} if found else {}


def evaluated(run):
    """Row name -> record of the models that `keras_cdd.evaluate --workdir` measured; from `RunFiles`."""
    rows = {}
    for record in run.evaluations:
        name = pathlib.PurePath(str(record.get("model"))).name
        taken = (*MODELS.values(), *run.exported, *rows)
        name = str(record["model"]) if name in taken else name
        size = (record.get("image_height"), record.get("image_width"))
        name += f", {record['pretrained']}" if record.get("pretrained") else ""
        name += f", {size[0]} × {size[1]}" if size != run.image_size else ""
        other = record.get("gallery_model") or record.get("gallery_embeddings")
        name += f" in the gallery of {pathlib.PurePath(other).name}" if other else ""
        rows[name] = record
    return rows


def headline_text(run):
    """The table and the savings as plain text; empty before the end of the run.

    Args:
        run: `RunFiles`.
    """
    rows = headline(run)
    if not rows:
        return ""
    heads = ["", *(f"{title} {unit}".strip() for title, unit, _ in COLUMNS.values())]
    lines = [heads, *([name, *(cell.shown for cell in cells)] for name, cells in rows.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines]
    return "\n".join([*table, *(f"{run.summary[key]:.1f} % {text}" for key, text in SAVED.items())])


def savings(run):
    """(key in the summary, percent, text) of the large figures at the top: savings and mAP; from `RunFiles`."""
    if not run.summary:
        return []
    figures = [(key, run.summary[key], text) for key, text in SAVED.items() if run.summary[key] > 0]
    if "mAP" in run.summary["deploy"]:
        figures.append(("mAP", run.summary["deploy"]["mAP"], "mAP of the deployed student"))
    if "mAP" in run.summary.get("teacher", {}):
        figures.append(("mAP", run.summary["teacher"]["mAP"], "mAP of its teacher"))
    return figures


SAVED = {"macs_saved": "of the MACs saved", "params_saved": "of the parameters saved"}


def _cell(name, value):
    usable = isinstance(value, int | float)
    return Cell(name, value if usable else None, format(value, COLUMNS[name][2]) if usable else "–")
