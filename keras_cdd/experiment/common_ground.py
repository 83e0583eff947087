"""What a teacher and a student of different architectures have in common, and what can be learnt from it."""

import dataclasses

from keras_cdd.distill.site_pairs import shared_names
from keras_cdd.errors import UserError
from keras_cdd.models.gated_units import gated_blocks, units_by_site
from keras_cdd.models.sites import cut_sites


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
        shared, own = shared_sites(student, teacher)
        # The features of gated blocks are compared in all of them or in none.
        if not shared or gated_blocks(student) and len(shared) < own:
            off["feature"] = 0.0
            found = f"only {len(shared)} of the student's {own} sites" if shared else "no site"
            lines.append(f"Teacher and student share {found} of the same name and width: the feature loss is off.")
        elif len(shared) < own:
            lines.append(f"The feature loss compares the {len(shared)} of {own} sites that the teacher has, too.")
    return dataclasses.replace(weights, **off), lines


def shared_sites(student, teacher):
    """The sites whose activations can be compared: uncut in the teacher and as wide as in the uncut student.

    Sites of gated blocks are called `<block>/<convolution>`; only networks without such blocks have others, which are
    called as in `keras_cdd.sites`.

    Returns:
        `(names, own)`: the list of their names, and how many sites the student has.
    """
    if not (blocks := gated_blocks(student)):
        ours = cut_sites(student)
        return shared_names(ours, cut_sites(teacher)), len(ours)
    ours = {block.site(unit): block.filters for block in blocks for unit in block.inner}
    theirs = {site: unit.filters for site, unit in units_by_site(teacher).items()}
    return [site for site, width in ours.items() if theirs.get(site) == width], len(ours)


def require_shared_sites(student, teacher):
    """Checks that the gradient reset can act: it compares the teacher's channels with the student's at every indicator.

    Raises:
        UserError: if the student has no gated blocks, or a site that the teacher has not.
    """
    shared, own = shared_sites(student, teacher)
    reason = None
    if not gated_blocks(student):
        reason = "this student has no gated blocks (--backbone=resnet18 to resnet152 do)"
    elif len(shared) < own:
        reason = f"this teacher has {len(shared)} of the student's {own} sites at their full width"
    if reason is not None:
        raise UserError(
            f"--gradient_reset_epoch compares teacher and student in their gated blocks, but {reason}; "
            "give a teacher of the student's architecture, or --gradient_reset_epoch=-1."
        )
