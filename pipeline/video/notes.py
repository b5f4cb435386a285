"""Name what decoding notes of a clip that is out of the ordinary, which the attributes of its rows keep."""

NOTES = {
    "stream": "taken from another video stream than the first",
    "sample_aspect": "samples that are not square, scaled in width",
    "orientation": "turned or mirrored",
    "transfer": "high dynamic range, brought to BT.709",
    "deinterlaced_frames": "interlaced frames, deinterlaced",
    "resized_frames": "frames of another size than the first, scaled",
    "damaged_frames": "frames of which the decoder concealed damage",
    "clock_restarts": "times that the file's clock begins anew, from which they go on",
    "precomputed": "flow that was not computed, but lay ready as pictures",
    "surplus_flows": "as many flows that lay ready as frames: each leads to its frame, and the first is left out",
}
"""What each says was done or found: ``stream`` is a number, the next three are texts, the others count.

The last two are not of decoding, but of ``tvl1``."""
