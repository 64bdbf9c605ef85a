"""A double of EMR's calls that add and follow the steps of clusters."""

from __future__ import annotations

import itertools
import time

from trunkline.testing.aws_wire import Json, RefusedError
from trunkline.testing.platform_api import Asked

STEPS_A_PAGE = 50
_STEP_ENDED = ("COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED")


class EmrDouble:
    """Clusters and their steps.

    Attributes:
        steps: The steps of each cluster, oldest first.
    """

    def __init__(self) -> None:
        self.steps: dict[str, list[Json]] = {}
        self._step_ids = itertools.count(1)

    def add_step(self, cluster: str, config: Json, created: float | None = None) -> str:
        """A step of a cluster; its id."""
        step_id = f"s-{next(self._step_ids)}"
        jar = config["HadoopJarStep"]
        self.steps.setdefault(cluster, []).append(
            {
                "Id": step_id,
                "Name": config["Name"],
                "Config": {"Jar": jar["Jar"], "Args": jar.get("Args", [])},
                "ActionOnFailure": config.get("ActionOnFailure"),
                "Status": {"State": "PENDING", "Timeline": {"CreationDateTime": created or time.time()}},
            }
        )
        return step_id

    def set_step(self, step_id: str, state: str, **details: str) -> None:
        """Put a step into a state; `details` are those of a failure."""
        step = next(one for steps in self.steps.values() for one in steps if one["Id"] == step_id)
        status, times = step["Status"], step["Status"]["Timeline"]
        status["State"] = state
        if state not in {"PENDING", "CANCELLED"}:
            times.setdefault("StartDateTime", times["CreationDateTime"] + 1)
        if state in _STEP_ENDED:
            times["EndDateTime"] = times["CreationDateTime"] + 2
        if details:
            status["FailureDetails"] = details

    def _emr_add(self, asked: Asked) -> Json:
        cluster = asked.json["JobFlowId"]
        if cluster not in self.steps:
            raise RefusedError("ValidationException", "Specified job flow ID not valid")
        return {"StepIds": [self.add_step(cluster, step) for step in asked.json["Steps"]]}

    def _emr_list(self, asked: Asked) -> Json:
        given = asked.json
        if given["ClusterId"] not in self.steps:
            raise RefusedError("InvalidRequestException", f"Cluster id '{given['ClusterId']}' is not valid.")
        ids, states = given.get("StepIds"), given.get("StepStates")
        if ids and len(ids) > 10:
            raise RefusedError("InvalidRequestException", "at most 10 step ids")
        found = [
            step
            for step in reversed(self.steps[given["ClusterId"]])
            if (not ids or step["Id"] in ids) and (not states or step["Status"]["State"] in states)
        ]
        begin = int(given.get("Marker") or 0)
        more = {"Marker": str(begin + STEPS_A_PAGE)} if begin + STEPS_A_PAGE < len(found) else {}
        return {"Steps": found[begin : begin + STEPS_A_PAGE], **more}

    def _emr_cancel(self, asked: Asked) -> Json:
        told = []
        for step_id in asked.json["StepIds"]:
            step = next(one for one in self.steps[asked.json["ClusterId"]] if one["Id"] == step_id)
            if step["Status"]["State"] in _STEP_ENDED:
                told.append({"StepId": step_id, "Status": "FAILED", "Reason": "The step has ended"})
            else:
                self.set_step(step_id, "CANCELLED")
                told.append({"StepId": step_id, "Status": "SUBMITTED"})
        return {"CancelStepsInfoList": told}
