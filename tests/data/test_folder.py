"""Anybody's own data: one folder a class, or a manifest."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.base import Fold, Listing, Video
from data.folder import Folder
from pipeline.config import parse
from pipeline.errors import InputError
from pipeline.video.encode import write
from tasks.settings import dataset_folder
from tests.support.toy_datasets import touch, write_lines


def by_manifest(root: Path, *rows: str, header: str = "path,label", **fields: Any) -> tuple[Folder, Listing]:
    touch(root, "a.mp4", "b.mp4", "c.avi", "d.mkv", "e.txt")
    write_lines(root / "manifest.csv", header, *rows)
    config = Folder(root=str(root), **fields)
    return config, config.listing(root)


class TestFolder:
    def test_paths_of_a_manifest_are_taken_as_meant(self, tmp_path: Path):
        """Absolute, above the root, or a link out of it: it is their own file."""
        touch(tmp_path, "elsewhere/x.mp4", "beside/y.mp4")
        (tmp_path / "root").mkdir()
        (tmp_path / "root/link.mp4").symlink_to(tmp_path / "elsewhere/x.mp4")
        rows = (f"{tmp_path}/elsewhere/x.mp4,one", "../beside/y.mp4,two", "link.mp4,two", "a.mp4,one")
        _, listing = by_manifest(tmp_path / "root", *rows)
        files = {video.files["video"].resolve() for video in listing.videos}
        wanted = ("elsewhere/x.mp4", "beside/y.mp4", "root/a.mp4")
        assert files == {(tmp_path / name).resolve() for name in wanted}
        assert len(listing.videos) == len(rows)

    def test_one_folder_a_class(self, tmp_path: Path):
        touch(tmp_path, *(f"{name}/{n}.MOV" for name in ("run", "a jump") for n in range(10)), "README.md", ".git/x")
        touch(tmp_path, "run/.DS_Store", "run/notes.pdf")
        config = Folder(root=str(tmp_path), test_fraction=0.2)
        listing = config.listing(tmp_path)
        assert listing.classes == ("a jump", "run")
        assert [video.id for video in listing.videos] == [f"{c}/{n}" for c in listing.classes for n in range(10)]
        (fold,) = config.folds(tmp_path, listing)
        assert Counter(id.split("/")[0] for id in fold.test) == {"a jump": 2, "run": 2}

    def test_video_and_skeleton_belong_together(self, tmp_path: Path):
        touch(tmp_path, *(f"{name}/{n}{end}" for name in ("run", "jump") for n in (1, 2) for end in (".mp4", ".txt")))
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert len(listing.videos) == 4
        assert listing.videos[0].files == {
            "video": tmp_path.resolve() / "jump/1.mp4",
            "skeleton": tmp_path.resolve() / "jump/1.txt",
        }
        (tmp_path / "run/2.txt").unlink()
        with pytest.raises(InputError, match=r"run/2\.mp4: 'run/2' has video, and the first example video and"):
            Folder(root=str(tmp_path)).listing(tmp_path)
        touch(tmp_path, "run/2.txt", "run/2.avi")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        paired = {video.id: {path.name for path in video.files.values()} for video in listing.videos[3:]}
        assert paired == {"run/2.avi": {"2.avi", "2.txt"}, "run/2.mp4": {"2.mp4", "2.txt"}}

    def test_manifest_in_all_its_columns(self, tmp_path: Path):
        touch(tmp_path, "elsewhere/far.mp4", "root/clips/near.mp4")
        root = (tmp_path / "root").resolve()
        write_lines(
            root / "lists/day.csv",
            "\ufeffpath, label ,subject,split,start_frame,end_frame",
            '../clips/near.mp4,"run, fast",ann,train,0,40',
            '"../clips/near.mp4", jump,ann,train,40,80',
            "",
            f"{tmp_path / 'elsewhere/far.mp4'},jump,bob,test,,",
            newline="\r\n",
        )
        config = Folder(root=str(root), manifest="lists/day.csv")
        listing = config.listing(root)
        assert listing.classes == ("jump", "run, fast")
        far = str(tmp_path / "elsewhere/far").lstrip("/")
        near = {"video": root / "clips/near.mp4"}
        expected = [
            Video("clips/near@0-40", near, (1,), "ann", (0, 40)),
            Video("clips/near@40-80", near, (0,), "ann", (40, 80)),
            Video(far, {"video": tmp_path / "elsewhere/far.mp4"}, (0,), "bob"),
        ]
        assert list(listing.videos) == sorted(expected, key=lambda video: video.id)
        assert config.folds(root, listing) == (Fold("split", ("clips/near@0-40", "clips/near@40-80"), (far,)),)

    def test_the_natural_protocol(self, tmp_path: Path):
        rows = ["a.mp4,x,p,train", "b.mp4,y,q,test", "c.avi,x,q,train", "d.mkv,y,p,test"]
        config, listing = by_manifest(tmp_path, *rows, header="path,label,subject,split")
        assert config.folds(tmp_path, listing) == (Fold("split", ("a", "c"), ("b", "d")),)
        named = Folder(root=str(tmp_path), protocol="by_subject")
        assert {frozenset(named.folds(tmp_path, listing)[0].test)} <= {frozenset("ad"), frozenset("bc")}
        config, listing = by_manifest(tmp_path, *(row.rsplit(",", 1)[0] for row in rows), header="path,label,subject")
        assert config.folds(tmp_path, listing) == named.folds(tmp_path, listing)
        assert config.folds(tmp_path, listing)[0].name == "trial-1"
        config, listing = by_manifest(tmp_path, "a.mp4,x", "b.mp4,y", "c.avi,x", "d.mkv,y")
        (fold,) = config.folds(tmp_path, listing)
        assert sum(id in "ac" for id in fold.test) == sum(id in "bd" for id in fold.test) == 1

    def test_segments_of_a_file_stay_together(self, tmp_path: Path):
        rows = [
            f"{file},{'xy'[n % 2]},{n * 10},{n * 10 + 10}" for file in ("a.mp4", "b.mp4", "c.avi") for n in range(4)
        ]
        config, listing = by_manifest(tmp_path, *rows, header="path,label,start_frame,end_frame", trials=4)
        assert {video.subject for video in listing.videos} == {"a", "b", "c"}
        for fold in config.folds(tmp_path, listing):
            assert not {id[0] for id in fold.train} & {id[0] for id in fold.test}

    def test_protocol_that_the_data_cannot_follow(self, tmp_path: Path):
        rows = ["a.mp4,x", "b.mp4,y", "c.avi,x"]
        config, listing = by_manifest(tmp_path, *rows)
        with pytest.raises(InputError, match="class 'y' has a single video, b"):
            config.folds(tmp_path, listing)
        with pytest.raises(InputError, match="a has no split; a manifest with the column split"):
            Folder(root=str(tmp_path), protocol="split_column").folds(tmp_path, listing)
        with pytest.raises(InputError, match="a has no subject"):
            Folder(root=str(tmp_path), protocol="by_subject").folds(tmp_path, listing)
        config, listing = by_manifest(tmp_path, *(row + ",train" for row in rows), header="path,label,split")
        with pytest.raises(InputError, match="no video is left to test on"):
            config.folds(tmp_path, listing)
        with pytest.raises(InputError, match="leave trials out"):
            Folder(root=str(tmp_path), trials=2).folds(tmp_path, listing)
        with pytest.raises(InputError, match="leave trials out"):
            parse(Folder, {"root": "x", "trials": 2, "protocol": "split_column"})

    @pytest.mark.parametrize(
        ("header", "row", "match"),
        [
            ("path,label", "b.mp4,", "line 3: the label is empty"),
            ("path,label", ",x", "line 3: the path is empty"),
            ("path,label", "b.mp4", "line 3: the line does not have 2 cells"),
            ("path,label", "b.mp4,x,y", "line 3: the line does not have 2 cells"),
            ("path,label", "a.mp4,y", "line 3: 'a' is listed a second time; it was first listed at .*line 2"),
            ("path,label", "./x/../a.mp4,y", "line 3: 'a' is listed a second time"),
            ("path,label", "z.mp4,y", "1 of 2 files .*line 3: .*z.mp4"),
            ("path,label", f"{'z' * 300}.mp4,y", "1 of 2 files"),
            ("path,label", "manifest.csv,y", "line 3: manifest.csv is neither a video"),
            ("path,label", '"b.mp4,y', "line 3: no row of a CSV file begins here .unexpected end of data.; quotes"),
            ("path,label", '\n"b".mp4,y', "line 4: no row of a CSV file begins here"),
            ("path,label", "\nb.mp4,", "line 4: the label is empty"),
            ("path,label", ".,y", "line 3: .* is a folder; each line must name a file"),
            ("path,label", "/,y", "line 3: / is a folder"),
            ("path,label", "..,y", "line 3: .* is a folder"),
            ("path,label", "e.txt,y", "line 3: 'e' has skeleton, and the first example video"),
            ("path,label,split", "b.mp4,y,later", "line 3: split 'later'; it must be train or test"),
            ("path,label,split", "b.mp4,y,", "line 3: split ''; it must be train or test"),
            ("path,label,subject", "b.mp4,y,", "line 3: the subject is empty"),
            ("path,label,start_frame,end_frame", "b.mp4,y,5,5", "line 3: .*start_frame must be below end_frame"),
            ("path,label,start_frame,end_frame", "b.mp4,y,1,x", "line 3: .*whole numbers"),
            ("path,label,start_frame,end_frame", "b.mp4,y,-1,5", "line 3: .*whole numbers"),
            ("path,label,start_frame,end_frame", f"b.mp4,y,1,{'9' * 5000}", "line 3: .*whole numbers below"),
            ("path,label", "b.mp4,y\0", "line 3: a NUL character"),
            ("path,label", "b\0.mp4,y", "line 3: a NUL character"),
            ("path,label,start_frame,end_frame", "b.mp4,y,1.0,5", "line 3: .*whole numbers"),
            ("path,label,start_frame,end_frame", "b.mp4,y,,5", "line 3: .*two empty cells"),
            ("path,label,start_frame", "b.mp4,y,1", "line 1: no column end_frame; a manifest starts with"),
            ("path,lable", "b.mp4,y", "line 1: unknown column 'lable': did you mean 'label'"),
            ("path|label", "b.mp4|y", "line 1: no column path"),
            ("path,label,spilt", "b.mp4,y,test", "line 1: unknown column 'spilt': did you mean 'split'"),
            ("path,label,subjects", "b.mp4,y,p", "line 1: unknown column 'subjects': did you mean 'subject'"),
            ("path,label,SPLIT", "b.mp4,y,test", "line 1: unknown column 'SPLIT': did you mean 'split'"),
            ("path,label,SUBJECT", "b.mp4,y,p", "line 1: unknown column 'SUBJECT': did you mean 'subject'"),
            ("path,label,Start_Frame", "b.mp4,y,1", "line 1: unknown column 'Start_Frame': did you mean 'start_frame'"),
            ("path,label,StartFrame", "b.mp4,y,1", "line 1: unknown column 'StartFrame': did you mean 'start_frame'"),
            ("path,label,end-frame", "b.mp4,y,1", "line 1: unknown column 'end-frame': did you mean 'end_frame'"),
            ("path,label,end frame", "b.mp4,y,1", "line 1: unknown column 'end frame': did you mean 'end_frame'"),
            ("PATH;LABEL", "b.mp4;y", "line 1: unknown column 'PATH': did you mean 'path'"),
            ("path,subject", "b.mp4,y", "line 1: no column label"),
            ("path,label,label", "b.mp4,y,y", "line 1: a column twice"),
        ],
    )
    def test_wrong_manifests(self, tmp_path: Path, header: str, row: str, match: str):
        good = {"label": "x", "subject": "p", "split": "train", "start_frame": "0", "end_frame": "9"}
        first = ",".join(["a.mp4", *(good.get(name, "") for name in header.split(",")[1:])])
        with pytest.raises(InputError, match=match):
            by_manifest(tmp_path, first, row, header=header)

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "line 1: no column path"),
            (b"path,label\n", "there are no videos"),
            (b"path,label\na.mp4,x\nb.mp4,x\n", "there is only 'x'"),
            (b"\x89PNG\r\n\x1a\n\x00\xff", "not a CSV file in UTF-8"),
        ],
    )
    def test_no_manifest_at_all(self, tmp_path: Path, content: bytes, match: str):
        touch(tmp_path, "a.mp4", "b.mp4")
        (tmp_path / "manifest.csv").write_bytes(content)
        with pytest.raises(InputError, match=match):
            Folder(root=str(tmp_path)).listing(tmp_path)

    def test_the_root_is_no_example(self, tmp_path: Path):
        root = tmp_path / "clips.mp4"
        touch(root, "a.mp4")
        write_lines(root / "manifest.csv", "path,label", f"{root},x", "a.mp4,y")
        with pytest.raises(InputError, match=r"manifest\.csv, line 2: .*clips\.mp4 is a folder; each line must name"):
            Folder(root=str(root)).listing(root)

    def test_remarks_are_text_wherever_the_data_lie(self, tmp_path: Path):
        root = tmp_path / os.fsdecode(b"caf\xe9")
        touch(root, "a.mp4", "b.mp4")
        (root / "manifest.csv").write_bytes("path,label,fps\na.mp4,\u00fcben,30\nb.mp4,x,25\n".encode("latin-1"))
        as_latin_1, ignored = Folder(root=str(tmp_path)).listing(root).remarks
        assert "caf\\xe9/manifest.csv is not UTF-8" in as_latin_1
        assert ignored.endswith("columns that are not known are left out: 'fps'")
        assert as_latin_1.encode()

    def test_wrong_folders(self, tmp_path: Path):
        touch(tmp_path, "run/1.mp4")
        config = Folder(root=str(tmp_path))
        with pytest.raises(InputError, match="there is only 'run'"):
            config.listing(tmp_path)
        (tmp_path / "jump").mkdir()
        with pytest.raises(InputError, match=r"jump: no video and no skeleton file \(\.txt or \.skeleton\)"):
            config.listing(tmp_path)
        touch(tmp_path, "jump/more/1.mp4")
        with pytest.raises(InputError, match=r"jump/more: a folder within a class's folder"):
            config.listing(tmp_path)
        with pytest.raises(InputError, match=r"other\.csv: No such file"):
            Folder(root=str(tmp_path), manifest="other.csv").listing(tmp_path)
        with pytest.raises(InputError, match=r"nowhere: No such file"):
            config.listing(tmp_path / "nowhere")

    def test_links_to_themselves(self, tmp_path: Path):
        touch(tmp_path, "jump/1.mp4", "run/1.mp4")
        (tmp_path / "manifest.csv").symlink_to("manifest.csv")
        with pytest.raises(InputError, match=r"manifest\.csv: Too many levels of symbolic links"):
            Folder(root=str(tmp_path)).listing(tmp_path)
        (tmp_path / "manifest.csv").unlink()
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(InputError, match="loop': Too many levels of symbolic links"):
            _ = Folder(root=str(tmp_path / "loop")).location

    def test_names_that_are_no_text(self, tmp_path: Path):
        odd = os.fsdecode(b"caf\xe9")
        touch(tmp_path, "jump/1.mp4", "run/1.mp4", f"run/{odd}.mp4", "run/caf\\xe9.mp4", f"{odd}/1.mp4")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert listing.classes == ("caf\\xe9", "jump", "run")
        files = {video.id: video.files["video"].name for video in listing.videos if "caf" in video.id}
        assert files == {
            "caf\\xe9/1": "1.mp4",
            "run/caf\\xe9": f"{odd}.mp4",
            "run/caf\\x5cxe9": "caf\\xe9.mp4",
        }

    @pytest.mark.parametrize("name", ["reason", "variant-0", "variant-12"])
    def test_names_that_a_store_has_for_itself(self, tmp_path: Path, name: str):
        touch(tmp_path, f"jump/{name}.mp4", f"{name}/1.mp4", "jump/variant-x.mp4")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        escaped = f"\\x{ord(name[0]):x}{name[1:]}"
        assert {video.id for video in listing.videos} == {f"{escaped}/1", f"jump/{escaped}", "jump/variant-x"}
        assert listing.classes == ("jump", name)

    def test_files_that_differ_in_the_extension_alone(self, tmp_path: Path):
        touch(tmp_path, "run/a.mp4", "run/a.avi", "run/b.mp4", "jump/c.mp4")
        config = Folder(root=str(tmp_path))
        listing = config.listing(tmp_path)
        assert [video.id for video in listing.videos] == ["jump/c", "run/a.avi", "run/a.mp4", "run/b"]
        (said,) = listing.remarks
        assert said.startswith("1 group of files is told apart by extension alone")
        assert said.endswith(": a.avi and a.mp4")
        write_lines(tmp_path / "manifest.csv", "path,label,split", *(f"run/{n},x,train" for n in ("a.mp4", "a.avi")))
        with open(tmp_path / "manifest.csv", "a") as file:
            file.write("run/b.mp4,y,test\n")
        (fold,) = config.folds(tmp_path, config.listing(tmp_path))
        assert fold == Fold("split", ("run/a.avi", "run/a.mp4"), ("run/b",))

    def test_a_name_that_is_another_with_its_extension(self, tmp_path: Path):
        touch(tmp_path, "run/a.mp4", "run/a.avi", "run/a.mp4.avi", "jump/c.mp4")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert [video.id for video in listing.videos] == ["jump/c", "run/a.avi", "run/a.mp4.avi", "run/a.mp4.mp4"]

    def test_segments_of_files_that_differ_in_the_extension_keep_their_ids(self, tmp_path: Path):
        touch(tmp_path, "a.avi")
        rows = ("a.mp4,x,0,5", "a.avi,x,5,9", "b.mp4,y,0,5")
        _, listing = by_manifest(tmp_path, *rows, header="path,label,start_frame,end_frame")
        assert [video.id for video in listing.videos] == ["a@0-5", "a@5-9", "b@0-5"]

    @pytest.mark.parametrize(
        ("listed", "on_disk"),
        [
            ("caf\u00e9/\u00e0.mp4", "cafe\u0301/a\u0300.mp4"),
            ("cafe\u0301/a\u0300.mp4", "caf\u00e9/\u00e0.mp4"),
            ("caf\u00e9/\u00e0.mp4", os.fsdecode(b"caf\xe9/\xe0.mp4")),
            ("caf\\xe9/\\xe0.mp4", os.fsdecode(b"caf\xe9/\xe0.mp4")),
            ("don\u2019t.mp4", os.fsdecode(b"don\x92t.mp4")),
        ],
    )
    def test_a_manifest_may_spell_a_name_otherwise(self, tmp_path: Path, listed: str, on_disk: str):
        touch(tmp_path, on_disk)
        _, listing = by_manifest(tmp_path, f"{listed},x", "b.mp4,y")
        assert tmp_path.resolve() / on_disk in [video.files["video"] for video in listing.videos]

    def test_labels_and_subjects_that_look_alike_are_the_same(self, tmp_path: Path):
        composed, decomposed = "caf\u00e9", "cafe\u0301"
        rows = (f"a.mp4,{composed},{decomposed}", f"b.mp4,{decomposed},{composed}", "c.avi,x,y")
        _, listing = by_manifest(tmp_path / "listed", *rows, header="path,label,subject")
        assert listing.classes == (composed, "x")
        assert {video.subject for video in listing.videos} == {composed, "y"}
        touch(tmp_path / "folders", f"{composed}/1.mp4", f"{decomposed}/2.mp4", "x/3.mp4")
        listing = Folder(root=str(tmp_path / "folders")).listing(tmp_path / "folders")
        assert listing.classes == (composed, "x")
        assert len(listing.videos) == 3

    def test_the_exact_name_wins(self, tmp_path: Path):
        composed, decomposed = "caf\u00e9.mp4", "cafe\u0301.mp4"
        touch(tmp_path, composed, decomposed)
        _, listing = by_manifest(tmp_path, f"{composed},x", f"{decomposed},y")
        found = {video.files["video"].name: listing.classes[video.labels[0]] for video in listing.videos}
        assert found == {composed: "x", decomposed: "y"}

    def test_what_is_left_out_is_said(self, tmp_path: Path):
        others = ("gif", "m2ts", "vob", "asf", "mpe", "m2v", "divx", "qt", "f4v", "3g2", "mxf", "y4m", "MP4")
        touch(tmp_path, *(f"run/{ending}.{ending}" for ending in others), "jump/1.mp4", "README.md")
        (tmp_path / "run/notes.txt").write_text("on the day of the recording it rained\n")
        (tmp_path / "run/gif.txt").write_text("a preview\n")
        touch(tmp_path, "run/a.doc", "jump/b.jpg", "jump/.DS_Store")
        os.mkfifo(tmp_path / "jump/pipe.mp4")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert len(listing.videos) == len(others) + 1
        assert all(video.files.keys() == {"video"} for video in listing.videos)
        files, texts = listing.remarks
        assert files.startswith("4 files are not taken, as neither a video nor a skeleton file")
        assert files.endswith(": README.md, jump/b.jpg, jump/pipe.mp4 and 1 more")
        assert texts.startswith("2 texts are not taken, as skeleton files begin with numbers")
        assert texts.endswith(": run/gif.txt, run/notes.txt")

    def test_texts_beside_few_videos_are_no_skeletons(self, tmp_path: Path):
        touch(tmp_path, *(f"{name}/{n}.mp4" for name in ("run", "jump") for n in range(4)))
        (tmp_path / "run/0.txt").write_text("0.5 0.5 0.25 1\n")
        assert all(len(video.files) == 1 for video in Folder(root=str(tmp_path)).listing(tmp_path).videos)
        for name in ("run", "jump"):
            for n in range(4):
                (tmp_path / f"{name}/{n}.txt").write_text("0.5 0.5 0.25 1\n" if n else "damaged\n")
        assert all(len(video.files) == 2 for video in Folder(root=str(tmp_path)).listing(tmp_path).videos)

    def test_a_file_without_extension_is_tried(self, tmp_path: Path):
        touch(tmp_path, "jump/1.mp4", "run/1.mp4", "run/LICENSE")
        (tmp_path / "run/Makefile").write_text("all:\n\ttrue\n" * 100)
        write(tmp_path / "clip.mp4", np.zeros((5, 32, 48, 3), np.uint8), 25)
        (tmp_path / "clip.mp4").rename(tmp_path / "run/clip")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert [video.id for video in listing.videos] == ["jump/1", "run/1", "run/clip"]
        left_out, tried = listing.remarks
        assert left_out.endswith(": run/LICENSE, run/Makefile")
        assert tried == "1 file is taken as a video by what it holds, as the extension does not tell: run/clip"

    def test_skeletons_alone(self, tmp_path: Path):
        touch(tmp_path, "run/1.txt", "jump/1.txt", "jump/readme")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert [video.files.keys() for video in listing.videos] == [{"skeleton"}] * 2

    def test_skeletons_of_ntu(self, tmp_path: Path):
        touch(tmp_path, "run/1.skeleton", "jump/1.SKELETON", "run/1.txt")
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert [video.id for video in listing.videos] == ["jump/1", "run/1.skeleton", "run/1.txt"]
        assert [video.files.keys() for video in listing.videos] == [{"skeleton"}] * 3
        write_lines(tmp_path / "manifest.csv", "path,label", "run/1.skeleton,run", "jump/1.SKELETON,jump")
        assert [*Folder(root=str(tmp_path)).listing(tmp_path).videos[0].files] == ["skeleton"]

    def test_skeletons_and_a_stray_video(self, tmp_path: Path):
        for name in ("run", "jump"):
            touch(tmp_path, f"{name}/preview.mp4")
            for n in range(5):
                (tmp_path / f"{name}/{n}.txt").write_text("0.5 0.5 0.25 1\n")
        with pytest.raises(
            InputError, match=r"both 2 videos and 10 skeleton files \(.*\) of no video, such as jump/0\.txt; move"
        ):
            Folder(root=str(tmp_path)).listing(tmp_path)
        for name in ("run", "jump"):
            (tmp_path / f"{name}/preview.mp4").unlink()
            (tmp_path / f"{name}/spoilt.txt").write_text("this will be a failure, which is listed\n")
        assert len(Folder(root=str(tmp_path)).listing(tmp_path).videos) == 12

    def test_links_that_lead_nowhere_are_videos(self, tmp_path: Path):
        touch(tmp_path, "jump/1.mp4", "run/1.mp4")
        (tmp_path / "run/2.mp4").symlink_to(tmp_path / "gone.mp4")
        (tmp_path / "run/3.mp4").symlink_to("3.mp4")
        assert len(Folder(root=str(tmp_path)).listing(tmp_path).videos) == 4
        write_lines(tmp_path / "manifest.csv", "path,label", "jump/1.mp4,x", "run/2.mp4,y")
        assert len(Folder(root=str(tmp_path)).listing(tmp_path).videos) == 2
        os.mkfifo(tmp_path / "run/4.mp4")
        write_lines(tmp_path / "manifest.csv", "path,label", "jump/1.mp4,x", "run/4.mp4,y")
        with pytest.raises(InputError, match="1 of 2 files in the manifest are missing"):
            Folder(root=str(tmp_path)).listing(tmp_path)

    @pytest.mark.parametrize("separator", [",", ";", "\t", " ; "])
    def test_separators(self, tmp_path: Path, separator: str):
        rows = ["a.mp4,x,train", "b.mp4,y,test", "c.avi,x,train"]
        told = [row.replace(",", separator) for row in rows]
        config, listing = by_manifest(tmp_path, *told, header="path,label,split".replace(",", separator))
        assert config.folds(tmp_path, listing) == (Fold("split", ("a", "c"), ("b",)),)

    def test_a_comma_in_a_label_among_semicolons(self, tmp_path: Path):
        _, listing = by_manifest(tmp_path, "a.mp4;run, fast", "b.mp4;jump", header="path;label")
        assert listing.classes == ("jump", "run, fast")

    def test_columns_of_other_programs_are_left_out(self, tmp_path: Path):
        rows = ("0,a.mp4,x,30", "1,b.mp4,y,25")
        _, listing = by_manifest(tmp_path, *rows, header=",path,label,fps")
        assert [video.id for video in listing.videos] == ["a", "b"]
        (said,) = listing.remarks
        assert said.endswith("manifest.csv, line 1: columns that are not known are left out: '', 'fps'")

    @pytest.mark.parametrize("word", ["val", "validation"])
    def test_videos_for_validation(self, tmp_path: Path, word: str):
        rows = ("a.mp4,x,train", "b.mp4,y,test", f"c.avi,y,{word}")
        config, listing = by_manifest(tmp_path, *rows, header="path,label,split")
        assert config.folds(tmp_path, listing) == (Fold("split", ("a",), ("b",)),)
        trained = config.model_copy(update={"train_on_validation": True})
        assert trained.folds(tmp_path, listing) == (Fold("split", ("a", "c"), ("b",)),)
        assert trained.without_protocol() == config.without_protocol()
        assert "train_on_validation" not in config.canonical()
        assert json.loads(trained.canonical())["train_on_validation"]

    def test_validation_without_a_split(self, tmp_path: Path):
        config, listing = by_manifest(tmp_path, "a.mp4,x", "b.mp4,y", train_on_validation=True)
        with pytest.raises(InputError, match="train_on_validation needs a manifest with the column split"):
            config.folds(tmp_path, listing)
        with pytest.raises(InputError, match="train_on_validation belongs to protocol"):
            parse(Folder, {"root": "x", "train_on_validation": True, "protocol": "stratified"})

    @pytest.mark.parametrize(
        ("encoding", "said"), [("utf-8", 0), ("utf-8-sig", 0), ("utf-16", 0), ("latin-1", 1), ("cp1252", 1)]
    )
    def test_encodings(self, tmp_path: Path, encoding: str, said: int):
        touch(tmp_path, "\u00e0.mp4", "b.mp4")
        (tmp_path / "manifest.csv").write_bytes("path;label\n\u00e0.mp4;\u00fcben\nb.mp4;x\n".encode(encoding))
        listing = Folder(root=str(tmp_path)).listing(tmp_path)
        assert listing.classes == ("x", "\u00fcben")
        assert len(listing.remarks) == said
        assert all("is read as Latin-1" in remark for remark in listing.remarks)

    def test_stores_are_told_apart_by_where_the_root_lies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        (tmp_path / "My Clips!").mkdir()
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path)
        config = Folder(root="My Clips!")
        assert config.location == (tmp_path / "My Clips!").resolve()
        assert dataset_folder(config).name.startswith("folder-my-clips-")
        assert dataset_folder(config).name == dataset_folder(Folder(root=str(tmp_path / "other/../My Clips!"))).name
        assert (
            dataset_folder(config).name
            == dataset_folder(Folder(root="My Clips!", protocol="stratified", protocol_seed=3)).name
        )
        (tmp_path / "other/My Clips!").mkdir()
        assert dataset_folder(config).name != dataset_folder(Folder(root="other/My Clips!")).name
        assert dataset_folder(config).name != dataset_folder(Folder(root="My Clips!", manifest="second.csv")).name
