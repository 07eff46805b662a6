"""What notebook 03 says of memory and order: trains for ten minutes, writes data/memory.json."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch

from src import runtime
from src.rnn import STARTS, learn_first_symbol, start
from src.topics import READERS, TopicData, train_reader

symbols, order, data = {}, {}, TopicData.load()
for seed in range(3):
    for name in STARTS:
        torch.manual_seed(seed)
        symbols.setdefault(name, []).append(round(learn_first_symbol(start(name, 4, 32)), 4))
    for name in READERS:
        order.setdefault(name, []).append(round(train_reader(name, data, seed), 4))
        print(seed, name, order[name], flush=True)
runs = {"machine": runtime.machine(), "first_symbol": symbols, "order": order}
(runtime.COURSE / "data" / "memory.json").write_text(json.dumps(runs, indent=1) + "\n", "utf-8")
