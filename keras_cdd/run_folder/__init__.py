"""Reads and writes the files of a run; a file is written completely or not at all."""
