"""The command line of the filter: `lsf fit`, `score`, `select`, `ole`, `report`; also `python -m lsf`.

Each command is a file, `lsf.command_*`; what they share is in `lsf.command_line` (refusals), `lsf.command_options` and
`lsf.command_inputs`.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # for torch, which is not there yet: equal runs give equal latents

import sys

try:
    import click
    import pyarrow  # noqa: F401
    import tqdm  # noqa: F401
except ImportError as error:
    sys.exit(f"Error: the command line needs {error.name}: pip install -e '.[cli]'")

from lsf.command_fit import fit
from lsf.command_line import Commands
from lsf.command_ole import ole
from lsf.command_report import report
from lsf.command_score import score
from lsf.command_select import select

EPILOG = """
Examples, from a folder of real images, one sub-folder a class, and a pool of the same classes:

\b
  lsf fit real/ --size 32 --pca 20 --out filter.safetensors
  lsf select filter.safetensors pool/ --size 32 --budget 30% --out kept.csv
  lsf report filter.safetensors pool/ kept.csv --size 32 --out report.html

A pool is a folder of images, a directory that Hugging Face datasets saved, a .npz or .npy file, or Parquet. Everything
runs on one thread, so that equal runs give equal files; OMP_NUM_THREADS=8 lets a diffusion model have more.
"""


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
def main() -> None:
    """Latent space filtering: which samples of a mixed pool are worth training on?

    Fit a filter on real data once, score any pool with it, select what to keep, and see what that did.
    """


for _command in (fit, score, select, ole, report):
    main.add_command(_command)

if __name__ == "__main__":
    main(prog_name="lsf")
