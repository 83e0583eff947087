"""Times tasks in turns, so that other load on the machine affects all of them, and compares them."""

import statistics
import time


def in_turns(tasks, rounds):
    """Medians over rounds, of which one more fills caches and traces graphs.

    Args:
        tasks: name -> (function, units of work in a call).
        rounds: number of timed calls of each.

    Returns:
        Name -> (seconds, processor seconds of all threads) per unit.
    """
    clocks = (time.perf_counter, time.process_time)
    taken = {name: ([], []) for name in tasks}
    for turn in range(rounds + 1):
        for name, (task, units) in tasks.items():
            starts = [clock() for clock in clocks]
            task()
            if turn:
                for clock, start, values in zip(clocks, starts, taken[name], strict=True):
                    values.append((clock() - start) / units)
    return {name: tuple(statistics.median(values) for values in both) for name, both in taken.items()}


def table(seconds, beside, unit="images"):
    """Rows and their ratios as a Markdown table.

    A ratio is the time of a row divided by that of the row it is compared with: by the clock, and by the processor time
    of all threads, which is the better figure on a busy machine.

    Args:
        seconds: name -> (seconds, processor seconds), the result of `in_turns`.
        beside: name -> the name of the row that it is compared with, or None.
        unit: plural of what the seconds are for; None shows seconds a call.
    """
    heads = ["", f"{unit} a second" if unit else "seconds", "processor ms", "times", "processor times", "compared with"]
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---|---|---|"]
    for name, (clock, processor) in seconds.items():
        other = beside.get(name)
        pairs = zip(seconds[name], seconds[other], strict=True) if other else ()
        ratios = [f"{a / b:.2f}" if b else "" for a, b in pairs]
        shown = f"{1 / clock:.0f}" if unit else f"{clock:.3f}"
        cells = [name, shown, f"{1000 * processor:.2f}", *(ratios or ["", ""]), other or ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
