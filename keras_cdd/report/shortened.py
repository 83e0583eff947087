"""Shortens text that is too long for its place."""


def shortened(text, fits):
    """The text, with its middle replaced by ... if it is too long; beginning and end tell most names apart.

    Args:
        text: anything; white space becomes single spaces.
        fits: function of a text: whether there is room for it. With an int, there is room for so many characters.

    Returns:
        The longest text that fits, but at least the first character.
    """
    if isinstance(fits, int):
        return shortened(text, lambda shown, room=fits: len(shown) <= room)
    text = " ".join(str(text).split())
    if fits(text):
        return text
    for kept in range(len(text) - 1, 1, -1):
        head = (kept + 1) // 2
        shown = f"{text[:head]}...{text[len(text) - kept + head :]}"
        if fits(shown):
            return shown
    return text[:1]
