"""UCF-101: 13,320 videos of 101 actions."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from data.official import read_lines
from data.protocols import Side
from data.publication import NONE_KNOWN, Publication
from data.three_splits import Entry, ThreeSplits
from pipeline.errors import InputError

_CLASS = re.compile(r"(?P<index>\d{1,9})\s+(?P<name>\w+)")
_VIDEO = re.compile(r"(?P<id>(?P<name>\w+)/v_\w+_g\d+_c\d+)\.\w+(?:\s+(?P<index>\d{1,9}))?")
_NUMBER_OF_CLIP = Annotated[int, Field(ge=1, le=7)]
"""Type of the number of a clip in its group, which has four to seven."""
_LISTS: tuple[tuple[str, Side], ...] = (("trainlist", "train"), ("testlist", "test"))


class UCF101(ThreeSplits):
    """UCF-101 data set: 13,320 videos of 101 actions, with three official splits.

    The folders of the classes lie in UCF-101/ or videos/ below the root, or in the root itself; the lists classInd.txt,
    trainlist01.txt, testlist01.txt and so on in ucfTrainTestlist/, splits/ or the root itself. Subjects are the 25
    groups of each class.

    A recipe may use a part of it: some ``classes``, and of every group some ``clips`` by their numbers, so that
    ``clips = [1, 2, 3]`` is v_Archery_g01_c01 to v_Archery_g01_c03 and so on. Exactly these are then required, however
    many others lie beside them.

    References
    ----------
    Soomro, Zamir and Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild", CRCV-TR-12-01,
    2012.
    """

    name: Literal["ucf101"] = "ucf101"
    publication: ClassVar[Publication] = Publication(
        title="UCF-101",
        homepage="https://www.crcv.ucf.edu/data/UCF101.php",
        access="Download UCF101.rar, the videos, and UCF101TrainTestSplits-RecognitionTask.zip, the lists, from the "
        "publisher's page, and unpack both into one folder (RAR archives by unrar or 7-Zip).",
        licence=NONE_KNOWN,
        size="6.9 GB",
        videos=13_320,
        classes=101,
    )
    added: ClassVar[frozenset[str]] = frozenset({"classes", "clips"})
    selecting: ClassVar[tuple[str, ...]] = ("classes", "clips")
    video_folders: ClassVar[tuple[str, ...]] = ("UCF-101", "videos", ".")
    list_folders: ClassVar[tuple[str, ...]] = ("ucfTrainTestlist", "splits", ".")
    list_pattern: ClassVar[str] = "classInd.txt"

    clips: Annotated[tuple[_NUMBER_OF_CLIP, ...], Field(min_length=1)] | None = Field(
        None, description="numbers of the clips of every group that are used, 1 to 7; None: all of them"
    )

    def takes(self, id: str) -> bool:
        return super().takes(id) and (self.clips is None or int(id.rpartition("_c")[2]) in self.clips)

    def class_names(self, lists: Path) -> tuple[str, ...]:
        names: list[str] = []
        for place, line in read_lines(lists / "classInd.txt"):
            match = _CLASS.fullmatch(line)
            if not match or int(match["index"]) != len(names) + 1 or match["name"] in names:
                raise InputError(f"{place}: {line!r}; '{len(names) + 1} <new class>' should be here")
            names.append(match["name"])
        return tuple(names)

    def entries(self, lists: Path, classes: Sequence[str], split: int) -> Iterator[Entry]:
        numbers = {name: number for number, name in enumerate(classes, start=1)}
        for kind, side in _LISTS:
            for place, line in read_lines(lists / f"{kind}{split:02d}.txt"):
                match = _VIDEO.fullmatch(line)
                if not match:
                    raise InputError(f"{place}: {line!r}; a line is <class>/v_<class>_g<group>_c<clip>.avi [index]")
                if match["index"] and int(match["index"]) != numbers.get(match["name"]):
                    raise InputError(f"{place}: {line!r}; classInd.txt has {numbers.get(match['name'])} for the class")
                yield Entry(place, match["id"], side)

    def source(self, video_id: str) -> str:
        name, stem = video_id.split("/")
        return f"{name}/{stem.split('_')[-2]}"

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The five types of actions that the paper distinguishes, with their classes."""
        return {group: tuple(names.split()) for group, names in _GROUPS.items()}


_GROUPS = {
    "human-object interaction": (
        "ApplyEyeMakeup ApplyLipstick BlowDryHair BrushingTeeth CuttingInKitchen Hammering HulaHoop JugglingBalls "
        "JumpRope Knitting Mixing MoppingFloor Nunchucks PizzaTossing ShavingBeard SkateBoarding SoccerJuggling Typing "
        "WritingOnBoard YoYo"
    ),
    "body motion": (
        "BabyCrawling BlowingCandles BodyWeightSquats HandstandPushups HandstandWalking JumpingJack Lunges PullUps "
        "PushUps RockClimbingIndoor RopeClimbing Swing TaiChi TrampolineJumping WalkingWithDog WallPushups"
    ),
    "human-human interaction": "BandMarching Haircut HeadMassage MilitaryParade SalsaSpin",
    "musical instruments": (
        "Drumming PlayingCello PlayingDaf PlayingDhol PlayingFlute PlayingGuitar PlayingPiano PlayingSitar "
        "PlayingTabla PlayingViolin"
    ),
    "sports": (
        "Archery BalanceBeam BaseballPitch Basketball BasketballDunk BenchPress Biking Billiards Bowling "
        "BoxingPunchingBag BoxingSpeedBag BreastStroke CleanAndJerk CliffDiving CricketBowling CricketShot Diving "
        "Fencing FieldHockeyPenalty FloorGymnastics FrisbeeCatch FrontCrawl GolfSwing HammerThrow HighJump HorseRace "
        "HorseRiding IceDancing JavelinThrow Kayaking LongJump ParallelBars PoleVault PommelHorse Punch Rafting Rowing "
        "Shotput Skiing Skijet SkyDiving SoccerPenalty StillRings SumoWrestling Surfing TableTennisShot TennisSwing "
        "ThrowDiscus UnevenBars VolleyballSpiking"
    ),
}
