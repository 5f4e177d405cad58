"""What every writer of phantoms is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Writer(Protocol):
    """What writes phantoms in one release layout; the same arguments give the same bytes in every file."""

    def __call__(
        self,
        root: Path,
        *,
        n_images: int,
        size: int,
        seed: int,
        population: str = "realistic",
        progress: bool = False,
    ) -> Path:
        """Write it.

        Args:
            root: The folder to write; it appears when it is complete and must not exist before.
            n_images: How many images; what they show, the writer says.
            size: Longest side of an image in pixels.
            seed: Another seed gives other images.
            population: Key of `POPULATIONS`: whose masses are drawn.
            progress: Show a progress bar.

        Returns:
            The folder.

        Raises:
            FileExistsError: If the folder exists.
            ValueError: If there is nothing to write, or no such population.
        """
