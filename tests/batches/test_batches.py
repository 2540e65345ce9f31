import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from untrained.batches import DEFAULT_SIZE, NAMED, load_batch, make_batch
from untrained.errors import BadInputError, DataMissingError, UnknownNameError

SHAPE = (3, 32, 32)
SMALL = (3, 4, 5)
DIGESTS = {  # of 8 and of 256 images: a change would make stored scores unusable
    "grey_ramp": ("c1118a7a4b7031a9d35f6cb854711e13", "bbc81851a9c9413661f8619cb6059b6b"),
    "normal": ("7ead087e4d309fe07942aa3f1332d6c8", "13e6ff3ebf23a261ae3b1303e32c551d"),
    "uniform_01": ("1626a1256cbf8894cf10e2626277ae7f", "56b7ad2adecd021f0f8280a50e114091"),
    "uniform_pm1": ("11c3665d7adb80e0af94b209600bf43d", "d968069ae3ba731a4749da4ec0fd0bed"),
    "ones": ("39f3fc0149cd907705419fdca4836e7e", "782caf3115f14b6b7f6b08aef05b1fd2"),
}


@pytest.fixture
def images() -> Any:
    return np.random.default_rng(1).normal(size=(6, *SMALL)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "images.npy"


def saved(file: Path, x: Any) -> str:
    np.save(file, x, allow_pickle=True)
    return str(file)


def test_every_named_batch_has_a_pinned_digest() -> None:
    assert set(DIGESTS) == set(NAMED)


@pytest.mark.parametrize("name", sorted(NAMED))
def test_named_batches_never_change(name: str) -> None:
    assert (load_batch(name, SHAPE, 8).digest, load_batch(name, SHAPE).digest) == DIGESTS[name]
    assert load_batch(name, SHAPE, 8).name == name


def test_named_batches_have_256_images_unless_told() -> None:
    assert DEFAULT_SIZE == 256
    assert load_batch("ones", SMALL).x.shape == (256, *SMALL)


@pytest.mark.parametrize("name", ["normal", "uniform_01", "uniform_pm1", "ones"])
def test_a_smaller_batch_is_the_start_of_a_larger_one(name: str) -> None:
    assert (load_batch(name, SMALL, 40).x[:16] == load_batch(name, SMALL, 16).x).all()


def test_random_batches_are_those_of_the_frozen_generator_with_seed_0() -> None:
    shape = (64, *SHAPE)
    state = np.random.RandomState
    assert (load_batch("normal", SHAPE, 100).x[:64] == state(0).normal(0, 1, shape).astype(np.float32)).all()
    assert (load_batch("uniform_01", SHAPE, 64).x == state(0).uniform(0, 1, shape).astype(np.float32)).all()
    assert (load_batch("uniform_pm1", SHAPE, 64).x == state(0).uniform(-1, 1, shape).astype(np.float32)).all()


def test_grey_ramp_fills_image_i_with_i_over_n() -> None:
    x = load_batch("grey_ramp", SHAPE, 10).x
    assert (x == (np.arange(10) / 10).astype(np.float32)[:, None, None, None]).all()


@pytest.mark.parametrize("name", sorted(NAMED))
def test_named_batches_are_frozen_float32_in_c_order(name: str) -> None:
    x = load_batch(name, SMALL, 4).x
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        x[0, 0, 0, 0] = 1


def test_a_batch_does_not_follow_its_source(images: Any) -> None:
    batch = make_batch(images, "mine")
    kept = batch.x.copy()
    images[:] = 0
    assert (batch.x == kept).all()


def test_the_digest_is_of_shape_and_content_not_of_name_order_or_dtype(images: Any) -> None:
    digest = make_batch(images, "a").digest
    assert make_batch(images, "b").digest == digest
    assert make_batch(np.asfortranarray(images), "a").digest == digest
    assert make_batch(images.astype(np.float64), "a").digest == digest
    assert make_batch(images.astype(">f4"), "a").digest == digest
    assert make_batch(images[:, :, ::-1][:, :, ::-1], "a").digest == digest
    assert make_batch(images.reshape(6, 3, 5, 4), "a").digest != digest
    assert make_batch(images[:5], "a").digest != digest
    changed = images.copy()
    changed[5, 2, 3, 4] = np.nextafter(changed[5, 2, 3, 4], np.float32(9))
    assert make_batch(changed, "a").digest != digest


@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", "f4", "f8", ">f8", "?"])
def test_files_of_any_real_dtype_become_float32(file: Path, dtype: str) -> None:
    x = (np.arange(4 * 60).reshape(4, *SMALL) % 3).astype(dtype)
    batch = load_batch(saved(file, x), SMALL)
    assert batch.x.dtype == np.float32
    assert (batch.x == x).all()
    assert batch.name == "images.npy"


def test_a_file_in_fortran_order_gives_the_same_batch(file: Path, images: Any) -> None:
    batch = load_batch(saved(file, np.asfortranarray(images)), SMALL)
    assert batch.x.flags.c_contiguous
    assert batch.digest == make_batch(images, "x").digest


def test_a_file_is_used_whole_unless_a_size_says_less(file: Path, images: Any) -> None:
    saved(file, images)
    assert (load_batch(str(file), SMALL).x == images).all()
    assert (load_batch(str(file), SMALL, 4).x == images[:4]).all()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_hold_one_array_or_one_called_x(tmp_path: Path, images: Any, save: Any) -> None:
    save(tmp_path / "one.npz", pictures=images)
    save(tmp_path / "two.npz", y=np.arange(3), x=images)
    for name in ("one.npz", "two.npz"):
        assert load_batch(str(tmp_path / name), SMALL).digest == make_batch(images, "x").digest


def test_an_npz_file_with_several_arrays_names_them(tmp_path: Path, images: Any) -> None:
    np.savez(tmp_path / "many.npz", train=images, test=images)
    with pytest.raises(BadInputError, match=r"many\.npz: expected one array or one called 'x', got train, test"):
        load_batch(str(tmp_path / "many.npz"), SMALL)


def test_an_npz_file_without_arrays_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "none.npz")
    with pytest.raises(BadInputError, match="expected one array or one called 'x', got none"):
        load_batch(str(tmp_path / "none.npz"), SMALL)


@pytest.mark.parametrize(("wrong", "shown"), [((6, 3, 4, 4), "6, 3, 4, 4"), ((6, 60), "6, 60"), ((360,), "360,")])
def test_a_wrong_shape_shows_the_expected_and_the_actual_one(file: Path, wrong: tuple[int, ...], shown: str) -> None:
    with pytest.raises(BadInputError) as caught:
        load_batch(saved(file, np.zeros(wrong)), SMALL)
    assert str(caught.value) == f"batch {file}: expected shape (n, 3, 4, 5), got ({shown})."


def test_an_array_that_is_not_four_dimensional_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"batch flat: expected shape \(n, channels, height, width\), got \(4, 9\)"):
        make_batch(np.zeros((4, 9)), "flat")
    with pytest.raises(BadInputError, match=r"got \(\)"):
        make_batch(np.array(1.0), "scalar")


@pytest.mark.parametrize("dtype", ["c8", "U3", "S3", "M8[s]", "V4", "O"])
def test_arrays_of_other_things_than_real_numbers_are_refused(dtype: str) -> None:
    with pytest.raises(BadInputError, match="batch mine: expected numbers, got dtype"):
        make_batch(np.zeros((2, *SMALL), dtype), "mine")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_in_float32_are_refused(value: float) -> None:
    x = np.zeros((3, *SMALL))
    x[2, 2, 3, 4] = value
    with pytest.raises(BadInputError, match="batch mine has values that are not finite in float32"):
        make_batch(x, "mine")


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_images_are_refused_with_the_reason(file: Path, n: int) -> None:
    x = np.zeros((n, *SMALL))
    for action in (lambda: make_batch(x, "few"), lambda: load_batch(saved(file, x), SMALL)):
        with pytest.raises(BadInputError, match=rf"has {n} image\(s\): at least 2 .* batch norm .* min-max"):
            action()


@pytest.mark.parametrize("size", [1, 0, -5])
@pytest.mark.parametrize("source", ["grey_ramp", "images.npy"])
def test_a_size_below_two_is_refused_with_the_reason(source: str, size: int) -> None:
    with pytest.raises(BadInputError, match=rf"batch size {size}: at least 2 .* batch norm .* min-max"):
        load_batch(source, SMALL, size)


def test_a_file_with_too_few_images_says_how_many(file: Path, images: Any) -> None:
    with pytest.raises(BadInputError, match="has 6 images, fewer than the batch size 7"):
        load_batch(saved(file, images), SMALL, 7)


@pytest.mark.parametrize(
    ("typed", "meant"), [("grey_rmp", "grey_ramp"), ("uniform01", "uniform_01"), ("Normal", "normal")]
)
def test_an_unknown_name_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown batch '{typed}'. Did you mean '{meant}'[?] .*npy"):
        load_batch(typed, SMALL)


def test_an_unknown_name_without_a_near_one_lists_all() -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_batch("zzz", SMALL)
    assert "Did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in NAMED)


@pytest.mark.parametrize("name", ["absent.npy", "absent.npz"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataMissingError, match=f"batch file .*{name} not found"):
        load_batch(str(tmp_path / name), SMALL)


def test_a_folder_is_no_batch(tmp_path: Path) -> None:
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(DataMissingError, match=r"folder\.npy not found"):
        load_batch(str(tmp_path / "folder.npy"), SMALL)


class Trap:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_an_array_of_objects_is_refused_without_running_it(tmp_path: Path, file: Path) -> None:
    trap = np.array([Trap(tmp_path / "sprung")], object)
    np.savez(tmp_path / "images.npz", trap)
    for source in (saved(file, trap), str(tmp_path / "images.npz")):
        with pytest.raises(BadInputError, match="cannot be read as plain numbers"):
            load_batch(source, SMALL)
    assert not (tmp_path / "sprung").exists()


def test_a_bare_pickle_is_refused_without_running_it(tmp_path: Path, file: Path) -> None:
    file.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(BadInputError, match="cannot be read as plain numbers"):
        load_batch(str(file), SMALL)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, images: Any, ending: str) -> None:
    whole, cut = tmp_path / f"whole.{ending}", tmp_path / f"cut.{ending}"
    (np.save if ending == "npy" else np.savez)(whole, images)
    content = whole.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(BadInputError, match="cannot be read as plain numbers"):
            load_batch(str(cut), SMALL)


def test_a_damaged_file_is_refused_or_read_but_never_anything_else(tmp_path: Path, images: Any) -> None:
    buffers = {"npy": io.BytesIO(), "npz": io.BytesIO()}
    np.save(buffers["npy"], images)
    np.savez_compressed(buffers["npz"], images)
    n_refused = 0
    for ending, buffer in buffers.items():
        content = buffer.getvalue()
        for at in range(0, min(len(content), 1500), 3):
            file = tmp_path / f"damaged.{ending}"
            file.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
            try:
                load_batch(str(file), SMALL)
            except BadInputError:
                n_refused += 1
    assert n_refused > 100


def test_a_header_that_promises_terabytes_is_refused(file: Path) -> None:
    np.save(file, np.zeros((2, *SMALL), np.float32))
    content = file.read_bytes()
    promise = b"(20000000000, 3, 4, 5), }"
    file.write_bytes(content.replace(b"(2, 3, 4, 5), }          ", promise))
    assert promise in file.read_bytes()
    with pytest.raises(BadInputError, match="cannot be read as plain numbers"):
        load_batch(str(file), SMALL)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadInputError, match=r"text\.npz"):
        load_batch(str(tmp_path / "text.npz"), SMALL)


OFFICIAL = ["cifar10:train", "cifar10:test", "cifar100:train", "cifar100:test"]


@pytest.mark.parametrize("source", [*OFFICIAL, "imagenet16_120:train", "imagenet16_120:valid"])
def test_official_images_that_are_not_here_say_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("UNTRAINED_CACHE", str(tmp_path))
    name = source.partition(":")[0]
    shape = (3, 16, 16) if name == "imagenet16_120" else SHAPE
    folder = tmp_path / "files" / name
    with pytest.raises(DataMissingError) as caught:
        load_batch(source, shape)
    advice = f"Get it with `untrained data fetch {name}`, or say where it is: @FOLDER."
    assert str(caught.value) == f"{folder}: not found. {advice}"
    folder.mkdir(parents=True)
    with pytest.raises(DataMissingError, match=r"there is no \w+(\.bin or \w+)? in it\. Get it with"):
        load_batch(f"{source}:raw", shape)
    with pytest.raises(DataMissingError, match=r"elsewhere: not found\. Give the folder that holds the official files"):
        load_batch(f"{source}@{tmp_path}/elsewhere", shape)


def test_official_images_are_found_where_they_are_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).integers(0, 10, (10_000, 3073), np.uint8)
    (tmp_path / "files" / "cifar10").mkdir(parents=True)
    (tmp_path / "files" / "cifar10" / "test_batch.bin").write_bytes(rows.tobytes())
    monkeypatch.setenv("UNTRAINED_CACHE", str(tmp_path))
    batch = load_batch("cifar10:test:raw", SHAPE)
    assert (batch.x == (rows[:256, 1:].reshape(256, *SHAPE) / 255).astype(np.float32)).all()
    assert (batch.labels == rows[:256, 0]).all()
    assert batch.digest == make_batch(batch.x, "mine", rows[:256, 0]).digest
    with pytest.raises(ValueError, match="read-only"):
        batch.x[0, 0, 0, 0] = 1
    monkeypatch.chdir(tmp_path / "files")
    assert load_batch("cifar10:test:raw@cifar10", SHAPE).digest == batch.digest
    monkeypatch.chdir("cifar10")
    assert load_batch("cifar10:test:raw@", SHAPE).digest == batch.digest


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("cifar10", "unknown batch 'cifar10'. Did you mean 'cifar10:test'? There are cifar10:train, cifar10:test; "),
        (
            "cifar10:valid",
            "There are cifar10:train, cifar10:test; :raw or @PATH may",
        ),
        ("cifar10:trian", "Did you mean 'cifar10:train'?"),
        ("cifar10:raw", "unknown batch 'cifar10:raw'"),
        ("cifar10:train:Raw", "unknown batch 'cifar10:train:Raw'. Did you mean 'cifar10:train'?"),
        ("cifar10:train:raw:raw", "unknown batch"),
        ("cifar10:", "unknown batch 'cifar10:'"),
        ("cifar10@/folder", "unknown batch 'cifar10'"),
        ("imagenet16_120:test", "There are imagenet16_120:train, imagenet16_120:valid;"),
        ("cifar1:train", "unknown batch 'cifar1:train'. Did you mean 'cifar10:train'?"),
        ("imagenet:train", "unknown batch"),
    ],
)
def test_official_images_with_a_wrong_split_say_which_there_are(source: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message.replace("?", "[?]")):
        load_batch(source, SHAPE)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ptb", "unknown batch 'ptb'. .*There are ptb:train, ptb:valid, ptb:test; @PATH may follow"),
        ("ptb:train:raw", "unknown batch 'ptb:train:raw'"),
        ("pbt:train", "unknown batch 'pbt:train'. Did you mean 'ptb:train'?"),
    ],
)
def test_official_texts_with_a_wrong_split_say_which_there_are(source: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message.replace("?", "[?]")):
        load_batch(source, (35,), vocabulary=10_000)


def test_official_images_and_texts_fit_the_networks_or_say_what_would() -> None:
    for source, shape, message in [
        ("cifar10:train", (3, 16, 16), r"has images of shape \(3, 32, 32\); the networks read \(3, 16, 16\)"),
        ("imagenet16_120:train", SHAPE, r".*replace\(space\.task, input_shape=\(3, 16, 16\)\)"),
        ("cifar10:train", (35,), r"has images; the networks read texts\. Take random_tokens or ptb:train"),
        ("ptb:train", SHAPE, r"has texts; the networks read images of shape \(3, 32, 32\)"),
    ]:
        with pytest.raises(BadInputError, match=f"batch {source} {message}"):
            load_batch(source, shape, vocabulary=10_000)


def test_files_may_have_colons_and_at_signs_in_their_names(tmp_path: Path, images: Any) -> None:
    for name in ("cifar10.npy", "x:train@y.npy", "c:cifar10:train.npy"):
        assert load_batch(saved(tmp_path / name, images), SMALL).name == name


def test_labels_go_with_images(tmp_path: Path) -> None:
    x = np.zeros((4, 3, 8, 8), np.float32)
    labels = np.array([3, 0, 1, 2])
    np.savez(tmp_path / "b.npz", x=x, labels=labels)
    batch = load_batch(str(tmp_path / "b.npz"), (3, 8, 8), 3)
    assert batch.labels is not None
    assert batch.labels.tolist() == [3, 0, 1]
    assert not batch.labels.flags.writeable
    bare = make_batch(x, "b")
    assert bare.labels is None
    assert len({bare.digest, make_batch(x, "b", labels).digest, make_batch(x, "b", labels[::-1]).digest}) == 3
    assert load_batch("normal", (3, 8, 8), 4).labels is None


@pytest.mark.parametrize(
    "labels", [np.zeros(3, int), np.zeros((4, 1), int), np.zeros(4), np.array([0, 1, -1, 2])], ids=str
)
def test_labels_that_are_no_classes_are_refused(labels: NDArray[Any]) -> None:
    with pytest.raises(BadInputError, match="labels of shape"):
        make_batch(np.zeros((4, 3, 8, 8)), "b", labels)
