"""`--device`, as all verbs have it."""

from typing import Annotated

import tyro

from splatseg.workflows import config

Device = Annotated[
    config.Device,
    tyro.conf.arg(
        help="Where to compute. auto: the GPU if torch finds one and gsplat is installed, else the "
        "CPU."
    ),
]
