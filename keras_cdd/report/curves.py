"""Charts of losses, accuracy, cost and time over the epochs."""

from keras_cdd.report.figure import FAINT, INK, SERIES, draw
from keras_cdd.report.log_ticks import label_log_axis

TEACHER, STUDENT = SERIES[1], SERIES[0]


def curves(run):
    """The charts over the epochs of a run: a list of `Chart`, empty before the first epoch ends.

    Args:
        run: `RunFiles`.
    """
    stages = {stage: [e for e in run.epochs if e["stage"] == stage] for stage in ("teacher", "student")}
    charts = []
    if run.epochs:
        charts = [_loss(stages, run), *_parts(stages["student"], run), *_accuracy(stages, run)]
        charts += [_macs(stages, run), _seconds(stages, run)]
    return charts


def _loss(stages, run):
    return _by_stage("Loss", "loss", stages, run, ".2f", logarithmic=True)


def _seconds(stages, run):
    return _by_stage("Seconds an epoch", "seconds", stages, run, ".1f")


def _by_stage(title, key, stages, run, form, logarithmic=False):
    def paint(axes):
        for (stage, epochs), colour in zip(stages.items(), (TEACHER, STUDENT), strict=True):
            if epochs:
                _line(axes, epochs, key, colour, stage)
        _finish(axes, run, logarithmic)

    words = [_from_to(stage, epochs, key, form) for stage, epochs in stages.items() if epochs]
    return draw(title, f"{title}: {'; '.join(words)}. {_surgeries_in_words(run)}", paint)


def _parts(student, run):
    """The student's losses one by one, before they are multiplied by their weights."""
    names = [name for name in (student[-1] if student else {}) if name.endswith("_loss")]
    if not names:
        return []

    def paint(axes):
        for name, colour in zip(names, SERIES, strict=False):
            _line(axes, student, name, colour, name.removesuffix("_loss"))
        _finish(axes, run, logarithmic=True)

    words = "; ".join(_from_to(name.removesuffix("_loss"), student, name, ".3g") for name in names)
    more = 0.2 if len(names) > 7 else 0.0  # A third row of names.
    words = f"The student's losses before weighting: {words}."
    return [draw("The student's losses", words, paint, height=2.7 + more, bottom=0.85 + more)]


def _accuracy(stages, run):
    """mAP measured during training (`--eval_every`) and at the end of the run."""
    measured = {stage: [e for e in epochs if "mAP" in e] for stage, epochs in stages.items()}
    measured = {stage: epochs for stage, epochs in measured.items() if epochs}
    if not measured:
        return []
    final = {stage: run.summary[stage]["mAP"] for stage in stages if "mAP" in run.summary.get(stage, {})}
    colours = {"teacher": TEACHER, "student": STUDENT}

    def paint(axes):
        for stage, epochs in measured.items():
            _line(axes, epochs, "mAP", colours[stage], stage, marker=".")
        for stage, value in final.items():
            axes.axhline(value, color=colours[stage], linestyle=":", label=f"{stage}, at the end")
        _finish(axes, run)

    words = [_from_to(stage, epochs, "mAP", ".2f") for stage, epochs in measured.items()]
    words += [f"{stage} {value:.2f} at the end" for stage, value in final.items()]
    return [draw("mAP, percent", f"mAP in percent: {'; '.join(words)}.", paint)]


def _macs(stages, run):
    goal = float(run.settings["target_macs"]) if "target_macs" in run.settings else None
    student = stages["student"]

    def paint(axes):
        for epochs, colour, name in ((stages["teacher"], TEACHER, "teacher"), (student, STUDENT, "student")):
            if epochs:
                numbers, millions = [e["epoch"] for e in epochs], [e["macs"] / 1e6 for e in epochs]
                axes.plot(numbers, millions, color=colour, label=name)
        if student:
            numbers, millions = [e["epoch"] for e in student], [e["training_macs"] / 1e6 for e in student]
            axes.plot(numbers, millions, color=STUDENT, linewidth=0.9, alpha=0.6, label="as trained")
        if goal and student:
            axes.axhline(goal * _full_macs(run) / 1e6, color=FAINT, linestyle=":", label=f"budget {100 * goal:g} %")
        axes.set_ylim(bottom=0)
        _finish(axes, run)

    millions = [{**e, "millions": e["macs"] / 1e6} for e in student]
    words = _from_to("the student's", millions, "millions", ".2f") if student else "the student has not begun"
    return draw("Million MACs an image", f"Million MACs: {words}. {_surgeries_in_words(run)}", paint)


def _full_macs(run):
    first = next((s for s in run.surgeries), None)
    student = [e for e in run.epochs if e["stage"] == "student"]
    teacher = [e for e in run.epochs if e["stage"] == "teacher"]
    # The heavy student has the teacher's architecture.
    return (teacher or student)[0]["macs"] if teacher or first is None else first["macs_before"]


def _line(axes, epochs, key, colour, label, **style):
    points = [(e["epoch"], e[key]) for e in epochs if key in e]
    alone = {"marker": "."} if len(points) == 1 else {}
    axes.plot(*zip(*points, strict=True), color=colour, label=label, **alone | style)


def _finish(axes, run, logarithmic=False):
    """Draws scales, surgeries, and the legend below the axes, where it covers nothing."""
    if logarithmic:
        axes.set_yscale("log")
        label_log_axis(axes.yaxis)
    elif axes.get_ylim()[1] >= 1e4:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    for number, surgery in enumerate(run.surgeries):
        label = None if number else "surgery"
        axes.axvline(surgery["epoch"] + 0.5, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.7, label=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("epoch")
    columns = 3 if len(axes.get_legend_handles_labels()[1]) <= 6 else 4
    axes.figure.legend(loc="lower center", ncols=columns, handlelength=1.4, columnspacing=1.2)


def _from_to(name, epochs, key, form):
    first, last = epochs[0][key], epochs[-1][key]
    return f"{name} {first:{form}} after epoch {epochs[0]['epoch']}, {last:{form}} after epoch {epochs[-1]['epoch']}"


def _surgeries_in_words(run):
    epochs = ", ".join(str(surgery["epoch"]) for surgery in run.surgeries)
    return f"Surgeries after epochs {epochs}." if epochs else "No surgery yet."
