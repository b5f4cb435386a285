"""High dynamic range: the standards' curves, transcribed, and what becomes of them."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.video.light import BT2020, TRANSFERS, standard_range
from tests.support.films import decoded, pictures_of

MATRIX_2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593])


def pq_light(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, equation 4.1, in cd/m²."""
    m1, m2 = 0.1593017578125, 78.84375
    c1, c2, c3 = 0.8359375, 18.8515625, 18.6875
    root = signal ** (1 / m2)
    return 10000 * (np.clip(root - c1, 0, None) / (c2 - c3 * root)) ** (1 / m1)


def hlg_light(signal: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, table 5, on a screen of 1,000 cd/m², in cd/m²."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return 1000 * (scene @ LUMINANCE_2020)[..., None] ** 0.2 * scene


LIGHT = {"PQ": pq_light, "HLG": hlg_light}


def transcribed(signal: np.ndarray, transfer: str, wide_gamut: bool) -> np.ndarray:
    light = LIGHT[transfer](signal) / 203
    if wide_gamut:
        light = light @ MATRIX_2020.T
    light = light / np.maximum(1, light.max(-1, keepdims=True))
    return 255 * np.clip(light, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize("transfer", LIGHT)
@pytest.mark.parametrize("wide_gamut", [True, False])
def test_the_standards_are_followed_level_by_level(transfer: str, wide_gamut: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 2**16, (80, 90, 3), np.uint16)
    picture[0, :, :] = np.linspace(0, 2**16 - 1, 90)[:, None].astype(np.uint16)  # greys, black and the brightest
    exact = transcribed(picture / (2**16 - 1), transfer, wide_gamut)
    assert np.abs(standard_range(picture, transfer, wide_gamut=wide_gamut) - exact).max() <= 0.51


def test_reference_white_is_white() -> None:
    """203 cd/m²: 58 % of PQ, 75 % of HLG, by ITU-R BT.2408, table 1."""
    for transfer, share in (("PQ", 0.58), ("HLG", 0.75)):
        (((grey, *_),),) = standard_range(
            np.full((1, 1, 3), round(share * 65535), np.uint16), transfer, wide_gamut=True
        )
        assert abs(int(grey) - 255) <= 2, transfer


def test_brighter_than_white_keeps_its_hue() -> None:
    signal = np.array([[[52000, 45000, 40000]]], np.uint16)
    light = (standard_range(signal, "PQ", wide_gamut=False)[0, 0] / 255.0) ** 2.4
    exact = pq_light(signal[0, 0] / 65535)
    np.testing.assert_allclose(light / light.max(), exact / exact.max(), atol=0.01)
    assert light.max() == 1


@pytest.mark.parametrize("number", TRANSFERS)
def test_a_file_of_high_dynamic_range(tmp_path: Path, number: int) -> None:
    """Planes of known values come out as the transcription says, within what 10 bits and swscale round."""
    luma, blue, red = 500, 480, 560
    path = tmp_path / "x.mkv"
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    for plane, value in zip(frame.planes, (luma, blue, red), strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, np.uint16))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = number, BT2020, 9, 1
        frame.pts = 0
        file.mux([*stream.encode(frame), *stream.encode(None)])
    blocks, fault = decoded(path)
    assert not fault
    y, b, r = (luma / 4 - 16) / 219, (blue / 4 - 128) / 224, (red / 4 - 128) / 224
    kr, kb = 0.2627, 0.0593
    rgb = np.array([y + 2 * (1 - kr) * r, 0, y + 2 * (1 - kb) * b])
    rgb[1] = (y - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb)
    exact = transcribed(rgb, TRANSFERS[number], True)
    assert np.abs(pictures_of(blocks)[0] - exact).max() < 2
    assert blocks[0].notes == {"transfer": TRANSFERS[number]}


def test_case(shared: Path) -> None:
    blocks, fault = decoded(shared / "cases" / "hdr10.mp4")
    assert not fault
    assert np.abs(pictures_of(blocks)[0][6, 6].astype(int) - (218, 34, 30)).max() <= 6
    assert blocks[0].notes == {"transfer": "PQ"}
