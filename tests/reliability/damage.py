"""Damaged copies of files."""

import io
import json
import zipfile


def damaged(content, rng):
    """Bytes with flipped bits, overwritten bytes, or the end cut off.

    Args:
        content: bytes, not empty.
        rng: `random.Random`.
    """
    content, kind = bytearray(content), rng.randrange(4)
    if kind == 0:
        return bytes(content[: rng.randrange(len(content))])
    # Half of the damage goes where the structure is described: header, tables, starts of pages.
    start = rng.choice([0, rng.randrange(len(content) // 4096 + 1) * 4096]) if rng.random() < 0.5 else None
    for _ in range(rng.choice([1, 1, 1, 8])):
        place = rng.randrange(len(content)) if start is None else min(start + rng.randrange(120), len(content) - 1)
        content[place] = content[place] ^ 1 << rng.randrange(8) if kind < 3 else rng.choice([0, 1, 127, 128, 255])
    return bytes(content)


ODD = [
    None,
    True,
    -1,
    0,
    1.5,
    1e999,
    10**400,
    1 << 62,
    "",
    "x",
    "../x",
    "/etc/passwd",
    "\ud800",
    [],
    {},
    [[]],
    {"a": 3},
]


def odd_json(value, rng):
    """JSON text of a value of which something inside is replaced, removed or doubled."""
    value = json.loads(json.dumps(value))
    spots = list(_spots(value))
    for _ in range(rng.choice([1, 1, 2])):
        holder, key = rng.choice(spots)
        try:
            if rng.random() < 0.2:
                del holder[key]
            elif rng.random() < 0.2:
                holder[key] = rng.choice(spots)[0]
            else:
                holder[key] = rng.choice(ODD)
        except (IndexError, KeyError):
            continue
    try:
        return json.dumps(value)
    except ValueError:  # it contains itself
        return "{"


def _spots(value):
    """(container, key) of everything inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _spots(inner)


def damaged_archive(content, rng):
    """A zip of which one entry is damaged (JSON: odd), and which is whole otherwise; or one that is damaged itself."""
    if rng.random() < 0.3:
        return damaged(content, rng)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    victim = rng.choice(sorted(entries))
    if victim.endswith(".json") and rng.random() < 0.7:
        entries[victim] = odd_json(json.loads(entries[victim]), rng).encode()
    elif rng.random() < 0.1 or not entries[victim]:
        del entries[victim]
    else:
        entries[victim] = damaged(entries[victim], rng)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return written.getvalue()
