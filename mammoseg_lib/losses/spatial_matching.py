"""The Spatial Matching loss (000): a core loss over the image, and again over the cells of a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mammoseg_lib.checks import Mask, as_mask, check_choice, check_options, check_share
from mammoseg_lib.losses import grid
from mammoseg_lib.losses.base import Batch, Features, Loss, full_precision
from mammoseg_lib.losses.overlap import Dice, Tversky
from mammoseg_lib.losses.pixel import BCE

CORES = {"bce": BCE, "tversky": Tversky, "dice": Dice}
VARIANTS = ("basic", "scale", "distance", "scale_distance")
AGGREGATIONS = ("all", "nonzero")
DISTANCE_WEIGHTS = ("fp_cells", "eq9", "algorithm")
RESCALES = ("sigmoid", "raw")


@dataclass(frozen=True)
class GridTerms:
    """Every quantity on the way to the loss, of a batch or (see `SpatialMatching.explain`) of one sample.

    In a batch, `nh` and `nw` are those of the finest grid; cells that a coarser grid does not have hold 0.

    Attributes:
        cell_size: Height and width of a cell in pixels.
        image_loss: L_I, the core loss over the whole image.
        cell_losses: L_i, the core loss over each cell.
        contains_mass: Whether the cell holds a mass pixel of the target.
        predicted: q, 1 where the cell holds a predicted pixel and 0 elsewhere, or the largest probability of
            the cell with `soft_counts`. None where the variant does not look at it.
        distances: d_i, from the cell to the closest mass. None without a distance variant.
        weights: What each L_i is multiplied by. None where it is 1 everywhere.
        denominator: What the sum of the weighted cell losses is divided by.
        scale_ratio: S, predicted cells over cells with mass. None without a scale variant.
        scale_factor: sigma(S), or S with `rescale="raw"`. None without a scale variant.
        grid_loss: L_G; 0 where the target is empty.
        loss: L_SM = L_I + L_G.
    """

    cell_size: Int[Tensor, "*b 2"]
    image_loss: Float[Tensor, "*b"]
    cell_losses: Float[Tensor, "*b nh nw"]
    contains_mass: Bool[Tensor, "*b nh nw"]
    predicted: Float[Tensor, "*b nh nw"] | None
    distances: Float[Tensor, "*b nh nw"] | None
    weights: Float[Tensor, "*b nh nw"] | None
    denominator: Float[Tensor, "*b"]
    scale_ratio: Float[Tensor, "*b"] | None
    scale_factor: Float[Tensor, "*b"] | None
    grid_loss: Float[Tensor, "*b"]
    loss: Float[Tensor, "*b"]

    def kinds(self) -> dict[str, Bool[Tensor, "*b nh nw"]]:
        """Four maps of cells: `"TP"` mass and prediction, `"FP"`, `"FN"` and `"TN"` neither."""
        if self.predicted is None:
            raise ValueError("this variant does not look at the predicted cells")
        mass, predicted = self.contains_mass, self.predicted > 0.5
        return {
            "TP": mass & predicted,
            "FP": ~mass & predicted,
            "FN": mass & ~predicted,
            "TN": ~(mass | predicted),
        }


class SpatialMatching(Loss):
    r"""Spatial Matching loss, 000 Eq. 1 and Algorithm 1: `L_SM = L_I + L_G`.

    L_I is the core loss over the image. L_G compares prediction and target cell by cell in a grid whose
    cells are as large as the masses of the sample (`grid.mass_cell_size`):

        L_G = f(S) / N * sum_i w_i L_i,     S = predicted cells / cells with mass     (Eqs 4-9)

    where L_i is the core loss over cell i; f(S) = sigma(S) in the scale variants and 1 in the others; N is
    the number of all cells (`aggregation="all"`, L_G-A) or of those with a mass or a prediction
    (`"nonzero"`, L_G-NZ); and w_i = sigma(d_i) in the distance variants for cells with a prediction and no
    mass, d_i being the distance to the closest mass, and 1 elsewhere. The order, first divided by N and
    then times sigma(S), is that of Algorithm 1; Eqs 6, 7 and 9 leave N out.

    Three consequences of the formulas, which the paper does not spell out. The basic variant with BCE and
    `"all"` is exactly twice the BCE wherever the cells divide the image evenly. As sigma(d) < 1,
    "penalizing far predictions more" compares false positive cells with each other: against every other
    cell they are weighed *down*. And a sample whose mass is missed altogether has S = 0, the smallest scale
    factor there is, 1/2.

    Where text, equations and algorithm of the paper disagree or say nothing, a switch offers each reading.
    The defaults, and the losses' constants, are our reading; the paper published no code.

    Range [0, inf) for BCE and for L_G-NZ, which divides the losses of all cells by the number of some; else
    [0, 2) for Dice and Tversky with the default switches. An empty target leaves nothing to lay a grid by,
    and gives L_I alone (our reading). A full target is a mass of the image's size: one cell where both sides
    are powers of two, else cells of the powers that they are rounded to.

    `torch.compile` breaks the graph where the sizes of the cells are read (`grid.Layout`): they decide the
    shapes of everything after.

    Shapes: logits `[b 1 h w]`, target `[b 1 h w]` of zeros and ones, result `[b]`. Source: 000.

    Args:
        core: `"bce"`, `"tversky"` or `"dice"`.
        variant: `"basic"` (SM-B), `"scale"` (SM-S), `"distance"` (SM-D) or `"scale_distance"` (SM-SD).
        aggregation: `"all"` (L_G-A) or `"nonzero"` (L_G-NZ).
        alpha: Tversky's weight of false negatives, see `Tversky`. None: the core's own default.
        beta: Tversky's weight of false positives.
        smooth: Smoothing of Tversky or Dice.
        dice_factor: Dice's factor, 1 or 2, see `Dice`.
        threshold: A pixel is predicted where p > threshold, between 0 and 1. The paper's sum of p > 0 holds
            for any sigmoid output.
        soft_counts: False: which cells are predicted is a plain fact, without a gradient. True: it is
            q = max p over the cell, with a gradient, wherever the formulas count predicted cells.
        mask_numerator: False: cells without mass and prediction stay in the numerator of L_G-NZ, as Eq. 5
            is printed. True: they leave it too, as the text around it says. Only for `"nonzero"`.
        distance_weight: `"fp_cells"`: as above, after the text. `"eq9"`: w_i = sigma(d_i) in all cells, 1/2
            where there is mass. `"algorithm"`: lines 11 and 14 of Algorithm 1, with D_i = d_i in cells
            with a prediction and no mass, and 0 in the others: w_i = sigma(D_i), and 1 + sigma(D_i) for
            `"scale_distance"`, where both lines add.
        distance_unit: `"cell"`, `"pixel"` or `"normalized"`, see `grid.cell_distances`.
        distance_from: `"closest"` or `"center"`, see `grid.cell_distances`.
        rescale: `"sigmoid"`, or `"raw"` for S and d_i in place of sigma(S) and sigma(d_i) (Fig. 3b).
        reduce: `"min"` or `"mean"` over the masses of an image (Fig. 3a), see `grid.mass_cell_size`.
        rounding: `"nearest"`, `"log2"`, `"up"` or `"down"`, see `grid.power_of_two`.
        size_means: `"cell_pixels"` or `"cell_count"`, see `grid.mass_cell_size`.

    Raises:
        ValueError: An option has an unknown value, or does not belong to the chosen core.
    """

    def __init__(
        self,
        core: str = "bce",
        variant: str = "scale_distance",
        aggregation: str = "all",
        *,
        alpha: float | int | None = None,
        beta: float | int | None = None,
        smooth: float | int | None = None,
        dice_factor: float | int | None = None,
        threshold: float = 0.5,
        soft_counts: bool = False,
        mask_numerator: bool = False,
        distance_weight: str = "fp_cells",
        distance_unit: str = "cell",
        distance_from: str = "closest",
        rescale: str = "sigmoid",
        reduce: str = "min",
        rounding: str = "nearest",
        size_means: str = "cell_pixels",
    ):
        super().__init__()
        check_choice("core", core, tuple(CORES))
        check_choice("variant", variant, VARIANTS)
        check_choice("aggregation", aggregation, AGGREGATIONS)
        check_choice("distance_weight", distance_weight, DISTANCE_WEIGHTS)
        check_choice("distance_unit", distance_unit, grid.DISTANCE_UNIT)
        check_choice("distance_from", distance_from, grid.DISTANCE_FROM)
        check_choice("rescale", rescale, RESCALES)
        check_choice("reduce", reduce, grid.REDUCE)
        check_choice("rounding", rounding, grid.ROUNDING)
        check_choice("size_means", size_means, grid.SIZE_MEANS)
        threshold = check_share("threshold", threshold)
        if mask_numerator and aggregation != "nonzero":
            raise ValueError("mask_numerator=True belongs to aggregation='nonzero'")
        given = {"alpha": alpha, "beta": beta, "smooth": smooth, "dice_factor": dice_factor}
        given = {name: value for name, value in given.items() if value is not None}
        check_options(f"core {core!r}", CORES[core], given)

        self.core = CORES[core](**given)
        self.scaled, self.distanced = "scale" in variant, "distance" in variant
        self.nonzero, self.mask_numerator = aggregation == "nonzero", mask_numerator
        self.logit_threshold = math.log(threshold) - math.log1p(-threshold)
        self.soft_counts = soft_counts
        self.distance_weight, self.rescale = distance_weight, rescale
        self.distance_options = {"unit": distance_unit, "distance_from": distance_from}
        self.size_options = {"reduce": reduce, "rounding": rounding, "size_means": size_means}

    def target_features(
        self, mask: Shaped[Mask, "h w"], spacing_mm: tuple[float, float] | None = None
    ) -> Features:
        """What the target alone decides.

        Returns:
            `cell_size`, int64 `[2]`; `cell_mass`, float32 `[h w]`, the number of mass pixels of each cell;
            and, for the distance variants, `cell_distance`, float32 `[h w]`, likewise. The cells stand in the
            upper left corner of zeros (`grid.on_canvas`).
        """
        mask = as_mask(mask)
        cell = grid.mass_cell_size(mask, **self.size_options)
        features = {
            "cell_size": np.array(cell, dtype=np.int64),
            "cell_mass": grid.on_canvas(grid.cell_mass(mask, cell), mask.shape),
        }
        if self.distanced:
            distances = grid.cell_distances(mask, cell, **self.distance_options)
            features["cell_distance"] = grid.on_canvas(distances, mask.shape)
        return features

    def forward(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> Float[Tensor, " b"]:
        """The loss, one value per sample."""
        return self._terms(logits, batch).loss

    def explain(self, logits: Float[Tensor, "h w"], mask: Shaped[Mask, "h w"]) -> GridTerms:
        """Every intermediate quantity of one sample, by the very code that computes the loss."""
        batch = Batch(torch.from_numpy(np.array(as_mask(mask)))[None, None]).to(logits.device)
        self.check(logits[None, None], batch)
        terms = self._terms(logits[None, None], batch)
        values = {f.name: getattr(terms, f.name) for f in fields(terms)}
        return GridTerms(**{k: None if v is None else v[0] for k, v in values.items()})

    def _terms(self, logits: Float[Tensor, "b 1 h w"], batch: Batch) -> GridTerms:
        x = full_precision(logits).squeeze(1)
        y = batch.target.squeeze(1).to(x.dtype)
        features = self.features_of(batch)
        layout = grid.Layout(features["cell_size"], x.shape[-2:])
        x, y = layout.rows(x), layout.rows(y)
        mass = layout.read(features["cell_mass"]).to(x.dtype)
        total_mass = mass.sum((1, 2))
        distances = layout.read(features["cell_distance"]).to(x.dtype) if self.distanced else None

        sums = [layout.sum(m) for m in self.core.maps(x, y)]
        image_loss = self.core.value([s.sum((1, 2)) for s in sums], total_mass, y[0].numel())
        cell_losses = self.core.value(sums, mass, layout.pixels)

        has_mass = mass > 0
        predicted = fp_only = occupied = None
        if self.scaled or self.distanced or self.nonzero:
            predicted = self._predicted(x, layout)
            fp_only = predicted * ~has_mass
            occupied = has_mass + fp_only  # max(q, y), with a gradient where the two are equal too
        weights = None if distances is None else self._distance_weights(distances, fp_only)
        if self.mask_numerator:
            weights = occupied if weights is None else weights * occupied
        # Eq. 5 divides by the cells with mass or prediction, Eq. 4 by all. The clamps only ever act on an
        # empty target, whose grid loss is dropped at the end.
        if self.nonzero:
            denominator = occupied.sum((1, 2)).clamp(min=1)
        else:
            denominator = layout.count.expand(len(x)).to(x.dtype)
        ratio = factor = None
        if self.scaled:
            ratio = predicted.sum((1, 2)) / has_mass.sum((1, 2)).clamp(min=1)
            factor = self._rescaled(ratio)
        share = torch.where(total_mass > 0, (1 if factor is None else factor) / denominator, 0)
        grid_loss = (cell_losses if weights is None else weights * cell_losses).sum((1, 2)) * share
        return GridTerms(
            cell_size=features["cell_size"],
            image_loss=image_loss,
            cell_losses=cell_losses,
            contains_mass=has_mass,
            predicted=predicted,
            distances=distances,
            weights=weights,
            denominator=denominator,
            scale_ratio=ratio,
            scale_factor=factor,
            grid_loss=grid_loss,
            loss=image_loss + grid_loss,
        )

    def _predicted(
        self, logits: Float[Tensor, "b rows row_height w"], layout: grid.Layout
    ) -> Float[Tensor, "b nh nw"]:
        if self.soft_counts:
            return layout.max(logits).sigmoid()
        return (layout.max(logits.detach()) > self.logit_threshold).to(logits.dtype)

    def _distance_weights(
        self, distances: Float[Tensor, "b nh nw"], fp_only: Float[Tensor, "b nh nw"]
    ) -> Float[Tensor, "b nh nw"]:
        if self.distance_weight == "eq9":
            return self._rescaled(distances)
        if self.distance_weight == "fp_cells":
            return 1 + fp_only * (self._rescaled(distances) - 1)
        line_14 = self._rescaled(fp_only * distances)
        return 1 + line_14 if self.scaled else line_14

    def _rescaled(self, ratio: Tensor) -> Tensor:
        return ratio.sigmoid() if self.rescale == "sigmoid" else ratio
