"""Weights from elsewhere: one file a naming scheme, `loading` to fill a network, `imagenet` to find weights by name."""
