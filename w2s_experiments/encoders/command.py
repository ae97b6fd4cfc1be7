"""The command ``w2s embed``: a file of SMILES to a feature array, for ``w2s report``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click

from w2s_utils import files
from w2s_utils.refusal import Refusal


@click.command(short_help="Features of molecules under an encoder of the book.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--encoder", default="strong-0", show_default=True, help="One of --list.")
@click.option("--column", default="smiles", show_default=True, help="Of a .csv file.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The array, .npy [default: ENCODER.npy]."
)
@click.option("--force", is_flag=True, help="Replace an output that exists.")
@click.option("--list", "listed", is_flag=True, help="List the encoders and stop.")
def embed(
    file: Path | None, encoder: str, column: str, out: Path | None, force: bool, listed: bool
) -> None:
    """Write the features of the molecules in FILE, a row each, in the order of the file.

    FILE is a .csv with a column of SMILES, or a .smi with one SMILES a line (what follows a blank
    is ignored). Example: w2s embed mine.csv --encoder masked-32-0 --out weak.npy
    """
    # Imported here, so that the other commands start fast.
    import numpy as np

    from w2s_experiments.data.datasets import DataError
    from w2s_experiments.encoders import smiles_encoders
    from w2s_experiments.encoders.smiles import MoleculeError
    from w2s_experiments.encoders.weights import WeightsError

    if listed:
        for name in [smiles_encoders.DESCRIPTORS, *smiles_encoders.names()]:
            click.echo(name)
        return
    if file is None:
        raise Refusal("FILE: expected a .csv or .smi with SMILES; see w2s embed --help")
    target = Path(f"{encoder}.npy") if out is None else out
    if target.suffix != ".npy":
        raise Refusal(f"--out: expected a name that ends in .npy, got {target}")
    if target.exists() and not force:
        raise Refusal(f"{target} exists: give another --out, or --force to replace it")
    try:
        features = smiles_encoders.embed(read(file, column), encoder, progress=True)
    except (MoleculeError, DataError, WeightsError) as error:
        raise Refusal(f"{file}: {error}") from None
    try:
        with files.replacing(target) as temporary, temporary.open("wb") as stream:
            np.save(stream, features, allow_pickle=False)
    except OSError as error:
        raise Refusal(f"{target}: cannot be written ({error.strerror})") from None
    click.echo(f"{target}: {features.shape[0]} rows, {features.shape[1]} columns, {encoder}")


def read(file: Path, column: str) -> list[str]:
    """SMILES of a file.

    Parameters
    ----------
    file : Path
        ``.csv`` with a header, or ``.smi``.
    column : str
        Name of the column of a ``.csv``.

    Returns
    -------
    list of str

    Raises
    ------
    MoleculeError
        If the file cannot be read, has another ending, no such column or no rows.
    """
    from w2s_experiments.encoders.smiles import MoleculeError

    if not file.is_file():
        raise MoleculeError("there is no such file")
    if file.suffix not in (".csv", ".smi"):
        raise MoleculeError(f"expected a file that ends in .csv or .smi, got {file.name}")
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MoleculeError(f"cannot be read as UTF-8 text ({error})") from None
    if not text.strip():
        raise MoleculeError("the file is empty, expected SMILES")
    if file.suffix == ".smi":
        return [line.split()[0] for line in text.splitlines() if line.strip()]
    rows = csv.DictReader(io.StringIO(text.lstrip(), newline=""))
    header = rows.fieldnames or []
    if column not in header:
        raise MoleculeError(f"no column {column!r}; there are: {', '.join(header)} (--column)")
    return [row[column] or "" for row in rows]
