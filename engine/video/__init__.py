"""Videos as pictures: a shot is a part of a video, with a key frame."""
