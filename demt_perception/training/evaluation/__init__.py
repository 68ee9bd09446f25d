"""Measuring models on labelled data, through the same Predictor that the node runs.

`accumulate` adds up over samples and knows no model; `job` opens a model folder and a dataset;
`shards` spreads the work; `report` makes tables and JSON of what was found.
"""

from demt_perception.training.evaluation.accumulate import evaluate, Tally
from demt_perception.training.evaluation.camvid_rendered import evaluate_camvid, evaluate_rendered
from demt_perception.training.evaluation.errors import EvaluationError
from demt_perception.training.evaluation.job import Job
from demt_perception.training.evaluation.shards import measure

__all__ = ['EvaluationError', 'Job', 'Tally', 'evaluate', 'evaluate_camvid', 'evaluate_rendered',
           'measure']
