"""One file per data set; `keras_cdd.data.registry` finds them by name."""
