"""Videos: files to frames with their times, and which of the frames are used."""
