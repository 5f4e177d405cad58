"""One YAML a paper: what it states, what this project chose where it is silent, and every number it reports.

paper = load_paper("spatial_matching")
method = paper.method("sm_sd_bce_all")
loss, model = build_loss(**method.loss), build_model(**method.model)
"""

from mammoseg_lib.papers.load import load_paper, paper_keys
from mammoseg_lib.papers.schema import (
    Claim,
    Hyperparameter,
    Method,
    Note,
    Paper,
    PaperError,
    Published,
    Table,
    TableRow,
)

__all__ = [
    "Claim",
    "Hyperparameter",
    "Method",
    "Note",
    "Paper",
    "PaperError",
    "Published",
    "Table",
    "TableRow",
    "load_paper",
    "paper_keys",
]
