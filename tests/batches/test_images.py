from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from image_bytes import WIDTH, N, cifar, imagenet, pixels_of, python2, read_or_refused, tar_gz
from untrained.batches import load_batch, make_batch
from untrained.batches.images import (
    IMAGE_SETS,
    File,
    Form,
    ImageSet,
    normalise,
    read_binary,
    read_images,
    unit,
)
from untrained.errors import BadInputError, DataMissingError, UntrainedError
from untrained.files.archive import place_of

CIFAR10, CIFAR100, IMAGENET16 = (IMAGE_SETS[name] for name in ("cifar10", "cifar100", "imagenet16_120"))
read_small_binary = partial(read_binary, n_images=N, n_bytes=WIDTH, where="a.bin", n_classes=(10,))


def small(images: ImageSet, n_files: int = 2) -> ImageSet:
    """The same set with a few tiny images a file."""
    forms = []
    for form in images.forms:
        splits = {split: tuple(File(file.name, N) for file in files[:n_files]) for split, files in form.splits.items()}
        forms.append(Form(form.archive, form.folder, splits, form.read))
    return replace(images, shape=(3, 2, 2), forms=tuple(forms))


# Real photographs, in files of the official size


@pytest.fixture(scope="module")
def photos(shared: Callable[[str], Path]) -> dict[str, Any]:
    with np.load(shared("truth/cifar10_jpeg_subset.npz")) as kept:
        return {
            split: (np.ascontiguousarray(kept[f"x_{split}"].transpose(0, 3, 1, 2)), kept[f"y_{split}"])
            for split in ("train", "test")
        }


@pytest.fixture(scope="module")
def official(photos: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs, repeated, as CIFAR-10's first two training files and its test file: folder and archive."""
    folder = tmp_path_factory.mktemp("cifar10")
    files = {}
    for name, split, start in [("data_batch_1", "train", 0), ("test_batch", "test", 0), ("data_batch_2", "train", 7)]:
        pixels, labels = photos[split]
        chosen = (np.arange(10_000) + start) % len(labels)
        files[f"cifar-10-batches-bin/{name}.bin"] = cifar(pixels[chosen], labels[chosen])
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    tar_gz(folder / "moved.tar.gz", {"cifar-10-batches-bin/readme.html": b"x" * 88, **files})
    return folder


@pytest.mark.parametrize("where", [".", "cifar-10-batches-bin", "moved.tar.gz"])
def test_real_photographs_come_back(photos: dict[str, Any], official: Path, where: str) -> None:
    pixels, labels = photos["train"]
    read = read_images(CIFAR10, "train", 300, place_of("cifar10", str(official / where)))
    assert read.pixels.dtype == np.uint8
    assert read.labels.dtype == np.int64
    assert (read.pixels == pixels[:300]).all()
    assert (read.labels == labels[:300]).all()
    read = read_images(CIFAR10, "test", 8, place_of("cifar10", str(official / where)))
    assert (read.pixels == photos["test"][0][:8]).all()


def test_images_go_on_in_the_next_file(photos: dict[str, Any], official: Path) -> None:
    pixels, labels = photos["train"]
    read = read_images(CIFAR10, "train", 10_003, place_of("cifar10", str(official)))
    assert (read.pixels[10_000:] == pixels[7:10]).all()
    assert (read.labels[9_998:] == [*labels[1998:2000], *labels[7:10]]).all()


def test_files_that_are_needed_must_be_there(official: Path) -> None:
    with pytest.raises(DataMissingError, match=r"there is no data_batch_3\.bin in it"):
        read_images(CIFAR10, "train", 20_001, place_of("cifar10", str(official)))
    with pytest.raises(BadInputError, match="there are 10000 images, fewer than the 10001 asked for"):
        read_images(CIFAR10, "test", 10_001, place_of("cifar10", str(official)))


def test_a_batch_of_real_photographs_is_normalised_as_torchvision_does(photos: dict[str, Any], official: Path) -> None:
    images = torch.from_numpy(photos["train"][0][:256])
    mean, std = (torch.tensor([c / 255 for c in of], dtype=torch.float32) for of in (CIFAR10.mean, CIFAR10.std))
    expected = images.to(torch.float32).div(255).sub_(mean[:, None, None]).div_(std[:, None, None])
    batch = load_batch(f"cifar10:train@{official}", (3, 32, 32))
    assert batch.name == "cifar10:train"
    assert batch.x.dtype == np.float32
    assert (batch.x == expected.numpy()).all()
    raw = load_batch(f"cifar10:train:raw@{official}", (3, 32, 32))
    assert raw.name == "cifar10:train:raw"
    assert (raw.x == images.to(torch.float32).div(255).numpy()).all()
    assert raw.digest != batch.digest
    smaller = load_batch(f"cifar10:train@{official}/moved.tar.gz", (3, 32, 32), 64)
    assert (smaller.x == batch.x[:64]).all()


def test_the_python_form_of_real_photographs(photos: dict[str, Any], tmp_path: Path) -> None:
    pixels, labels = photos["test"]
    chosen = np.arange(10_000) % len(labels)
    content = python2(pixels[chosen].reshape(10_000, -1), labels[chosen].tolist())
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(content)
    read = read_images(CIFAR10, "test", 1200, place_of("cifar10", str(tmp_path)))
    assert (read.pixels[:1000] == pixels).all()
    assert (read.pixels[1000:] == pixels[:200]).all()
    assert (read.labels == labels[chosen[:1200]]).all()


def test_cifar100_has_a_coarse_and_a_fine_label(tmp_path: Path) -> None:
    pixels = pixels_of(10_000, 3072)
    coarse, fine = np.arange(10_000) % 20, np.arange(10_000) % 100
    tar_gz(tmp_path / "cifar-100-binary.tar.gz", {"cifar-100-binary/test.bin": cifar(pixels, coarse, fine)})
    read = read_images(CIFAR100, "test", 500, place_of("cifar100", str(tmp_path)))
    assert (read.pixels.reshape(500, -1) == pixels[:500]).all()
    assert (read.labels == fine[:500]).all()


def test_official_sizes() -> None:
    sizes = {
        (name, form.folder, split): [file.n_images for file in files]
        for name, images in IMAGE_SETS.items()
        for form in images.forms
        for split, files in form.splits.items()
    }
    for folder in ("cifar-10-batches-bin", "cifar-10-batches-py"):
        assert sizes["cifar10", folder, "train"] == [10_000] * 5
        assert sizes["cifar10", folder, "test"] == [10_000]
    for folder in ("cifar-100-binary", "cifar-100-python"):
        assert sizes["cifar100", folder, "train"] == [50_000]
        assert sizes["cifar100", folder, "test"] == [10_000]
    assert [file.name for file in IMAGENET16.forms[0].splits["train"]][::9] == [
        "train_data_batch_1",
        "train_data_batch_10",
    ]


# ImageNet16-120


@pytest.mark.parametrize("protocol", [3, 4])
def test_imagenet16_keeps_the_first_120_classes(tmp_path: Path, protocol: int) -> None:
    pixels = {k: pixels_of(2000 + k, 768) for k in range(1, 4)}
    labels = {k: np.random.default_rng(k).integers(1, 1001, len(pixels[k])).tolist() for k in pixels}
    (tmp_path / "ImageNet16").mkdir()
    for k in pixels:
        (tmp_path / "ImageNet16" / f"train_data_batch_{k}").write_bytes(imagenet(pixels[k], labels[k], protocol))
    kept = [(image, label) for k in pixels for image, label in zip(pixels[k], labels[k], strict=True) if label <= 120]
    n = len(kept) - 20
    read = read_images(IMAGENET16, "train", n, place_of("imagenet16_120", str(tmp_path)))
    assert read.pixels.shape == (n, 3, 16, 16)
    assert (read.pixels.reshape(n, -1) == [image for image, _ in kept[:n]]).all()
    assert read.labels.tolist() == [label - 1 for _, label in kept[:n]]
    with pytest.raises(DataMissingError, match="train_data_batch_4"):
        read_images(IMAGENET16, "train", n + 21, place_of("imagenet16_120", str(tmp_path)))


def test_imagenet16_as_a_batch(tmp_path: Path) -> None:
    pixels = pixels_of(40, 768)
    (tmp_path / "val_data").write_bytes(imagenet(pixels, [*range(101, 141)]))
    batch = load_batch(f"imagenet16_120:valid@{tmp_path}", (3, 16, 16), 20)
    expected = (pixels[:20].reshape(20, 3, 256) / 255 - np.array([[122.68], [116.66], [104.01]]) / 255) / (
        np.array([[63.22], [61.26], [65.09]]) / 255
    )
    assert np.allclose(batch.x.reshape(20, 3, 256), expected, rtol=0, atol=1e-6)
    with pytest.raises(BadInputError, match="there are 20 images, fewer than the 21 asked for"):
        load_batch(f"imagenet16_120:valid@{tmp_path}", (3, 16, 16), 21)


@pytest.mark.parametrize("name", sorted(IMAGE_SETS))
def test_normalised_images_have_mean_0_and_deviation_1_where_the_constants_are_theirs(name: str) -> None:
    images = IMAGE_SETS[name]
    mean, std = (np.array(c)[:, None, None] for c in (images.mean, images.std))
    pixels = np.random.default_rng(0).normal(mean, std / 4, (64, *images.shape)).round().astype(np.uint8)
    x = normalise(pixels, images)
    assert x.dtype == unit(pixels).dtype == np.float32
    assert np.abs(x.mean(axis=(0, 2, 3))).max() < 0.02
    assert np.abs(x.std(axis=(0, 2, 3)) - 0.25).max() < 0.01


@pytest.mark.parametrize(
    ("name", "digest"),  # regression values: a change would make stored scores unusable
    [
        ("cifar10", "404203d87a1d77dbdbba247e36815edb"),
        ("cifar100", "53346889728584763a7a1f0534e1da16"),
        ("imagenet16_120", "771bfe735d6db53d732b743f0697e418"),
    ],
)
def test_normalised_images_never_change(name: str, digest: str) -> None:
    images = IMAGE_SETS[name]
    pixels = (np.arange(2 * np.prod(images.shape)) % 256).astype(np.uint8).reshape(2, *images.shape)
    assert make_batch(normalise(pixels, images), name).digest == digest


# What is damaged, or hostile


@pytest.mark.parametrize("size", [0, 1, N * 13 - 1, N * 13 + 1, (N + 1) * 13])
def test_binary_files_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(BadInputError, match=rf"a\.bin has {size} bytes; expected 78 \(6 images of 13\)"):
        read_small_binary(bytes(size))


def test_binary_labels_out_of_range_are_refused() -> None:
    content = cifar(pixels_of(N), [0, 1, 9, 9, 3, 10])
    with pytest.raises(BadInputError, match=r"a\.bin: a label is not within 0 to 9"):
        read_small_binary(content)
    for labels, message in [([[20] * N, [0] * N], "0 to 19"), ([[0] * N, [100] * N], "0 to 99")]:
        with pytest.raises(BadInputError, match=f"a label is not within {message}"):
            read_small_binary(cifar(pixels_of(N), *labels), n_classes=(20, 100))


@given(content=st.binary(max_size=N * 13 + 1) | st.binary(min_size=N * 13, max_size=N * 13))
@example(content=bytes(N * 13))
def test_any_binary_content_is_read_or_refused(content: bytes) -> None:
    read_or_refused(read_small_binary, content)
    read_or_refused(partial(read_small_binary, n_images=None), content)


@given(
    files=st.dictionaries(
        st.sampled_from([f"{form.folder}/{file.name}" for form in CIFAR10.forms for file in form.splits["train"][:2]]),
        st.sampled_from([cifar(pixels_of(N), range(N)), python2(pixels_of(N), [*range(N)])]) | st.binary(max_size=100),
    ),
    n=st.integers(2, 2 * N + 1),
)
def test_any_files_in_an_archive_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], n: int
) -> None:
    place = place_of("cifar10", str(tar_gz(tmp_path_factory.getbasetemp() / "any.tar.gz", files)))
    said = ""
    try:
        assert len(read_images(small(CIFAR10), "train", n, place).labels) == n
    except UntrainedError as error:
        said = str(error)
    assert "\n" not in said


def test_one_form_is_used_throughout(tmp_path: Path) -> None:
    pixels, labels = pixels_of(N), [*range(N)]
    (tmp_path / "data_batch_1").write_bytes(python2(pixels, labels))
    (tmp_path / "data_batch_2.bin").write_bytes(cifar(pixels, labels))
    with pytest.raises(DataMissingError, match="there is no data_batch_2 in it"):
        read_images(small(CIFAR10), "train", N + 1, place_of("cifar10", str(tmp_path)))
    (tmp_path / "data_batch_2").write_bytes(python2(pixels[::-1].copy(), labels))
    read = read_images(small(CIFAR10), "train", N + 1, place_of("cifar10", str(tmp_path)))
    assert (read.pixels.reshape(N + 1, -1) == [*pixels, pixels[-1]]).all()
