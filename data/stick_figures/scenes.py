"""Static scenes: a field or a wall, objects that stand about, and the light."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data.stick_figures.body import CAMERA_HEIGHT_M, DISTANCE_M, FOCAL_PX, HEIGHT, WIDTH, Array

Image = NDArray[np.uint8]

_WALL_BEHIND_M = 1.2


@dataclass(frozen=True, slots=True)
class Scene:
    """Static scene: background, objects in front of the figure, and light.

    Attributes
    ----------
    background, foreground : np.ndarray of uint8, shape (HEIGHT, WIDTH, 3)
        RGB pictures.
    opaque : np.ndarray of bool, shape (HEIGHT, WIDTH)
        True where the foreground hides the figure.
    light : np.ndarray, shape (3,)
        Direction in which the light travels, in camera coordinates.
    shade : float
        Fraction of the light that a shadow takes away.
    blur_px : float
        Standard deviation of the shadow's blur in pixels.
    wall_depth_m : float or None
        Distance of the camera from the wall in metres; None outdoors.
    """

    background: Image
    foreground: Image
    opaque: NDArray[np.bool_]
    light: Array
    shade: float
    blur_px: float
    wall_depth_m: float | None

    @classmethod
    def draw(
        cls, scenario: str, clutter: float, occlusion: float, camera_back_m: float, rng: np.random.Generator
    ) -> "Scene":
        """Draw a scene: for d4 a wall with a soft shadow on it, otherwise a field with a shadow on the ground.

        Parameters
        ----------
        scenario : str
            "d1" to "d4".
        clutter : float
            Density of the objects in the background, 0 to 1.
        occlusion : float
            Probability of a post or a hedge in front of the figure.
        camera_back_m : float
            Distance of the camera from the figure, and so from the wall, beyond ``DISTANCE_M``, in metres.
        rng : np.random.Generator
            Source of all that is drawn at random.
        """
        indoors = scenario == "d4"
        wall_depth = DISTANCE_M + _WALL_BEHIND_M + camera_back_m
        background = _wall(wall_depth, rng) if indoors else _field(rng)
        _scatter(background, round(12 * clutter), rng)
        foreground, opaque = _obstacle(occlusion, rng)
        side = rng.choice([-1.0, 1.0])
        light = np.array(
            [side * rng.uniform(0.25, 0.6), -0.15, 1.0] if indoors else [side * rng.uniform(0.5, 1.3), -1, 0.5]
        )
        shade = (
            rng.uniform(0.2, 0.35) if indoors else rng.uniform(0.1, 0.2) if scenario == "d3" else rng.uniform(0.3, 0.5)
        )
        picture = background.clip(0, 255).astype(np.uint8)
        return cls(picture, foreground, opaque, light, shade, 2.0 if indoors else 0.8, wall_depth if indoors else None)

    def cast(self, joints: Array) -> Array:
        """Cast the joints' shadows: onto the wall indoors, onto the ground outdoors."""
        axis, level = (1, -CAMERA_HEIGHT_M) if self.wall_depth_m is None else (2, self.wall_depth_m)
        thrown: Array = joints + ((level - joints[..., axis]) / self.light[axis])[..., None] * self.light
        return thrown

    def zoomed(self, zoom: float) -> Image:
        """Return the background scaled about the principal point, mirrored outwards at the border."""
        if zoom == 1:
            return self.background.copy()
        matrix = np.array([[zoom, 0, (1 - zoom) * WIDTH / 2], [0, zoom, (1 - zoom) * HEIGHT / 2]])
        picture = cv2.warpAffine(self.background, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(picture, np.uint8)


def _field(rng: np.random.Generator) -> Array:
    """Draw grass or gravel seen from above: the texture's grain grows towards the camera."""
    colour = rng.uniform(115, 150) * np.array([1.0, 1.02, 0.9] + 0.03 * rng.standard_normal(3))
    texture = np.zeros((HEIGHT, WIDTH), np.float32)
    for grain_px, strength in ((1, 3.0), (2, 4.0), (6, 4.0), (20, 5.0)):
        coarse = rng.standard_normal((HEIGHT // grain_px + 2, WIDTH // (3 * grain_px) + 2)).astype(np.float32)
        layer = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        texture += strength * layer * np.linspace(0.5, 1.3, HEIGHT, dtype=np.float32)[:, None]
    return colour * (1 + np.linspace(0.08, -0.08, HEIGHT)[:, None, None]) + texture[..., None]


def _wall(depth_m: float, rng: np.random.Generator) -> Array:
    """Draw a wall in the light of a lamp, a skirting board, and a darker floor in front."""
    colour = rng.uniform(140, 165) * np.array([1.0, 0.98, 0.93])
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    lamp = rng.uniform(0.2, 0.8) * WIDTH
    light = 1.08 - 0.3 * ((columns - lamp) / WIDTH) ** 2 - 0.15 * (rows / HEIGHT - 0.3) ** 2
    picture: Array = colour * light[..., None]
    skirting = int(HEIGHT / 2 + FOCAL_PX * CAMERA_HEIGHT_M / depth_m)
    picture[skirting:] *= np.array([0.72, 0.66, 0.6])
    picture[skirting - 3 : skirting] *= 0.85
    coarse = rng.standard_normal((30, 40)).astype(np.float32)
    picture += 1.5 * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None]
    return picture


def _scatter(picture: Array, objects: int, rng: np.random.Generator) -> None:
    """Draw ``objects`` soft blocks into the background, in place."""
    for _ in range(objects):
        width, height = rng.integers(6, 28, 2)
        left, top = rng.integers(-5, WIDTH), rng.integers(-5, HEIGHT)
        block = np.zeros((HEIGHT, WIDTH), np.float32)
        cv2.rectangle(block, (int(left), int(top)), (int(left + width), int(top + height)), 1.0, -1)
        soft = cv2.GaussianBlur(block, (0, 0), 0.8)
        picture += soft[..., None] * rng.uniform(-45, 45) * rng.uniform(0.7, 1.0, 3)


def _obstacle(occlusion: float, rng: np.random.Generator) -> tuple[Image, NDArray[np.bool_]]:
    """Draw, with probability ``occlusion``, a post or a hedge in front of the figure."""
    chosen, is_post = rng.random(), rng.random() < 0.5
    place, level = rng.uniform(0.3, 0.7), rng.uniform(60, 110)
    opaque = np.zeros((HEIGHT, WIDTH), bool)
    if chosen < occlusion and is_post:
        opaque[:, int(place * WIDTH) : int(place * WIDTH) + 8] = True
    elif chosen < occlusion:
        opaque[int((0.55 + 0.4 * place) * HEIGHT) :] = True
    grain = 8 * rng.standard_normal((HEIGHT, WIDTH, 1))
    return (level * np.array([0.9, 1.0, 0.8]) + grain).clip(0, 255).astype(np.uint8), opaque
