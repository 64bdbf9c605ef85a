"""`python -m trunkline.jobs`."""

from trunkline.jobs.entry import main_exit

main_exit()
