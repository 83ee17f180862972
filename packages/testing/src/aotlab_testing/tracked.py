"""Records of tracked videos, as `aotlab track` leaves them beside its folder of masks."""

from aotlab.utils.run_folder import VIDEO_KIND, write_record


def write_tracked(folder, status="done"):
    """Write the record of a tracked video into its folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(
        folder, VIDEO_KIND, {"inputs": {}, "provenance": {}, "name": folder.name, "status": status, "error": None}
    )
