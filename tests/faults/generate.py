"""All faults of all sources."""

from __future__ import annotations

from tests.faults.fault import Fault
from tests.faults.generic import file_faults, place_faults
from tests.faults.of_busi import busi_faults
from tests.faults.of_cbis_ddsm import cbis_file_faults, cbis_table_faults
from tests.faults.of_dicom import header_faults
from tests.faults.of_folder import folder_faults, unpacked_faults
from tests.faults.of_inbreast import dicom_faults, outline_faults, table_faults

KINDS = (
    file_faults, place_faults, outline_faults, dicom_faults, table_faults, busi_faults,
    cbis_file_faults, cbis_table_faults, header_faults, folder_faults, unpacked_faults,
)  # fmt: skip


def all_faults() -> list[Fault]:
    """Every fault, in a fixed order."""
    return [fault for kind in KINDS for fault in kind()]
