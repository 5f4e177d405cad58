"""One YAML a paper: what it states, what this project chose, its numbers, and how its claims are judged.

paper = load_paper("spatial_matching")
method = paper.method("sm_sd_bce_all")
loss, model = build_loss(**method.loss), build_model(**method.model)
"""

from mammoseg_lib.papers.claims import LOWER_IS_BETTER, MARGINS, VERDICTS, Claim, Count, verdict
from mammoseg_lib.papers.load import load_paper, paper_keys
from mammoseg_lib.papers.schema import (
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
    "LOWER_IS_BETTER",
    "MARGINS",
    "VERDICTS",
    "Claim",
    "Count",
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
    "verdict",
]
