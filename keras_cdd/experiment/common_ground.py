"""What a teacher and a student of different architectures have in common, and what can be learnt from it."""

import dataclasses

from keras_cdd.errors import UserError
from keras_cdd.models.gated_units import gated_blocks
from keras_cdd.models.sites import sites


def agreed_weights(student, teacher, weights):
    """Switches off the losses that this teacher cannot give this student.

    Args:
        student: retrieval model, cut or not.
        teacher: retrieval model of any architecture with an `embedding`, or None.
        weights: `LossWeights`.

    Returns:
        `(weights, lines)`: the `LossWeights` with 0 for what is off, and a sentence for every loss that is off, or that
        compares only a part of the student.
    """
    if teacher is None:
        return weights, []
    off, lines = {}, []
    if weights.logit and "logits" not in teacher.output:
        off["logit"] = 0.0
        lines.append("The teacher has no logits: the logit loss is off.")
    lengths = [model.output["embedding"].shape[-1] for model in (teacher, student)]
    if weights.embedding and lengths[0] != lengths[1]:
        off["embedding"] = 0.0
        lines.append(
            f"The teacher's embedding has {lengths[0]} values, the student's {lengths[1]}: "
            "the embedding loss is off, the relation loss needs no equal lengths."
        )
    if weights.feature:
        shared, own = shared_sites(student, teacher), len(_full_widths(student))
        if not shared:
            off["feature"] = 0.0
            lines.append("Teacher and student have no site of the same name and width: the feature loss is off.")
        elif len(shared) < own:
            lines.append(f"The feature loss compares the {len(shared)} of {own} sites that the teacher has, too.")
    return dataclasses.replace(weights, **off), lines


def shared_sites(student, teacher):
    """Name -> number of channels of the sites that both have, uncut in the teacher and as wide as the uncut student's.

    Sites of gated blocks are called `<block>/<convolution>`, others as in `keras_cdd.sites`.
    """
    theirs = _widths(teacher)
    return {name: width for name, width in _full_widths(student).items() if theirs.get(name) == width}


def require_shared_sites(student, teacher):
    """Checks that the gradient reset can act: it compares the teacher's channels with the student's at every site.

    Raises:
        UserError: if the student has a site that the teacher has not.
    """
    own = _full_widths(student)
    missing = sorted(own.keys() - shared_sites(student, teacher).keys())
    if missing or not own:
        which = f"{len(missing)} of {len(own)}, such as {missing[0]}, are not in it" if missing else "it has none"
        raise UserError(
            "--gradient_reset_epoch needs a teacher with the student's sites in their full width; "
            f"{which}. Give a teacher of the student's architecture, or --gradient_reset_epoch=-1."
        )


def _full_widths(model):
    """Name of the site -> channels in the uncut network."""
    if blocks := gated_blocks(model):
        return {block.site(unit): block.filters for block in blocks for unit in block.inner}
    return {name: site.full_channels for name, site in sites(model).items()}


def _widths(model):
    """Name of the site -> channels that the network computes."""
    if blocks := gated_blocks(model):
        return {block.site(unit): unit.filters for block in blocks for unit in block.inner}
    return {name: site.channels for name, site in sites(model).items()}
