"""Every figure, drawn from data that is handed in."""

from mammoseg_lib.plots.style import CELLS, INK, MUTED, PREDICTION, TRUTH, use_style

__all__ = ["CELLS", "INK", "MUTED", "PREDICTION", "TRUTH", "use_style"]
