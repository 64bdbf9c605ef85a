"""The image of a container, and what is called in it: for Docker and for Kubernetes."""

from __future__ import annotations

from trunkline.errors import OptionError
from trunkline.jobs.run import RunRequest
from trunkline.options import Options

# How a run is started in any image that holds Trunkline.
COMMAND = ("python3", "-m", "trunkline.jobs")


def image_of(request: RunRequest, options: Options) -> str:
    """The image of a run.

    Raises:
        OptionError: There is none.
    """
    image: str | None = request.target or options["container.image"]
    if not image:
        raise OptionError("platform=container needs container.image, or the column `target`: an image with the job")
    return image
