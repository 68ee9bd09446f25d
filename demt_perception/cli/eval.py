"""Measure a model folder on CamVid and on rendered scenes, through the node's Predictor."""

import argparse
from dataclasses import replace
import json
from pathlib import Path
import sys
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demt eval``."""
    parser.add_argument('model', help='model folder or name')
    parser.add_argument('--camvid', help='folder of CamVid in the SegNet layout')
    parser.add_argument('--split', default='test', choices=('train', 'val', 'test'))
    parser.add_argument('--rendered', help='folder of `demt generate`')
    parser.add_argument('--engine', default='auto')
    parser.add_argument('--json', help='write the figures to this file')
    parser.add_argument('--write-card', action='store_true',
                        help='write the figures into the model card')


def run(args: argparse.Namespace) -> int:
    """Evaluate and print JSON."""
    from demt_perception.inference import find_model, Predictor
    from demt_perception.model_card import load_card, save_card
    from demt_perception.training.evaluate import evaluate_camvid, evaluate_rendered

    if not (args.camvid or args.rendered):
        print('demt eval: nothing to measure on: give --camvid, --rendered or both',
              file=sys.stderr)
        return 2
    folder = find_model(args.model)
    predictor = Predictor(folder, engine=args.engine)
    figures: dict = {}
    if args.camvid:
        figures[f'camvid_{args.split}'] = evaluate_camvid(predictor, args.camvid, args.split)
    if args.rendered:
        figures['rendered_held_out'] = evaluate_rendered(predictor, args.rendered)
    figures = _rounded(figures)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        Path(args.json).write_text(text + '\n', encoding='utf-8')
    if args.write_card:
        card = load_card(folder)
        save_card(replace(card, metrics={**card.metrics, **figures}), folder)
    return 0


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(v) for key, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value
