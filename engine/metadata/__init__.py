"""What picture files and the sidecars beside them say of a picture, beside its pixels."""
