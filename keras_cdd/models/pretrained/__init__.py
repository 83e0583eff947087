"""Pretrained weights: one file per naming scheme, `loading` to load a file, `imagenet` to find weights by backbone."""
