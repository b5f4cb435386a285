"""Draw a moving figure: shaded, anti-aliased limbs, clothes, a cast shadow, camera noise."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data.stick_figures.body import FEET, FOCAL_PX, HEAD, HEIGHT, NECK, WIDTH, Array, Person, project
from data.stick_figures.motion import Performance
from data.stick_figures.scenes import Image, Scene

# Limbs as (joint, joint, radius, radius, colour), the radii as shares of the stature; right side first.
_LIMBS: tuple[tuple[int, int, float, float, str], ...] = (
    *((0 + s, 7 + s, 0.031, 0.025, "sleeve") for s in (0, 1)),
    *((7 + s, 9 + s, 0.025, 0.019, "forearm") for s in (0, 1)),
    *((9 + s, 11 + s, 0.018, 0.020, "skin") for s in (0, 1)),
    *((4 + s, 13 + s, 0.048, 0.034, "trousers") for s in (0, 1)),
    *((13 + s, 15 + s, 0.034, 0.024, "trousers") for s in (0, 1)),
    *((15 + s, 17 + s, 0.024, 0.019, "shoes") for s in (0, 1)),
    (2, 19, 0.028, 0.028, "skin"),
)
_UNCLOTHED = [4, 5, 12]  # hands and neck
_UNDER_SHIRT = np.arange(len(_LIMBS)) >= 6  # legs and neck
_ENDS = np.array([limb[:2] for limb in _LIMBS])
_RADII = np.array([limb[2:4] for limb in _LIMBS])
_COLOURS = [limb[4] for limb in _LIMBS]
_TRUNK_JOINTS, _TRUNK_RADII = [0, 1, 3, 4, 5], np.array([0.048, 0.048, 0.068, 0.052, 0.052])
_HEAD_RADII, _HAIR_RADII = (0.048, 0.066), (0.053, 0.045)
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Outfit:
    """Clothes: RGB colours by part of the body, and the factor by which they are thicker than the body."""

    colours: dict[str, tuple[int, int, int]]
    bulk: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Outfit":
        """Draw clothes that are clearly darker or lighter than a mid-grey background."""
        skin = np.array([226, 178, 148]) * rng.uniform(0.55, 1.05)
        top, trousers, shoes = (_cloth(rng, light) for light in (0.45, 0.2, 0.3))
        parts = {
            "skin": skin,
            "hair": np.array([70, 50, 35]) * rng.uniform(0.2, 1.5),
            "sleeve": top,
            "forearm": skin if rng.random() < 0.35 else top,
            "trousers": trousers,
            "shoes": shoes,
        }
        colours = {part: tuple(int(level) for level in colour.clip(0, 245)) for part, colour in parts.items()}
        return cls(colours, bulk=rng.uniform(0.95, 1.2))  # type: ignore[arg-type]


def render(
    performance: Performance, person: Person, outfit: Outfit, scene: Scene, noise: float, rng: np.random.Generator
) -> Iterator[Image]:
    """Render the frames of a video.

    Parameters
    ----------
    performance : Performance
        Motion of the figure.
    person : Person
        The subject's build.
    outfit : Outfit
        The subject's clothes.
    scene : Scene
        Background, foreground and light.
    noise : float
        Standard deviation of the camera's noise in grey levels.
    rng : np.random.Generator
        Source of the camera's noise.

    Yields
    ------
    np.ndarray of uint8, shape (HEIGHT, WIDTH, 3)
        RGB frames.
    """
    girth = person.girth * outfit.bulk
    figure = _Outline(performance.joints, person.stature, girth)
    shadow = _Outline(scene.cast(performance.joints), person.stature, girth)
    grain = (noise * rng.standard_normal((HEIGHT + 40, WIDTH + 40, 1))).round().astype(np.int16)
    exposure = 0.5 * noise * rng.standard_normal(len(performance.joints))
    for frame, zoom in enumerate(performance.zoom):
        image = scene.zoomed(zoom)
        _darken(image, shadow.mask(frame), scene)
        figure.paint(image, frame, outfit, scene)
        image[scene.opaque] = scene.foreground[scene.opaque]
        row, column = rng.integers(0, 40, 2)
        noisy = image + grain[row : row + HEIGHT, column : column + WIDTH] + np.int16(round(exposure[frame]))
        yield noisy.clip(0, 255).astype(np.uint8)


class _Outline:
    """The figure's limbs, trunk and head as polygons in the picture, for all frames at once."""

    def __init__(self, joints: Array, stature: float, girth: float) -> None:
        self.joints = joints
        self.centres = project(joints)  # (frames, 20, 2)
        self.scale = FOCAL_PX / joints[..., 2] * stature  # (frames, 20) pixels a stature
        radii = _RADII * girth
        radii[_UNCLOTHED] = _RADII[_UNCLOTHED]
        ends = self.centres[:, _ENDS]  # (frames, limbs, 2, 2)
        thick = self.scale[:, _ENDS] * radii
        lit = ends - np.array([0.0, 0.35]) * thick[..., None]
        self.limbs = _fixed(_capsules(ends, thick))
        self.highlights = _fixed(_capsules(lit, 0.55 * thick))
        circle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        rim = np.stack([np.cos(circle), np.sin(circle)], axis=-1)
        trunk = (self.scale[:, _TRUNK_JOINTS] * _TRUNK_RADII * girth)[..., None, None]
        self.trunk = (self._trunk_centres()[:, :, None] + trunk * rim).reshape(len(joints), -1, 2).astype(np.float32)
        size = self.scale[:, HEAD, None, None]
        self.head = _fixed(self.centres[:, HEAD, None] + size * rim * _HEAD_RADII)
        self.hair = _fixed(self.centres[:, HEAD, None] + size * (self._hair_offset() + rim * _HAIR_RADII))
        self.depth = joints[:, _ENDS, 2].mean(axis=2)  # (frames, limbs)
        self.trunk_depth = joints[:, 2:7, 2].mean(axis=1)

    def _trunk_centres(self) -> Array:
        centres = self.centres[:, _TRUNK_JOINTS].copy()
        centres[:, :2] += 0.15 * (self.centres[:, NECK, None] - centres[:, :2])  # the arm's root lies outside
        return centres

    def _hair_offset(self) -> Array:
        """Return the offset of the hair: upwards, and to the side that the toes point away from."""
        toes = self.joints[:, FEET].mean(axis=1) - self.joints[:, 15:17].mean(axis=1)
        sideways = toes[:, 0] / np.linalg.norm(toes, axis=-1)
        return np.stack([-0.022 * sideways, np.full(len(toes), -0.026)], axis=-1)[:, None]

    def paint(self, image: Image, frame: int, outfit: Outfit, scene: Scene) -> None:
        """Draw from far to near, the shirt over the trousers; what is farther than the trunk is darker."""
        depth, trunk_depth = self.depth[frame], self.trunk_depth[frame]
        light = np.where(depth > trunk_depth, 0.78, 1.0)
        behind = (depth > trunk_depth) | _UNDER_SHIRT
        order = np.argsort(-depth, kind="stable")
        for limb in order[behind[order]]:
            self._paint_limb(image, frame, limb, outfit, light[limb])
        self._paint_trunk(image, frame, outfit, scene)
        self._paint_head(image, frame, outfit)
        for limb in order[~behind[order]]:
            self._paint_limb(image, frame, limb, outfit, light[limb])

    def _paint_limb(self, image: Image, frame: int, limb: int, outfit: Outfit, light: float) -> None:
        colour = outfit.colours[_COLOURS[limb]]
        _fill(image, self.limbs[frame, limb], _lit(colour, 0.82 * light))
        _fill(image, self.highlights[frame, limb], _lit(colour, 1.08 * light))

    def _paint_trunk(self, image: Image, frame: int, outfit: Outfit, scene: Scene) -> None:
        hull = cv2.convexHull(self.trunk[frame])[:, 0]
        colour, centre = outfit.colours["sleeve"], hull.mean(axis=0)
        _fill(image, _fixed(hull), _lit(colour, 0.85))
        towards_light = np.array([-np.sign(scene.light[0]), -0.3]) * 0.06 * self.scale[frame, NECK] * 0.35
        _fill(image, _fixed(centre + towards_light + 0.66 * (hull - centre)), colour)

    def _paint_head(self, image: Image, frame: int, outfit: Outfit) -> None:
        _fill(image, self.head[frame], outfit.colours["skin"])
        _fill(image, self.hair[frame], outfit.colours["hair"])

    def mask(self, frame: int) -> Image:
        """Return the coverage of the picture by the figure, (HEIGHT, WIDTH), 0 to 255."""
        covered = np.zeros((HEIGHT, WIDTH), np.uint8)
        hull = cv2.convexHull(self.trunk[frame])[:, 0]
        for polygon in (*self.limbs[frame], _fixed(hull), self.head[frame]):
            cv2.fillConvexPoly(covered, polygon, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
        return covered


def _capsules(ends: Array, radii: Array) -> Array:
    """Return outlines (…, 16, 2) of capsules with end points (…, 2, 2) and radii (…, 2)."""
    across = ends[..., 1, :] - ends[..., 0, :]
    heading = np.arctan2(across[..., 1], across[..., 0])[..., None]
    half = np.linspace(np.pi / 2, 3 * np.pi / 2, 8)
    arcs = []
    for end, arc in ((0, heading + half), (1, heading + half + np.pi)):
        rim = np.stack([np.cos(arc), np.sin(arc)], axis=-1)
        arcs.append(ends[..., end, None, :] + radii[..., end, None, None] * rim)
    return np.concatenate(arcs, axis=-2)


def _fixed(points: Array) -> NDArray[np.int32]:
    """Convert to fixed point with _SUBPIXEL_BITS; points far outside are clipped to what the drawing accepts."""
    return np.round(points.clip(-2000, 2000) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _fill(image: Image, polygon: NDArray[np.int32], colour: tuple[int, ...]) -> None:
    cv2.fillConvexPoly(image, polygon, colour, cv2.LINE_AA, _SUBPIXEL_BITS)


def _lit(colour: tuple[int, int, int], light: float) -> tuple[int, ...]:
    return tuple(min(255, round(level * light)) for level in colour)


def _darken(image: Image, covered: Image, scene: Scene) -> None:
    left, top, width, height = cv2.boundingRect(covered)
    if width == 0:
        return
    margin = round(3 * scene.blur_px)
    box = slice(max(0, top - margin), top + height + margin), slice(max(0, left - margin), left + width + margin)
    soft = cv2.GaussianBlur(covered[box], (0, 0), scene.blur_px).astype(np.float32)
    image[box] = (image[box] * (1 - scene.shade / 255 * soft[..., None])).round()


def _cloth(rng: np.random.Generator, light: float) -> Array:
    tint = rng.uniform(0.6, 1.0, 3)
    level = rng.uniform(205, 245) if rng.random() < light else rng.uniform(20, 65)
    colour: Array = tint / tint.max() * level
    return colour
