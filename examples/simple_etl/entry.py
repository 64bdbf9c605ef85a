"""For platforms that want a script and cannot call `python -m trunkline.jobs`."""

from trunkline.jobs.entry import main_exit

main_exit()
