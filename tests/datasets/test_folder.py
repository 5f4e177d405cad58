"""Images of one's own: the table, its faults, the template, and the phantoms in this layout."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
from PIL import Image
from skimage.draw import polygon2mask
from typer.testing import CliRunner

from mammoseg_lib.cli.app import app
from mammoseg_lib.datasets import COLUMNS, DataError, Problem, folder, inbreast
from mammoseg_lib.datasets.folder.template import write_template
from mammoseg_lib.phantoms import folder as phantoms
from mammoseg_lib.phantoms.writing import plan_seeds
from mammoseg_lib.preprocessing import Preprocessing, prepare
from mammoseg_lib.sources import Source, open_source
from mammoseg_lib.splits import patients
from tests.release import write_dicom, write_phantoms

HEADER = (
    "sample_id,patient_id,image_path,laterality,view,acr_density,birads,pathology,split,mask_path,spacing_mm"
)
SHAPE = (20, 30)
GRAY = np.linspace(0, 1, 600).reshape(SHAPE)
BOX, OTHER = np.s_[2:6, 3:9], np.s_[10:14, 20:28]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MAMMOSEG_HOME", str(tmp_path / "home"))


def save(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode, dither=Image.Dither.NONE) if mode else image).save(path)


def mask(box, value=255, shape=SHAPE):
    pixels = np.zeros(shape, dtype=np.uint8)
    pixels[box] = value
    return pixels


@pytest.fixture
def root(tmp_path):
    """A DICOM, an 8-bit and a 16-bit PNG and a TIFF image; one with two masks, one without a mass."""
    root = tmp_path / "own"
    window = {"WindowCenter": 1000, "WindowWidth": 1001, "PatientID": "Doe 1"}
    tags = {"ImageLaterality": "L", "ViewPosition": "CC", "PatientName": "Doe^Jane"}
    write_dicom(root / "a.dcm", np.rint(GRAY * 4095), **window, **tags)
    save(root / "images" / "b.png", np.rint(GRAY * 255).astype(np.uint8))
    save(root / "images" / "c.png", np.rint(GRAY * 65535).astype(np.uint16))
    save(root / "images" / "d.tif", np.rint(GRAY * 65535).astype(np.uint16))
    save(root / "masks" / "a.png", mask(BOX))
    save(root / "masks" / "b_mask_1.png", mask(BOX), "1")
    save(root / "masks" / "b_mask_2.png", mask(OTHER, 1))
    save(root / "masks" / "d.tif", mask(OTHER), "RGB")
    write(
        root,
        "a,p1,a.dcm,L,CC,2,4a,malignant,train,masks/a.png,",
        "b,p1,images/b.png,L,MLO,2,4a,malignant,train,masks/b_mask_1.png; masks/b_mask_2.png,0.25",
        "c,p2,images/c.png,R,CC,,,normal,test,,",
        "d,,images/d.tif,,,4,,,,masks/d.tif,0.1",
    )
    return root


def write(root, *lines, header=HEADER):
    (root / "samples.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")


def test_the_table_is_read_with_what_the_masks_show(root):
    table, problems = folder.scan(root)
    assert list(table.columns) == [*COLUMNS, "mask_path", "spacing_mm"]
    assert {name: str(kind) for name, kind in table.dtypes.items()} == {
        **COLUMNS, "mask_path": "string", "spacing_mm": "Float64",
    }  # fmt: skip
    assert table["sample_id"].tolist() == ["a", "b", "c", "d"]
    assert table["n_masses"].tolist() == [1, 2, 0, 1]
    assert (table["mass_fraction"] * 600).round().tolist() == [24, 24 + 32, 0, 32]
    assert table["acr_density"].tolist()[:2] == [2, 2]
    assert table.isna().sum()[["patient_id", "acr_density", "birads", "pathology", "split"]].tolist() == [
        1,
        1,
        2,
        1,
        1,
    ]
    assert [(p.kind, p.reason) for p in problems] == [
        ("excluded", "1 of 4 images without a patient id: in splits each stands for itself")
    ]
    assert folder.index(root, with_masses=True)["sample_id"].tolist() == ["a", "b", "d"]
    assert folder.index(root, with_masses=False)["sample_id"].tolist() == ["c"]


def test_images_of_every_kind_are_loaded(root):
    samples = [folder.load(row) for _, row in folder.index(root).iterrows()]
    # The DICOM file is shown through its window, 500 to 1500.
    shown = ((np.rint(GRAY * 4095) - 999.5) / 1000 + 0.5).clip(0, 1)
    np.testing.assert_allclose(samples[0].image, shown, atol=1e-5)
    np.testing.assert_allclose(samples[1].image, np.rint(GRAY * 255) / 255, atol=1e-6)
    for sample in samples[2:]:
        np.testing.assert_allclose(sample.image, np.rint(GRAY * 65535) / 65535, atol=1e-6)
    assert [sample.spacing_mm for sample in samples] == [0.5, 0.25, None, 0.1]
    for sample, boxes in zip(samples, [[BOX], [BOX, OTHER], [], [OTHER]], strict=True):
        np.testing.assert_array_equal(sample.mask, sum([mask(box) for box in boxes], mask(np.s_[0:0])) > 0)


def test_the_spacing_of_the_table_goes_before_that_of_the_header(root):
    write(root, "a,p1,a.dcm,,,,,,,masks/a.png,0.07")
    assert folder.load(folder.index(root).iloc[0]).spacing_mm == 0.07


def test_three_columns_are_enough_and_a_bom_and_spaces_do_no_harm(root):
    text = "sample_id, image_path ,mask_path\r\n a , a.dcm ,masks/a.png\r\n\r\n"
    (root / "samples.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    table, problems = folder.scan(root)
    assert table[["sample_id", "n_masses"]].to_numpy().tolist() == [["a", 1]]
    assert "1 of 1 images without a patient id" in problems[0].reason
    assert patients(table).tolist() == ["image a"]


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
def test_color_modes_become_gray(root, mode):
    save(root / "images" / "b.png", np.rint(GRAY * 255).astype(np.uint8), mode)
    row = folder.index(root).iloc[1]
    np.testing.assert_allclose(folder.load(row).image, np.rint(GRAY * 255) / 255, atol=2.1 / 255)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("e,,/etc/a.png,,,,,,,,", "'/etc/a.png' is not a path within the folder"),
        ("e,,C:/a.png,,,,,,,,", "'C:/a.png' is not a path"),
        ("e,,images\\b.png,,,,,,,,", "is not a path"),
        ("e,,../own/images/b.png,,,,,,,,", "is not a path"),
        ("e,,images/b.png,,,,,,,masks/../masks/a.png,", "is not a path"),
        ("e,,,,,,,,,,", "'' is not a path"),
        ("e,,images/b.png,left,,,,,,,", "laterality is 'left', not L or R"),
        ("e,,images/b.png,,,5,,,,,", "acr_density is '5', not 1, 2, 3 or 4"),
        ("e,,images/b.png,,,b,,,,,", "acr_density is 'b'"),
        ("e,,images/b.png,,,,7,,,,", "birads is '7'"),
        ("e,,images/b.png,,,,,cancer,,,", "pathology is 'cancer', not benign"),
        ("e,,images/b.png,,,,,,,,0", "spacing_mm is '0', not a positive number"),
        ("e,,images/b.png,,,,,,,,-0.1", "spacing_mm is '-0.1'"),
        ("e,,images/b.png,,,,,,,,nan", "spacing_mm is 'nan'"),
        (",,images/b.png,,,,,,,,", "sample_id is empty"),
    ],
)
def test_a_fault_in_a_line_names_the_table_and_the_line(root, line, reason):
    write(root, "a,p,a.dcm,L,CC,2,4a,malignant,train,masks/a.png,", line)
    table, problems = folder.scan(root)
    assert table["sample_id"].tolist() == ["a"]
    assert problems[0] == Problem(str(root / "samples.csv"), "broken", problems[0].reason)
    assert reason in problems[0].reason
    assert problems[0].reason.endswith("(line 3 of samples.csv)")
    assert [problem.kind for problem in problems[1:]] == ["excluded"]  # what the line would have named


def test_files_that_no_line_names_are_counted(root):
    (root / "notes.txt").write_text("no image")
    save(root / ".thumbnails.png", mask(BOX))
    assert not any("in no line" in problem.reason for problem in folder.scan(root)[1])
    table = root / "samples.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))  # cut between two lines
    _, problems = folder.scan(root)
    reason = "2 image or mask files here are in no line of it, such as images/d.tif"
    assert problems == [Problem(str(table), "excluded", reason)]
    (root / "scan.DCM").touch()
    assert folder.scan(root)[1][0].reason.startswith("3 image")


def small_mask(root):
    save(root / "masks" / "a.png", mask(BOX, shape=(10, 30)))
    return "masks/a.png", r"mask has shape \(10, 30\), its image \(20, 30\)"


def labels_as_mask(root):
    save(root / "masks" / "a.png", mask(BOX, 1) + mask(OTHER, 2))
    return "masks/a.png", "holds 0 and one other value, or gray at its edges"


def dicom_as_mask(root):
    (root / "masks" / "a.png").rename(root / "masks" / "a.dcm")
    write(root, "a,,a.dcm,,,,,,,masks/a.dcm,", "c,,images/c.png,,,,,,,,")
    return "masks/a.dcm", "a mask is a PNG or TIFF file"


def no_mask(root):
    (root / "masks" / "a.png").unlink()
    return "masks/a.png", "file is missing"


def no_image(root):
    (root / "a.dcm").unlink()
    return "a.dcm", "file is missing"


def no_dicom(root):
    (root / "a.dcm").write_bytes(b"hello")
    return "a.dcm", "DICOM"


def cut_mask(root):
    path = root / "masks" / "a.png"
    save(path, np.where(np.random.default_rng(0).random(SHAPE) > 0.5, 255, 0).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-60])
    return "masks/a.png", "cut short"


@pytest.mark.parametrize(
    "fault", [small_mask, labels_as_mask, dicom_as_mask, no_mask, no_image, no_dicom, cut_mask]
)
def test_a_fault_in_a_file_names_the_file_and_the_line(root, fault):
    name, reason = fault(root)
    table, problems = folder.scan(root)
    broken = [problem for problem in problems if problem.kind == "broken"]
    assert [problem.path for problem in broken] == [str(root / name)]
    assert broken[0].reason.endswith("(line 2 of samples.csv)")
    assert re.search(reason, broken[0].reason)
    assert "c" in table["sample_id"].tolist()


def test_n_masses_must_agree_with_the_masks(root):
    header = "sample_id,image_path,mask_path,n_masses"
    write(root, "a,a.dcm,masks/a.png,3", "b,images/b.png,,1", "c,images/c.png,,0", header=header)
    table, problems = folder.scan(root)
    assert table["n_masses"].tolist() == [3, 0]
    assert "n_masses is 1, but the masks show 0 pixels (line 3" in problems[0].reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: column 'sample_id' is missing"),
        (b"sample_id;image_path;mask_path\na;a.dcm;\n", "separated by commas"),
        (b"sample_id,image_path\na,a.dcm\n", "line 1: column 'mask_path' is missing"),
        (b"sample_id,image_path,mask_path,age\na,a.dcm,,40\n", "line 1: column 'age' is not known"),
        (b"sample_id,image_path,mask_path,view,view\na,a.dcm,,,\n", "column 'view' occurs twice"),
        (b"sample_id,image_path,mask_path\n", "lists no image"),
        (b"sample_id,image_path,mask_path\na,a.dcm\n", "line 2: another number of fields"),
        (b"sample_id,image_path,mask_path\na,a.dcm,,,\n", "line 2: another number of fields"),
        (
            b"sample_id,image_path,mask_path\na,a.dcm,\nb,images/b.png,\na,images/c.png,\n",
            "line 4: sample_id 'a' is that of line 2",
        ),
        (
            b"sample_id,image_path,mask_path\na,a.dcm,\nb,a.dcm,\n",
            "line 3: image_path 'a.dcm' is that of line 2",
        ),
        (b"sample_id,image_path,mask_path\n\xff,a.dcm,\n", "is no CSV file in UTF-8"),
        (b'sample_id,image_path,mask_path\n"a"x,a.dcm,\n', "is no CSV file"),
    ],
)
def test_a_fault_of_the_table_is_one_error(root, content, reason):
    (root / "samples.csv").write_bytes(content)
    with pytest.raises(DataError) as error:
        folder.scan(root)
    assert error.value.path == str(root / "samples.csv")
    assert reason in error.value.reason


@pytest.mark.parametrize("target", ["samples.csv", "nothing"])
def test_a_table_that_is_a_looping_or_dangling_link_is_named(root, target):
    table = root / "samples.csv"
    table.unlink()
    table.symlink_to(target)
    with pytest.raises(DataError) as error:
        folder.scan(root)
    assert error.value.path == str(table)
    with pytest.raises(DataError, match="exists already"):
        write_template(root)


def test_a_folder_without_a_table_says_how_to_get_one(tmp_path):
    with pytest.raises(DataError, match="data init"):
        folder.index(tmp_path)


@pytest.mark.parametrize("pixels", [np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.int32)])
def test_pixels_that_are_no_8_or_16_bits_are_refused(root, pixels):
    Image.fromarray(pixels).save(root / "images" / "d.tif")
    _, problems = folder.scan(root)
    assert "only 8 or 16 bits" in problems[0].reason


def test_several_pages_are_refused(root):
    pages = [Image.fromarray(mask(BOX)) for _ in range(2)]
    pages[0].save(root / "images" / "d.tif", save_all=True, append_images=pages[1:])
    _, problems = folder.scan(root)
    assert "2 pages" in problems[0].reason


def test_the_source_is_found_prepared_and_read_from_the_cache(root, monkeypatch):
    source = open_source("folder", root)
    assert source.real
    prepared = prepare(source, Preprocessing(size=16), jobs=1, with_masses=True)
    assert prepared.table["sample_id"].tolist() == ["a", "b", "d"]
    # A row of the cached table still finds its masks.
    again = folder.load(prepared.table.iloc[1])
    np.testing.assert_array_equal(again.mask, mask(BOX) + mask(OTHER) > 0)
    assert [folder.load(row).spacing_mm for _, row in prepared.table.iterrows()] == [0.5, 0.25, 0.1]
    save(root / "masks" / "a.png", mask(OTHER))
    assert prepare(source, Preprocessing(size=16), jobs=1, with_masses=True).key != prepared.key
    data = root.parent / "data"
    data.mkdir()
    root.rename(data / folder.FOLDER)
    monkeypatch.setenv("MAMMOSEG_DATA", str(data))
    assert open_source("folder").root == data / folder.FOLDER


def test_the_fingerprint_covers_the_table_the_images_and_the_masks(root):
    names = [path.relative_to(root).as_posix() for path in folder.files(root)]
    assert names == [
        "a.dcm", "images/b.png", "images/c.png", "images/d.tif",
        "masks/a.png", "masks/b_mask_1.png", "masks/b_mask_2.png", "masks/d.tif", "samples.csv",
    ]  # fmt: skip


def test_a_template_holds_what_names_and_headers_tell(root):
    (root / "samples.csv").unlink()
    write_dicom(
        root / "scans" / "IM0001", np.rint(GRAY * 4095), PatientID="Doe 1", ImagerPixelSpacing=[0.07, 0.07]
    )
    write_dicom(root / "scans" / "IM0002", np.rint(GRAY * 4095), PatientID="Roe 2")
    save(root / "scans" / "IM0002_mask.png", mask(BOX))
    save(root / "masks" / "zzz.png", mask(BOX))
    (root / "notes.txt").write_text("no image")
    template = write_template(root)
    table, problems = folder.scan(root)
    rows = table.set_index("sample_id")
    assert sorted(rows.index) == ["IM0001", "IM0002", "a", "b", "c", "d"]
    assert rows["n_masses"].to_dict() == {"IM0001": 0, "IM0002": 1, "a": 1, "b": 2, "c": 0, "d": 1}
    assert rows.loc["a", ["laterality", "view", "spacing_mm"]].tolist() == ["L", "CC", 0.5]
    assert rows.loc["IM0001", "spacing_mm"] == 0.07
    assert rows["patient_id"].notna().sum() == 3
    assert rows.loc["a", "patient_id"] == rows.loc["IM0001", "patient_id"] != rows.loc["IM0002", "patient_id"]
    assert template.orphans == ("masks/zzz.png",)
    assert "3 of 6" in problems[0].reason
    text = template.text()
    assert "mask of no image: masks/zzz.png" in text
    assert "1 files were not recognized, such as notes.txt" in text
    assert "patient_id            3  of 6 filled in, as hashes" in text
    assert text.endswith("acr_density, birads, pathology, split, spacing_mm")
    # Nothing of the patients is in the table, and a hash cannot be found again by hashing names.
    written = (root / "samples.csv").read_text()
    assert "Doe" not in written
    assert re.fullmatch("p[0-9a-f]{12}", rows.loc["a", "patient_id"])
    known = hashlib.blake2b(b"Doe 1", digest_size=6).hexdigest()
    assert rows.loc["a", "patient_id"] != f"p{known}"


def test_init_says_how_many_files_it_does_not_recognize(root):
    (root / "samples.csv").unlink()
    assert "not recognized" not in write_template(root).text()
    (root / "samples.csv").unlink()
    (root / "old.dcm").write_bytes((root / "a.dcm").read_bytes()[128:])  # without its preamble
    for name in ("x.jpg", "y.bmp", "images/z.jpeg"):
        Image.fromarray(mask(BOX)).save(root / name)
    result = CliRunner().invoke(app, ["data", "init", str(root)])
    assert result.exit_code == 0
    assert "3 files cannot be read: convert them to PNG or TIFF, such as images/z.jpeg" in result.output
    assert "1 files were not recognized, such as old.dcm" in result.output
    assert "images                4" in result.output


def test_images_of_the_same_name_get_their_paths_as_ids(tmp_path):
    for place in ("one", "two"):
        save(tmp_path / place / "x.png", mask(BOX))
        save(tmp_path / place / "x_mask.png", mask(BOX))
    write_template(tmp_path)
    assert folder.index(tmp_path)["sample_id"].tolist() == ["one/x.png", "two/x.png"]


def test_init_never_overwrites_and_counts_what_is_broken(root):
    before = (root / "samples.csv").read_bytes()
    result = CliRunner().invoke(app, ["data", "init", str(root)])
    assert isinstance(result.exception, DataError)
    assert "samples.csv: exists already; it is not changed" in str(result.exception)
    assert (root / "samples.csv").read_bytes() == before
    (root / "samples.csv").unlink()
    path = root / "broken.dcm"
    path.write_bytes((root / "a.dcm").read_bytes()[:200])
    result = CliRunner().invoke(app, ["data", "init", str(root)])
    assert result.exit_code == 1
    assert "broken: broken.dcm: " in result.output
    assert "images                4" in result.output
    assert len(folder.index(root)) == 4


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_init_of_a_folder_without_images_is_an_error(tmp_path, name):
    with pytest.raises(DataError, match=r"no such folder|0 images with a mask"):
        write_template(tmp_path / name)


def test_phantoms_share_the_statistics_but_no_case_with_those_of_inbreast(tmp_path):
    own = Source("folder", write_phantoms("folder", tmp_path / "own", 30, 64, seed=3), real=False)
    other = Source("inbreast", write_phantoms("inbreast", tmp_path / "in", 30, 64, seed=3), real=False)
    table, problems = own.scan()
    assert problems == []
    reference = other.index()
    assert len(table) == len(reference) == 36
    assert (table["n_masses"] > 0).sum() == 30
    assert table["n_masses"].sum() == reference["n_masses"].sum()
    assert table["patient_id"].nunique() == reference["patient_id"].nunique()
    assert table["mass_fraction"].mean() == pytest.approx(reference["mass_fraction"].mean(), rel=0.5)
    for column in ("sample_id", "patient_id"):
        assert not set(table[column]) & set(reference[column])
    images = [
        {own_source.load(r).image.tobytes() for _, r in t.iterrows()}
        for own_source, t in ((own, table), (other, reference))
    ]
    assert not images[0] & images[1]
    peaks = [
        np.mean([source.load(row).image.max() for _, row in t.iterrows()])
        for source, t in ((own, table), (other, reference))
    ]
    assert peaks[0] == pytest.approx(peaks[1], rel=0.15)


def test_phantoms_are_those_of_the_same_code(tmp_path, monkeypatch):
    """With the seed of the other set the same mammograms come out, to the rounding of 16 bits."""
    monkeypatch.setattr(
        phantoms, "plan_seeds", lambda root, n, size, seed, m: plan_seeds(root, n, size, 3, m)
    )
    own = folder.index(write_phantoms("folder", tmp_path / "own", 6, 64))
    reference = inbreast.index(write_phantoms("inbreast", tmp_path / "in", 6, 64, seed=3))
    assert len(own) == 7
    for (_, a), (_, b) in zip(own.iterrows(), reference.iterrows(), strict=True):
        ours, theirs = folder.load(a), inbreast.load(b)
        np.testing.assert_allclose(ours.image, theirs.image, atol=0.51 / 65535)
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        assert ours.spacing_mm == pytest.approx(theirs.spacing_mm)
        assert (a["acr_density"], a["birads"], a["view"]) == (b["acr_density"], b["birads"], b["view"])


def test_a_mass_covers_what_its_outline_encloses(tmp_path, monkeypatch):
    drawn = []
    draw = phantoms.draw_mammogram
    monkeypatch.setattr(phantoms, "draw_mammogram", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    table = folder.index(write_phantoms("folder", tmp_path / "own", 3, 96))
    areas = sorted(
        sum(polygon2mask(d.pixels.shape, o[:, ::-1]) for o in d.outlines).astype(bool).sum()
        for d in drawn
        if d.outlines
    )
    assert sorted(folder.load(row).mask.sum() for _, row in table.iterrows() if row["n_masses"]) == areas


# --- how people unpack data sets

LAYOUTS = {
    "a word each": ("Images/bus_{n:04d}-l.png", "Masks/mask_{n:04d}-l.png"),
    "words in both": ("{n} Benign Image.tif", "{n} Benign Mask.tif"),
    "labels": ("images/{n}.png", "labels/{n}.png"),
    "the finding as suffix": ("case{n:03d}.png", "case{n:03d}_tumor.png"),
    "mask in the singular": ("images/{n}.png", "mask/{n}_mask.png"),
    "capitals": ("{n}_benign.PNG", "{n}_benign_MASK.PNG"),
    "the class in the image's name": ("Images/{n}_malignant.png", "Masks/{n}.png"),
    "the class in the mask's name": ("Images/{n}.png", "Masks/{n}_benign.png"),
    "ground truth": ("original/{n:06d}.png", "GT/{n:06d}.png"),
    "parts in folders": ("train/images/{n}.png", "train/masks/{n}.png"),
    "parts in names of folders": ("train_images/{n}.png", "train_masks/{n}.png"),
    "zeros": ("images/{n}.png", "masks/{n:03d}.png"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_pair_images_and_masks(tmp_path, layout):
    image, label = LAYOUTS[layout]
    for n in range(1, 4):
        save(tmp_path / image.format(n=n), mask(BOX))
        save(tmp_path / label.format(n=n), mask(BOX))
    template = write_template(tmp_path)
    assert template.orphans == template.unknown == ()
    assert [(row["image_path"], row["mask_path"]) for row in template.rows] == [
        (image.format(n=n), label.format(n=n)) for n in range(1, 4)
    ]
    assert folder.scan(tmp_path)[0]["n_masses"].tolist() == [1, 1, 1]


def test_equal_numbers_of_two_classes_are_told_apart_and_classes_are_filled_in(tmp_path):
    for name in ("benign", "malignant"):
        save(tmp_path / name / "1.png", mask(BOX))
        save(tmp_path / "mask" / name / "1.png", mask(BOX))
    write_template(tmp_path)
    table = folder.index(tmp_path)
    assert table["mask_path"].tolist() == ["../mask/benign/1.png", "../mask/malignant/1.png"]
    assert table["pathology"].tolist() == ["benign", "malignant"]


def test_what_could_be_of_two_images_is_not_paired_and_is_said(tmp_path):
    for name in ("1_benign.png", "1_malignant.png", "2_benign.png"):
        save(tmp_path / "images" / name, mask(BOX))
    for name in ("1.png", "2.png", "7.png"):
        save(tmp_path / "masks" / name, mask(BOX))
    template = write_template(tmp_path)
    assert template.orphans == ("masks/1.png", "masks/7.png")
    assert [row["mask_path"] for row in template.rows] == ["", "", "masks/2.png"]
    assert "mask of no image: masks/1.png" in template.text()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.pgm", "1_mask.pgm"], "2 files cannot be read: convert them to PNG or TIFF, such as 1.pgm"),
        (["1 Image.bmp", "1 Mask.tif"], "mask of no image: 1 Mask.tif"),
        (["a.png", "b.png"], "call the masks of NAME.png NAME_mask.png"),
        (["images/a.png", "masks/b.png"], "mask of no image: masks/b.png"),
    ],
)
def test_no_image_with_a_mask_is_an_error_with_advice_and_writes_nothing(tmp_path, names, words):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        kind = "PPM" if path.suffix == ".pgm" else None
        Image.fromarray(mask(BOX)).save(path, kind)
    with pytest.raises(DataError, match="0 images with a mask") as error:
        write_template(tmp_path)
    assert words in str(error.value)
    assert not (tmp_path / "samples.csv").exists()


def test_dicom_in_color_says_what_to_do(root):
    (root / "samples.csv").unlink()
    write_dicom(root / "us.dcm", np.rint(GRAY * 255), PhotometricInterpretation="RGB", SamplesPerPixel=3)
    template = write_template(root)
    assert [problem.path for problem in template.problems] == ["us.dcm"]
    assert "is in color (RGB); only gray images are read: save it as PNG" in template.text()


def soft(levels: int) -> np.ndarray:
    """A box whose edge falls from white to black in steps, one pixel each."""
    distance = np.minimum.outer(*(np.minimum(np.arange(n), np.arange(n)[::-1]) for n in (60, 70)))
    return np.rint((distance - 10).clip(0, levels) / levels * 255).astype(np.uint8)


@pytest.mark.parametrize("levels", [3, 17])
def test_a_soft_mask_is_cut_at_half_and_said(root, levels):
    pixels = soft(levels)
    save(root / "images" / "c.png", pixels)
    save(root / "masks" / "c.png", pixels)
    write(root, "c,p1,images/c.png,L,CC,2,4a,malignant,train,masks/c.png,0.1")
    table, problems = folder.scan(root)
    assert any("1 masks with gray edges, such as masks/c.png" in problem.reason for problem in problems)
    np.testing.assert_array_equal(folder.load(table.iloc[0]).mask, pixels >= 127.5)


@pytest.mark.parametrize("tags", [{"ImagerPixelSpacing": [0, 0]}, {"ImagerPixelSpacing": [0.1, 0.2]}])
def test_a_spacing_in_the_table_stands_in_for_an_impossible_one(root, tags):
    write_dicom(root / "a.dcm", np.rint(GRAY * 4095), **tags)
    write(root, "a,p1,a.dcm,L,CC,2,4a,malignant,train,masks/a.png,0.25")
    table, _ = folder.scan(root)
    assert folder.load(table.iloc[0]).spacing_mm == 0.25
    write(root, "a,p1,a.dcm,L,CC,2,4a,malignant,train,masks/a.png,")
    table, problems = folder.scan(root)
    assert table.empty
    assert "a.dcm" in problems[0].path
    (root / "samples.csv").unlink()
    assert [row["spacing_mm"] for row in write_template(root).rows if row["sample_id"] == "a"] == [""]
