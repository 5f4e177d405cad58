"""What the writers of phantom data sets share: seeds, threads, and DICOM files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from tqdm import tqdm

MARK = "PHANTOM"
WITHOUT_MASS = 0.2  # images without a mass, as a part of those with one, where a layout has such images
THREADS = 2


def plan_seeds(root: Path, n_images: int, size: int, seed: int, n: int) -> list[np.random.SeedSequence]:
    """One seed for the plan and one for each image, after checking what was asked for."""
    if Path(root).exists():
        raise FileExistsError(f"{root}: exists already; phantoms are written to a new folder")
    if n_images < 1 or size < 32:
        raise ValueError(f"at least 1 image of at least 32 pixels; got n_images={n_images}, size={size}")
    return np.random.SeedSequence(seed).spawn(1 + n)


def draw_all(work: Callable, tasks: Iterable[tuple], total: int, label: str, progress: bool) -> None:
    """Do the work for every task, in threads; the first failure ends it."""
    # Threads, since drawing is spent inside FFTs, filters and random numbers that release the lock: they
    # start at once, where processes would first import everything again.
    with (
        ThreadPoolExecutor(THREADS) as pool,
        tqdm(total=total, desc=f"{label} phantoms", unit="image", disable=not progress) as bar,
    ):
        futures = [pool.submit(work, *task) for task in tasks]
        try:
            for future in futures:
                future.result()
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def gray_dicom(
    pixels: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"], bits: int, uid: str, sop_class: str
) -> FileDataset:
    """An uncompressed gray image as DICOM, marked as a phantom; the caller adds whose it is."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, preamble=b"\0" * 128, file_meta=meta)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    dataset.Modality = "MG"
    dataset.Manufacturer = dataset.SeriesDescription = dataset.PatientName = MARK
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = 0
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    # A value of a DICOM file has an even number of bytes.
    dataset.add_new("PixelData", "OW", data + b"\0" * (len(data) % 2))
    return dataset
