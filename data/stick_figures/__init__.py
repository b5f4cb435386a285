"""Generated videos and skeletons of articulated figures that walk, run, box, wave and clap."""
