"""Reading a single file that may be damaged: DICOM and its windows, pictures, Excel."""
